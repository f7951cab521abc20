// The loop's threads, with one end of a pair of sockets in place of the kernel's device; the test
// holds the other end.
#include "fs/fuse/request_loop.h"

#include <fuse_lowlevel.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>

namespace varve {
namespace {

using namespace std::chrono_literals;

constexpr auto kDeadline = 10s;  // for what takes milliseconds

// A request of which it is seen when serving begins, and which ends with an error as soon as there
// is a byte for it.
struct SlowRequests {
  std::array<int, 2> bytes{};
  std::atomic<int> begun = 0;
  std::atomic<int> interrupted = 0;

  SlowRequests() { EXPECT_EQ(::pipe(bytes.data()), 0); }
  ~SlowRequests() {
    for (const int end : bytes) ::close(end);
  }
  void EndOne() const { EXPECT_EQ(::write(bytes[1], "x", 1), 1); }
  bool WaitForBegun(int count) const {
    const auto deadline = std::chrono::steady_clock::now() + kDeadline;
    while (begun < count && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(1ms);
    }
    return begun == count;
  }
};

void ServeSlowly(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* /*file*/) {
  auto& slow = *static_cast<SlowRequests*>(fuse_req_userdata(request));
  ++slow.begun;
  char byte = 0;
  while (::read(slow.bytes[0], &byte, 1) != 1) ++slow.interrupted;
  fuse_reply_err(request, ENOENT);
}

// When the other end is gone, as the kernel's device when the mount is gone.
ssize_t ReadDevice(int fd, void* into, std::size_t size, void* /*data*/) {
  const ssize_t got = ::read(fd, into, size);
  if (got != 0) return got;
  errno = ENODEV;
  return -1;
}
ssize_t WriteDevice(int fd, iovec* from, int count, void* /*data*/) {
  return ::writev(fd, from, count);
}

class RequestLoopTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kGreeting = 1;

  RequestLoopTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    kernel_ = ends[0];
    const timeval longest{.tv_sec = kDeadline.count(), .tv_usec = 0};
    EXPECT_EQ(::setsockopt(kernel_, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest), 0);
    fuse_lowlevel_ops table{};
    table.getattr = ServeSlowly;
    std::array<char*, 1> words{const_cast<char*>("test")};
    fuse_args arguments = FUSE_ARGS_INIT(1, words.data());
    session_.reset(fuse_session_new(&arguments, &table, sizeof table, &slow_));
    fuse_opt_free_args(&arguments);
    fuse_custom_io device{};
    device.read = ReadDevice;
    device.writev = WriteDevice;
    EXPECT_EQ(fuse_session_custom_io(session_.get(), &device, ends[1]), 0);
  }
  ~RequestLoopTest() override {
    if (serving_.joinable()) {  // a test that has failed
      for (int i = 0; i < 100; ++i) slow_.EndOne();
      End();
    }
    CloseKernel();
  }

  void Begin(std::uint32_t max_threads) {
    loop_ = std::make_unique<RequestLoop>(session_.get(), max_threads);
    serving_ = std::thread([this] { result_ = loop_->Run(); });
    Greet();
    EXPECT_EQ(AnswerError(kGreeting), 0);
  }
  // What Run has returned.
  int End() {
    loop_->Stop();
    serving_.join();
    return result_;
  }

  void CloseKernel() {
    if (kernel_ >= 0) ::close(kernel_);
    kernel_ = -1;
  }

  void Greet() const {
    fuse_init_in greeting{};
    greeting.major = FUSE_KERNEL_VERSION;
    greeting.minor = 31;
    Send(FUSE_INIT, kGreeting, greeting);
  }
  void Ask(std::uint64_t unique) const { Send(FUSE_GETATTR, unique, fuse_getattr_in{}); }
  template <typename Body>
  void Send(std::uint32_t opcode, std::uint64_t unique, const Body& body) const {
    struct {
      fuse_in_header header{};
      Body body{};
    } request;
    request.header.len = sizeof request;
    request.header.opcode = opcode;
    request.header.unique = unique;
    request.header.nodeid = FUSE_ROOT_ID;
    request.body = body;
    EXPECT_EQ(::send(kernel_, &request, sizeof request, 0), ssize_t{sizeof request});
  }
  fuse_out_header Answer() const {
    struct {
      fuse_out_header header{};
      std::array<std::byte, 4096> rest;
    } answer;
    EXPECT_GE(::recv(kernel_, &answer, sizeof answer, 0), ssize_t{sizeof answer.header});
    return answer.header;
  }
  int AnswerError(std::uint64_t unique) const {
    const fuse_out_header header = Answer();
    EXPECT_EQ(header.unique, unique);
    return header.error;
  }

  struct Destroy {
    void operator()(fuse_session* session) const { fuse_session_destroy(session); }
  };
  SlowRequests slow_;
  int kernel_ = -1;
  std::unique_ptr<fuse_session, Destroy> session_;
  std::unique_ptr<RequestLoop> loop_;
  std::thread serving_;
  int result_ = -1;
};

TEST_F(RequestLoopTest, StoppedBeforeItRunsItServesNothing) {
  Greet();
  RequestLoop loop(session_.get(), 2);
  loop.Stop();
  EXPECT_EQ(loop.Run(), 0);
  std::byte answer{};
  EXPECT_EQ(::recv(kernel_, &answer, sizeof answer, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(RequestLoopTest, EndsWhenTheMountIsGone) {
  Begin(4);
  CloseKernel();
  serving_.join();
  EXPECT_EQ(result_, 0);
}

// A signal would end a disk's sync with an error that the disk does not have.
TEST_F(RequestLoopTest, StoppingWakesWhoWaitsAndLeavesWhoServes) {
  Begin(4);
  Ask(2);
  EXPECT_TRUE(slow_.WaitForBegun(1));
  loop_->Stop();
  std::this_thread::sleep_for(100ms);  // some times as long as between two signals
  EXPECT_EQ(slow_.interrupted, 0);
  slow_.EndOne();
  EXPECT_EQ(End(), 0);
  EXPECT_EQ(slow_.interrupted, 0);
  EXPECT_EQ(AnswerError(2), -ENOENT);
}

TEST_F(RequestLoopTest, ServesAsManyAtOnceAsAllowedAndTheRestAfterwards) {
  constexpr int kThreads = 5;
  Begin(kThreads);
  std::set<std::uint64_t> asked;
  for (std::uint64_t unique = 2; unique < 2 + kThreads + 2; ++unique) {
    asked.insert(unique);
    Ask(unique);
  }
  EXPECT_TRUE(slow_.WaitForBegun(kThreads));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(slow_.begun, kThreads);
  for (std::size_t i = 0; i < asked.size(); ++i) slow_.EndOne();
  while (!asked.empty()) {
    const fuse_out_header answer = Answer();
    EXPECT_EQ(answer.error, -ENOENT);
    ASSERT_EQ(asked.erase(answer.unique), 1U);
  }
  EXPECT_EQ(End(), 0);
}

}  // namespace
}  // namespace varve
