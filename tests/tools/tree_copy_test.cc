#include "tools/tree_copy.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/unique_fd.h"
#include "tests/support/mount_fixture.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

namespace bfs = boost::filesystem;

class TreeCopy : public testing::Test {
 protected:
  Result<TreeCopyResult> Copy(const std::string& from, const std::string& to) {
    return CopyTree(directory_ / from, directory_ / to,
                    [&](std::uint64_t bytes) { seen_ += bytes; });
  }
  struct stat Stat(const std::string& name) {
    struct stat stat{};
    EXPECT_EQ(::lstat((directory_ / name).c_str(), &stat), 0) << name;
    return stat;
  }
  TempDirectory directory_;
  std::uint64_t seen_ = 0;
};

TEST_F(TreeCopy, KeepsWhatMakesAFile) {
  WriteFile(directory_ / "from", std::string(3'000'000, 'x'));
  ASSERT_EQ(::chmod((directory_ / "from").c_str(), 0640), 0);
  const timespec times[2] = {{1'000'000'000, 1}, {1'100'000'000, 123'456'789}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (directory_ / "from").c_str(), times, 0), 0);
  const bool xattrs = ::setxattr((directory_ / "from").c_str(), "user.colour", "blue", 4, 0) == 0;
  const auto copied = Copy("from", "to");
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_EQ(ReadFile(directory_ / "to"), ReadFile(directory_ / "from"));
  EXPECT_EQ(Stat("to").st_mode, static_cast<mode_t>(S_IFREG | 0640));
  EXPECT_EQ(Stat("to").st_mtim.tv_sec, 1'100'000'000);
  EXPECT_EQ(Stat("to").st_mtim.tv_nsec, 123'456'789);
  EXPECT_EQ(seen_, 3'000'000u);
  if (xattrs) {
    char value[8] = {};
    EXPECT_EQ(::getxattr((directory_ / "to").c_str(), "user.colour", value, sizeof(value)), 4);
    EXPECT_STREQ(value, "blue");
  }
}

TEST_F(TreeCopy, KeepsHoles) {
  const UniqueFd fd(::open((directory_ / "sparse").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_TRUE(fd);
  ASSERT_EQ(::ftruncate(fd.get(), 64 << 20), 0);
  ASSERT_EQ(::pwrite(fd.get(), "middle", 6, 32 << 20), 6);
  const auto copied = Copy("sparse", "to");
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_EQ(Stat("to").st_size, 64 << 20);
  EXPECT_LT(Stat("to").st_blocks * 512, 8 << 20);
  EXPECT_EQ(ReadFile(directory_ / "to"), ReadFile(directory_ / "sparse"));
}

TEST_F(TreeCopy, KeepsTheShapeOfATree) {
  bfs::create_directories(directory_ / "from/a/b");
  WriteFile(directory_ / "from/a/file", "contents");
  ASSERT_EQ(::link((directory_ / "from/a/file").c_str(), (directory_ / "from/hard").c_str()), 0);
  ASSERT_EQ(::symlink("/nowhere", (directory_ / "from/soft").c_str()), 0);
  ASSERT_EQ(::mkfifo((directory_ / "from/fifo").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((directory_ / "from/a/b").c_str(), 0500), 0);
  const auto copied = Copy("from", "to");
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_EQ(copied->copied.files, 4u);
  EXPECT_EQ(copied->copied.directories, 3u);
  EXPECT_EQ(ReadFile(directory_ / "to/hard"), "contents");
  EXPECT_EQ(Stat("to/hard").st_ino, Stat("to/a/file").st_ino);
  EXPECT_EQ(bfs::read_symlink(directory_ / "to/soft"), "/nowhere");
  EXPECT_TRUE(S_ISFIFO(Stat("to/fifo").st_mode));
  EXPECT_EQ(Stat("to/a/b").st_mode & 07777, 0500u);
}

TEST_F(TreeCopy, AFileReplacesAFileAndNothingIsLeftBehind) {
  WriteFile(directory_ / "from", "new");
  WriteFile(directory_ / "to", "old");
  ASSERT_TRUE(Copy("from", "to").ok());
  EXPECT_EQ(ReadFile(directory_ / "to"), "new");
  EXPECT_THAT(ListNames(directory_.path()), testing::ElementsAre("from", "to"));
}

TEST_F(TreeCopy, ADirectoryIsNeverOverwritten) {
  bfs::create_directories(directory_ / "from");
  bfs::create_directories(directory_ / "to");
  WriteFile(directory_ / "file", "x");
  EXPECT_EQ(Copy("from", "to").error().code(), ErrorCode::kExists);
  EXPECT_EQ(Copy("file", "to").error().code(), ErrorCode::kExists);
  EXPECT_EQ(Copy("from", "file").error().code(), ErrorCode::kExists);
  EXPECT_THAT(ListNames(directory_.path()), testing::ElementsAre("file", "from", "to"));
}

TEST_F(TreeCopy, AFailureLeavesNothing) {
  EXPECT_FALSE(Copy("absent", "to").ok());
  EXPECT_FALSE(Copy("absent", "no/such/place").ok());
  EXPECT_TRUE(ListNames(directory_.path()).empty());
}

TEST_F(TreeCopy, MeasuresWithoutFollowingLinks) {
  bfs::create_directories(directory_ / "from/a");
  WriteFile(directory_ / "from/a/file", "12345");
  ASSERT_EQ(::symlink("/usr", (directory_ / "from/soft").c_str()), 0);
  const auto size = MeasureTree(directory_ / "from");
  ASSERT_TRUE(size.ok());
  EXPECT_EQ(size->files, 2u);
  EXPECT_EQ(size->directories, 2u);
  EXPECT_EQ(size->bytes, 5u);
}

}  // namespace
}  // namespace varve
