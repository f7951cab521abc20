// Writes that pass the kernel's cache by (files opened for writing only), beside those who read and
// map the same file through it.
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"

namespace varve {
namespace {

constexpr std::size_t kTextBytes = 300'000;

using DirectWriteTest = MountedTest;

TEST_F(DirectWriteTest, IsSeenAtOnceByThoseWhoReadAndMapTheFile) {
  constexpr int kRounds = 300;
  const std::string path = volume_ / "file";
  const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  std::string text(kTextBytes, '-');
  ASSERT_EQ(::pwrite(writer.get(), text.data(), text.size(), 0), ssize_t{kTextBytes});

  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      std::string bytes(kTextBytes, ' ');
      while (!done) {
        const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (::pread(fd.get(), bytes.data(), bytes.size(), 0) <= 0) return;
      }
    });
  }
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  void* mapped = ::mmap(nullptr, kTextBytes, PROT_READ, MAP_SHARED, reader.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  const std::string_view view(static_cast<const char*>(mapped), kTextBytes);
  std::string read(kTextBytes, ' ');
  for (int round = 0; round < kRounds; ++round) {
    const std::size_t offset = static_cast<std::size_t>(round) * 997 % (kTextBytes / 2);
    const std::size_t length = 1 + static_cast<std::size_t>(round) * 7919 % (kTextBytes / 2);
    std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(offset), length,
                static_cast<char>('a' + round % 26));
    ASSERT_EQ(::pwrite(writer.get(), text.data() + offset, length, static_cast<off_t>(offset)),
              static_cast<ssize_t>(length));
    ASSERT_EQ(::pread(reader.get(), read.data(), read.size(), 0), ssize_t{kTextBytes});
    ASSERT_TRUE(read == text) << "round " << round;
    ASSERT_TRUE(view == text) << "round " << round;
  }
  done = true;
  for (std::thread& thread : readers) thread.join();
  ::munmap(mapped, kTextBytes);
}

TEST_F(DirectWriteTest, IsSeenByThoseWhoOpenTheFileAfterwards) {
  const std::string path = volume_ / "file";
  std::string text(4 * kTextBytes, 'x');  // more than is forgotten whole at opening
  WriteFile(path, text);
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(ReadFile(path), text) << "round " << round;
    const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    const std::string line = "line " + std::to_string(round) + "\n";
    EXPECT_EQ(::write(writer.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    text += line;
  }
  EXPECT_EQ(ReadFile(path), text);
}

TEST_F(DirectWriteTest, BesideAStoreIntoAMappingLosesNeither) {
  const std::string path = volume_ / "file";
  const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  std::string text(kTextBytes, '-');
  ASSERT_EQ(::pwrite(writer.get(), text.data(), text.size(), 0), ssize_t{kTextBytes});
  const UniqueFd both(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  void* mapped = ::mmap(nullptr, kTextBytes, PROT_READ | PROT_WRITE, MAP_SHARED, both.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  char* bytes = static_cast<char*>(mapped);
  for (std::size_t at = 0; at + 2 < kTextBytes; at += 1777) {
    bytes[at] = text[at] = 'm';
    text[at + 1] = 'w';
    ASSERT_EQ(::pwrite(writer.get(), "w", 1, static_cast<off_t>(at + 1)), 1);
    ASSERT_EQ(bytes[at], 'm') << at;
    ASSERT_EQ(bytes[at + 1], 'w') << at;
  }
  EXPECT_EQ(::msync(mapped, kTextBytes, MS_SYNC), 0);
  ::munmap(mapped, kTextBytes);
  EXPECT_EQ(ReadFile(path), text);
}

TEST_F(DirectWriteTest, IsNotLostWhileAnotherStoresIntoTheSamePage) {
  const std::string path = volume_ / "file";
  WriteFile(path, std::string(4096, '-'));
  // First the writer, so that he passes the cache by.
  const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const UniqueFd both(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  void* mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, both.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  const auto bytes = static_cast<volatile unsigned char*>(mapped);
  std::atomic<bool> done = false;
  std::thread storing([&] {
    while (!done) bytes[0] = static_cast<unsigned char>(bytes[0] + 1);
  });
  int lost = 0;
  for (int round = 0; round < 5000; ++round) {
    const auto byte = static_cast<unsigned char>(round);
    EXPECT_EQ(::pwrite(writer.get(), &byte, 1, 100), 1);
    unsigned char read = 0;
    EXPECT_EQ(::pread(both.get(), &read, 1, 100), 1);
    lost += bytes[100] != byte || read != byte ? 1 : 0;
  }
  done = true;
  storing.join();
  EXPECT_EQ(lost, 0);
  ::munmap(mapped, 4096);
}

TEST_F(DirectWriteTest, UnderWayBesideReadersDoesNotHoldUpTheEnd) {
  for (int round = 0; round < 4; ++round) {
    const std::string path = volume_ / "file";
    WriteFile(path, std::string(64 * 1024, '-'));
    UniqueFd writer(::open(path.c_str(), O_WRONLY | O_DSYNC | O_CLOEXEC));
    UniqueFd reader(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    // Each ends when the mount does.
    std::thread writing([&] {
      while (::pwrite(writer.get(), "w", 1, 100) == 1) {
      }
    });
    std::thread reading([&] {
      char byte = 0;
      while (::pread(reader.get(), &byte, 1, 100) == 1) {
        ::posix_fadvise(reader.get(), 0, 0, POSIX_FADV_DONTNEED);
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(volume_.EndDaemon(SIGTERM), 0);
    writing.join();
    reading.join();
    writer.Reset();
    reader.Reset();
    MountIt();
  }
}

TEST_F(DirectWriteTest, ByAnotherThanRootTakesSetuidAtOnce) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to write as somebody else";
  mount_options_ = "allow_other";
  Remount();
  const std::string path = volume_ / "file";
  WriteFile(path, "text");
  ASSERT_EQ(::chmod(path.c_str(), 0777), 0);
  const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::chmod(path.c_str(), 06777), 0);
  struct stat before{};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  ASSERT_EQ(before.st_mode & 07777, 06777U);
  ::setfsuid(1000);
  const ssize_t written = ::pwrite(writer.get(), "T", 1, 0);
  ::setfsuid(0);
  ASSERT_EQ(written, 1);
  struct stat after{};
  ASSERT_EQ(::stat(path.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode & 07777, 0777U);
}

}  // namespace
}  // namespace varve
