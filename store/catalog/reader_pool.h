// The catalog's connections for reading, each used by one thread at a time.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "store/catalog/sqlite.h"

namespace varve {

// Thread-safe. Every lease must be given back before the pool is destroyed.
class ReaderPool {
 public:
  class Lease {
   public:
    Lease(ReaderPool& pool, std::unique_ptr<Database> database)
        : pool_(&pool), database_(std::move(database)) {}
    ~Lease() {
      if (database_ != nullptr) pool_->Return(std::move(database_));
    }
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;

    Database* operator->() const { return database_.get(); }
    Database& operator*() const { return *database_; }

   private:
    ReaderPool* pool_;
    std::unique_ptr<Database> database_;
  };

  void Add(std::unique_ptr<Database> database) { Return(std::move(database)); }
  // Waits until a connection is free. A thread holds at most one.
  Lease Take() {
    std::unique_lock lock(mutex_);
    free_condition_.wait(lock, [this] { return !free_.empty(); });
    // The one used last has the warmest cache.
    std::unique_ptr<Database> database = std::move(free_.back());
    free_.pop_back();
    return Lease(*this, std::move(database));
  }
  void Close() {
    std::lock_guard lock(mutex_);
    free_.clear();
  }

 private:
  void Return(std::unique_ptr<Database> database) {
    {
      std::lock_guard lock(mutex_);
      free_.push_back(std::move(database));
    }
    free_condition_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable free_condition_;
  std::vector<std::unique_ptr<Database>> free_;  // guarded by mutex_
};

}  // namespace varve
