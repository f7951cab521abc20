// Locks of inodes: a fixed number of reader-writer locks, an inode's chosen by its id.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <shared_mutex>

#include "store/base/ids.h"

namespace varve {

// An inode's lock protects its attributes (read, changed, committed as one), its entries if it is a
// directory, and its FileState. Two inodes may share a lock; whoever needs several takes them in
// one call, which sorts them, so that no two threads wait for one another.
class InodeLocks {
 public:
  static constexpr std::size_t kShards = 1024;
  static constexpr std::size_t kMaxAtOnce = 6;

  static std::size_t ShardOf(InodeId inode) {
    return std::hash<InodeId>()(inode) >> 32 & (kShards - 1);
  }

  // Holds the locks of up to kMaxAtOnce inodes for changing them. Ids of 0 are passed over.
  class Exclusive {
   public:
    Exclusive(InodeLocks& locks, std::initializer_list<InodeId> inodes);
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;
    ~Exclusive();

   private:
    InodeLocks& locks_;
    std::array<std::size_t, kMaxAtOnce> shards_{};
    std::size_t count_ = 0;
  };

  // Holds one inode's lock for looking.
  class Shared {
   public:
    Shared(InodeLocks& locks, InodeId inode) : lock_(locks.shards_[ShardOf(inode)]) {}

   private:
    std::shared_lock<std::shared_mutex> lock_;
  };

 private:
  std::array<std::shared_mutex, kShards> shards_;
};

}  // namespace varve
