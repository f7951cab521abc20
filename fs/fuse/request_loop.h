// The threads that take requests from the kernel and serve them. libfuse has a loop of its own;
// there as many threads wait in the kernel as were ever needed at once, and each request wakes the
// one that has slept longest, whose memory is coldest. Here a few wait in the kernel and the others
// beside, until all of the few are busy. Who has served a request looks out for the next for some
// microseconds before sleeping, as long as that succeeds.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "store/base/check.h"

struct fuse_session;

namespace varve {

class RequestLoop {
 public:
  // At most `max_threads` requests are served at once: 2 at least, for one may wait until the
  // kernel has forgotten pages that another fills. The session must outlive this.
  RequestLoop(fuse_session* session, std::uint32_t max_threads)
      : session_(session), max_threads_(max_threads) {
    CHECK(max_threads >= 2, "one thread can wait for itself");
  }

  // Serves until the mount is gone, Stop is called or the kernel's device fails; all requests taken
  // have been answered when it returns, and all threads ended. 0, or -errno of the device.
  int Run();
  // Makes Run end. Thread-safe, before and after Run too.
  void Stop();

 private:
  void Serve();
  // Waits until a thread more may wait in the kernel; false: it is over.
  bool BeginWaiting();
  // A request has been taken; if nobody waits for the next, somebody shall.
  void EndWaiting();
  void Greeted();
  void Finish(int result);
  void StartThread();  // under mutex_
  // Where the system has no thread to give, those that are there go on. Under mutex_.
  bool TryStartThread();

  fuse_session* const session_;
  const std::uint32_t max_threads_;

  std::mutex mutex_;
  std::condition_variable place_;  // for threads beside: a place in the kernel is free, or the end
  std::condition_variable ended_;  // for Run
  // Under mutex_.
  std::vector<std::thread> threads_;
  std::uint32_t alive_ = 0;         // of threads_
  std::vector<pthread_t> waiting_;  // of threads_, in the kernel
  std::uint32_t beside_ = 0;
  bool greeted_ = false;  // the first request, the kernel's greeting, has been served
  bool over_ = false;
  int result_ = 0;
};

}  // namespace varve
