// Direct writes by AIO beside buffered readers of the same file.
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <thread>
#include <vector>

#include "store/base/aligned_bytes.h"
#include "store/base/bytes.h"
#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"

namespace varve {
namespace {

// A queue of one request, by system calls: the library for it does nothing else.
class AioQueue {
 public:
  AioQueue() { made_ = ::syscall(SYS_io_setup, 1, &context_) == 0; }
  ~AioQueue() {
    if (made_) ::syscall(SYS_io_destroy, context_);
  }
  AioQueue(const AioQueue&) = delete;
  AioQueue& operator=(const AioQueue&) = delete;

  bool made() const { return made_; }
  // Submits a write at the file's beginning, waits for it, and answers the bytes written or -errno.
  std::int64_t Write(int fd, ByteSpan bytes) {
    iocb request{};
    request.aio_lio_opcode = IOCB_CMD_PWRITE;
    request.aio_fildes = static_cast<std::uint32_t>(fd);
    request.aio_buf = reinterpret_cast<std::uint64_t>(bytes.data());
    request.aio_nbytes = bytes.size();
    iocb* requests[] = {&request};
    if (::syscall(SYS_io_submit, context_, 1, requests) != 1) return -errno;
    io_event event{};
    if (::syscall(SYS_io_getevents, context_, 1, 1, &event, nullptr) != 1) return -errno;
    return event.res;
  }

 private:
  aio_context_t context_ = 0;
  bool made_ = false;
};

using AsynchronousIoTest = MountedTest;

TEST_F(AsynchronousIoTest, WhatWasWrittenDirectlyIsWhatIsReadThroughTheCache) {
  constexpr std::size_t kBytes = 640 * 1024;
  constexpr int kRounds = 300;
  const std::string path = volume_ / "file";
  WriteFile(path, std::string(kBytes, '-'));
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      std::vector<char> bytes(kBytes);
      while (!done && ::pread(fd.get(), bytes.data(), kBytes, 0) > 0) {
      }
    });
  }
  AioQueue queue;
  EXPECT_TRUE(queue.made());
  const UniqueFd direct(::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
  const UniqueFd buffered(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const AlignedBytes bytes = MakeAlignedBytes(kBytes);
  std::vector<char> read(kBytes);
  for (int round = 0; round < kRounds && queue.made(); ++round) {
    const char letter = static_cast<char>('a' + round % 26);
    std::fill_n(bytes.get(), kBytes, static_cast<std::byte>(letter));
    EXPECT_EQ(queue.Write(direct.get(), {bytes.get(), kBytes}), static_cast<std::int64_t>(kBytes));
    EXPECT_EQ(::pread(buffered.get(), read.data(), kBytes, 0), static_cast<ssize_t>(kBytes));
    const auto stale = std::ranges::count_if(read, [&](char c) { return c != letter; });
    EXPECT_EQ(stale, 0) << "round " << round;
    if (stale != 0) break;
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace varve
