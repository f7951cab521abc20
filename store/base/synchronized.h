// A value that can only be touched under its mutex.
#pragma once

#include <mutex>
#include <utility>

namespace varve {

template <typename T>
class Synchronized {
 public:
  template <typename... Args>
  explicit Synchronized(Args&&... args) : value_(std::forward<Args>(args)...) {}

  // A pointer that holds the mutex for as long as it lives.
  class Locked {
   public:
    T* operator->() { return value_; }
    T& operator*() { return *value_; }
    std::unique_lock<std::mutex>& lock() { return lock_; }

   private:
    friend class Synchronized;
    Locked(std::mutex& mutex, T* value) : lock_(mutex), value_(value) {}
    std::unique_lock<std::mutex> lock_;
    T* value_;
  };

  Locked Lock() const { return Locked(mutex_, &value_); }

 private:
  mutable std::mutex mutex_;
  mutable T value_;
};

}  // namespace varve
