// The thread that cuts what nobody flushes, so that every write is durable within the interval.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "fs/core/core.h"

namespace varve {

// Owns the thread "varve-cut", from construction to Stop.
class Cutter {
 public:
  Cutter(Core& core, std::chrono::milliseconds commit_interval);
  ~Cutter() { Stop(); }
  // Waits for the cut under way. Idempotent; one caller at a time.
  void Stop();

 private:
  void Run();

  Core& core_;
  const std::chrono::milliseconds interval_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace varve
