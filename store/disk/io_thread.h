// A named thread that runs tasks in order from a bounded queue. Private to store/disk.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace varve {

// Thread-safe. The destructor runs what is queued, then ends the thread.
class IoThread {
 public:
  // `owner` is told back by CurrentOwner() on this thread: who must not wait for it.
  IoThread(const std::string& name, const void* owner);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // Waits while the queue is full.
  void Submit(std::function<void()> task);

  // The owner of the IoThread that is calling, or null on any other thread.
  static const void* CurrentOwner();

 private:
  static constexpr std::size_t kMaxQueued = 64;

  void Run(const std::string& name, const void* owner);

  std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  std::deque<std::function<void()>> queue_;
  bool ending_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace varve
