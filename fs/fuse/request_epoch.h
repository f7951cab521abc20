// Waiting for the requests under way without holding up new ones.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>

namespace varve {

// Requests whose answers the kernel caches (a name, attributes, a listing) count themselves in and
// out. Whoever has changed what they look at, past the kernel, waits for those that may have looked
// before the change, so that what the kernel is then told to forget is not put back by a late
// answer. Requests that begin during the wait belong to the next epoch and are not waited for.
class RequestEpoch {
 public:
  class Scope {
   public:
    explicit Scope(RequestEpoch& epoch) : epoch_(epoch), entered_(epoch.Enter()) {}
    ~Scope() { epoch_.Leave(entered_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    RequestEpoch& epoch_;
    const std::uint64_t entered_;
  };

  // Not from within a Scope.
  void WaitForEarlier() {
    const std::lock_guard one_at_a_time(waiting_);
    const std::uint64_t old = now_.fetch_add(1);
    while (under_way_[old & 1].load() != 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

 private:
  std::uint64_t Enter() {
    while (true) {
      const std::uint64_t epoch = now_.load();
      under_way_[epoch & 1].fetch_add(1);
      // Counted in an epoch that has just ended: nobody may have seen it, so once more.
      if (now_.load() == epoch) return epoch;
      under_way_[epoch & 1].fetch_sub(1);
    }
  }
  void Leave(std::uint64_t epoch) { under_way_[epoch & 1].fetch_sub(1); }

  std::atomic<std::uint64_t> now_ = 0;
  std::array<std::atomic<std::uint64_t>, 2> under_way_{};
  std::mutex waiting_;
};

}  // namespace varve
