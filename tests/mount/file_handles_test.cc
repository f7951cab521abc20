// Files opened by handle (name_to_handle_at), as NFS servers do.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"

namespace varve {
namespace {

class FileHandlesTest : public MountedTest {
 protected:
  struct Handle {
    file_handle* get() { return reinterpret_cast<file_handle*>(bytes.data()); }
    alignas(file_handle) std::array<char, sizeof(file_handle) + MAX_HANDLE_SZ> bytes{};
  };

  Handle HandleOf(const std::string& path) {
    Handle handle;
    handle.get()->handle_bytes = MAX_HANDLE_SZ;
    int mount_id = 0;
    EXPECT_EQ(::name_to_handle_at(AT_FDCWD, path.c_str(), handle.get(), &mount_id, 0), 0)
        << path << ": " << std::strerror(errno);
    return handle;
  }
  UniqueFd OpenHandle(Handle handle) {
    const UniqueFd mount(::open(volume_.mountpoint().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return UniqueFd(::open_by_handle_at(mount.get(), handle.get(), O_RDONLY | O_CLOEXEC));
  }
  static std::string ReadAll(const UniqueFd& fd) {
    std::string text(100, ' ');
    const ssize_t count = ::read(fd.get(), text.data(), text.size());
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
  }
  // Names and inodes that nobody uses are forgotten.
  static bool MakeTheKernelForget() {
    std::ofstream caches("/proc/sys/vm/drop_caches");
    caches << "2" << std::flush;
    return caches.good();
  }
};

TEST_F(FileHandlesTest, AreGoodAfterTheKernelHasForgottenTheFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "opening by handle takes root";
  ASSERT_EQ(::mkdir((volume_ / "d").c_str(), 0755), 0);
  WriteFile(volume_ / "d/file", "text");
  WriteFile(volume_ / "d/gone", "text");
  const Handle file = HandleOf(volume_ / "d/file");
  const Handle directory = HandleOf(volume_ / "d");
  const Handle gone = HandleOf(volume_ / "d/gone");
  ASSERT_EQ(::unlink((volume_ / "d/gone").c_str()), 0);
  if (!MakeTheKernelForget()) GTEST_SKIP() << "drop_caches cannot be written here";
  EXPECT_EQ(ReadAll(OpenHandle(file)), "text");
  {
    const UniqueFd opened = OpenHandle(directory);
    ASSERT_TRUE(opened) << std::strerror(errno);
    struct stat status{};
    EXPECT_EQ(::fstatat(opened.get(), "file", &status, 0), 0) << std::strerror(errno);
  }
  EXPECT_FALSE(OpenHandle(gone));
  EXPECT_EQ(errno, ESTALE);

  Remount();
  EXPECT_EQ(ReadAll(OpenHandle(file)), "text") << "inode numbers are never used again";
}

TEST_F(FileHandlesTest, OfThePastEndWithTheKernelsKnowledge) {
  if (::geteuid() != 0) GTEST_SKIP() << "opening by handle takes root";
  WriteFile(volume_ / "file", "then");
  WriteFile(volume_ / "other", "other");
  const std::string moment = Now();
  const std::string then = volume_ / (".snapshots/" + moment + "/file");
  WriteFile(volume_ / "file", "now");
  ASSERT_EQ(ReadFile(then), "then");
  const Handle handle = HandleOf(then);
  EXPECT_EQ(ReadAll(OpenHandle(handle)), "then");
  Remount();
  EXPECT_FALSE(OpenHandle(handle));
  EXPECT_EQ(errno, ESTALE);
  // Numbers of the past begin anew: another file may have this one now.
  EXPECT_EQ(ReadFile(volume_ / (".snapshots/" + moment + "/other")), "other");
  EXPECT_FALSE(OpenHandle(handle));
  EXPECT_EQ(errno, ESTALE);
}

}  // namespace
}  // namespace varve
