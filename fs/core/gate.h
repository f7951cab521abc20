// A gate that many may be inside of at once, and one may close for all others.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace varve {

// Like std::shared_mutex, but whoever closes goes first, so that a steady stream of visitors cannot
// starve him. Not recursive: a thread inside must not enter again.
class Gate {
 public:
  class Visit {
   public:
    explicit Visit(Gate& gate) : gate_(&gate) { gate.Enter(); }
    Visit(Visit&& other) noexcept : gate_(other.gate_) { other.gate_ = nullptr; }
    Visit& operator=(Visit&&) = delete;
    ~Visit() {
      if (gate_ != nullptr) gate_->Leave();
    }

   private:
    Gate* gate_;
  };

  class Closure {
   public:
    explicit Closure(Gate& gate) : gate_(gate) { gate.Close(); }
    Closure(const Closure&) = delete;
    Closure& operator=(const Closure&) = delete;
    ~Closure() { gate_.Open(); }

   private:
    Gate& gate_;
  };

 private:
  void Enter() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return closers_ == 0; });
    ++inside_;
  }
  void Leave() {
    std::lock_guard lock(mutex_);
    if (--inside_ == 0 && closers_ != 0) emptied_.notify_all();
  }
  void Close() {
    std::unique_lock lock(mutex_);
    ++closers_;
    emptied_.wait(lock, [this] { return inside_ == 0 && !closed_; });
    closed_ = true;
  }
  void Open() {
    std::lock_guard lock(mutex_);
    closed_ = false;
    --closers_;
    emptied_.notify_all();
    opened_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable opened_;
  std::condition_variable emptied_;
  std::uint64_t inside_ = 0;
  std::uint64_t closers_ = 0;  // waiting for the gate or holding it
  bool closed_ = false;
};

}  // namespace varve
