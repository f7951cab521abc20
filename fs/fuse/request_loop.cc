#include "fs/fuse/request_loop.h"

#include <fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <system_error>

namespace varve {
namespace {

// Enough that a request finds somebody awake or about to be; with more, their caches cool down.
constexpr std::uint32_t kMostWaiting = 3;
// Interrupts a thread's wait in the kernel; it does nothing else. One that comes just before the
// wait is lost, so it is sent again.
constexpr int kWakeSignal = SIGUSR1;
constexpr std::chrono::milliseconds kWakeInterval{20};

// How long a thread that has served a request looks out for the next before it sleeps. Waking it
// would take longer than that, most of all on a virtual machine, whose idle processors the host has
// to wake.
constexpr std::chrono::microseconds kLongestLookout{50};
constexpr std::chrono::microseconds kShortestLookout{10};

void IgnoreSignal(int /*signal*/) {}

// Other signals are for the threads that wait for them.
void TakeOnlyTheWakeSignal() {
  sigset_t others;
  sigfillset(&others);
  sigdelset(&others, kWakeSignal);
  pthread_sigmask(SIG_SETMASK, &others, nullptr);
}

// Takes a request as fuse_session_receive_buf does, but looks out for it before it sleeps, giving
// way to whoever else wants the processor. How long follows the requests, as KVM does with a guest
// that has nothing to do (halt polling): where they come too seldom to be caught, it soon sleeps at
// once.
class Lookout {
 public:
  explicit Lookout(fuse_session* session) : session_(session) {}

  int Receive(fuse_buf* buffer) {
    const auto begin = Clock::now();
    pollfd device{fuse_session_fd(session_), POLLIN, 0};
    while (Clock::now() - begin < window_ && ::poll(&device, 1, 0) == 0) sched_yield();
    const int got = fuse_session_receive_buf(session_, buffer);
    if (Clock::now() - begin <= kLongestLookout) {
      window_ = kLongestLookout;
    } else {
      window_ = window_ / 2 < kShortestLookout ? Clock::duration{} : window_ / 2;
    }
    return got;
  }

 private:
  using Clock = std::chrono::steady_clock;

  fuse_session* const session_;
  Clock::duration window_{};
};

struct Buffer : fuse_buf {
  Buffer() : fuse_buf{} {}
  ~Buffer() { Clear(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void Clear() {
    std::free(mem);  // libfuse's malloc
    static_cast<fuse_buf&>(*this) = fuse_buf{};
  }
};

}  // namespace

int RequestLoop::Run() {
  struct sigaction action{};
  action.sa_handler = IgnoreSignal;  // without SA_RESTART, so that waiting ends
  ::sigaction(kWakeSignal, &action, nullptr);

  std::unique_lock lock(mutex_);
  // One until libfuse and the kernel have agreed on how large a request may be.
  if (!over_) StartThread();
  ended_.wait(lock, [&] { return over_; });
  while (alive_ > 0) {
    // Not one that serves: it may be at a disk, where a sync that is interrupted has failed.
    for (const pthread_t thread : waiting_) pthread_kill(thread, kWakeSignal);
    ended_.wait_for(lock, kWakeInterval, [&] { return alive_ == 0; });
  }
  lock.unlock();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  return result_;
}

void RequestLoop::Stop() { Finish(0); }

void RequestLoop::Finish(int result) {
  const std::lock_guard lock(mutex_);
  if (!over_) result_ = result;
  over_ = true;
  place_.notify_all();
  ended_.notify_all();
}

void RequestLoop::StartThread() {
  threads_.emplace_back([this] { Serve(); });
  ++alive_;
  pthread_setname_np(threads_.back().native_handle(),
                     ("fuse-" + std::to_string(threads_.size())).c_str());
}

bool RequestLoop::TryStartThread() {
  try {
    StartThread();
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

bool RequestLoop::BeginWaiting() {
  std::unique_lock lock(mutex_);
  ++beside_;
  place_.wait(lock, [&] { return over_ || waiting_.size() < kMostWaiting; });
  --beside_;
  if (over_) return false;
  waiting_.push_back(pthread_self());
  return true;
}

void RequestLoop::EndWaiting() {
  const std::lock_guard lock(mutex_);
  std::erase(waiting_, pthread_self());
  if (!waiting_.empty() || over_ || !greeted_) return;
  if (beside_ > 0) {
    place_.notify_one();
  } else if (threads_.size() < max_threads_) {
    TryStartThread();
  }
}

void RequestLoop::Greeted() {
  const std::lock_guard lock(mutex_);
  greeted_ = true;
  while (!over_ && threads_.size() < std::min(max_threads_, kMostWaiting) && TryStartThread()) {
  }
}

void RequestLoop::Serve() {
  TakeOnlyTheWakeSignal();
  Buffer buffer;
  Lookout lookout(session_);
  bool greeting = false;
  {
    const std::lock_guard lock(mutex_);
    greeting = !greeted_;
  }
  while (BeginWaiting()) {
    const int got = lookout.Receive(&buffer);
    EndWaiting();
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got <= 0) {  // the mount is gone, or the device fails
      Finish(got);
      break;
    }
    fuse_session_process_buf(session_, &buffer);
    if (fuse_session_exited(session_)) {  // libfuse and the kernel do not agree
      Finish(0);
      break;
    }
    if (!greeting) continue;
    greeting = false;
    buffer.Clear();  // requests may be larger from now on
    Greeted();
  }
  const std::lock_guard lock(mutex_);
  --alive_;
  ended_.notify_all();
}

}  // namespace varve
