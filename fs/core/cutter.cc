#include "fs/core/cutter.h"

#include <pthread.h>

#include <algorithm>

namespace varve {

Cutter::Cutter(Core& core, std::chrono::milliseconds commit_interval)
    : core_(core),
      interval_(std::max(commit_interval, std::chrono::milliseconds(4))),
      thread_([this] { Run(); }) {}

void Cutter::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Cutter::Run() {
  pthread_setname_np(pthread_self(), "varve-cut");
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval_ / 4, [this] { return stopping_; })) {
    lock.unlock();
    {
      const Result<Gate::Visit> visit = core_.BeginChange();
      // What the volume refuses stays dirty: the next flush or fsync of that file tells its writer.
      if (visit.ok()) static_cast<void>(core_.CutOlderThan(interval_ / 2));
    }
    lock.lock();
  }
}

}  // namespace varve
