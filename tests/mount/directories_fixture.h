// Making, listing and checking directories of a mount, by several processes too.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"

namespace varve {

inline bool IsLong() { return std::getenv("VARVE_LONG") != nullptr; }

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using OpenedDirectory = std::unique_ptr<DIR, CloseDirectory>;

class DirectoriesTest : public MountedTest {
 protected:
  void TearDown() override {
    if (!volume_.is_mounted()) return;
    MountedTest::TearDown();
    const RunResult checked = volume_.Run({"fsck", "-n", volume_.disk(0)});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  }

  UniqueFd MakeDirectory(const std::string& name) {
    const std::string path = volume_ / name;
    EXPECT_EQ(::mkdir(path.c_str(), 0755), 0) << name << ": " << std::strerror(errno);
    return OpenPath(path);
  }
  static UniqueFd OpenPath(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_TRUE(fd) << path << ": " << std::strerror(errno);
    return fd;
  }
  static OpenedDirectory OpenToList(const std::string& path) {
    OpenedDirectory directory(::opendir(path.c_str()));
    EXPECT_NE(directory, nullptr) << path << ": " << std::strerror(errno);
    return directory;
  }
  static void MakeFile(int directory, const std::string& name) {
    ASSERT_EQ(::mknodat(directory, name.c_str(), S_IFREG | 0644, 0), 0)
        << name << ": " << std::strerror(errno);
  }
};

inline std::string NumberedName(const char* prefix, std::size_t number) {
  return prefix + std::to_string(number);
}

// Memory that children share.
template <typename T>
class Shared {
 public:
  Shared() {
    void* memory =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    value_ = new (memory) T{};
  }
  ~Shared() { ::munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() { return *value_; }
  T* operator->() { return value_; }

 private:
  T* value_ = nullptr;
};

inline void ExpectCleanEnd(pid_t child) {
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace varve
