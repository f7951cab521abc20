// What the connections to one database share in this process: SQLite's file locks, and the shared
// memory and its locks that the write-ahead log needs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace varve {

// Thread-safe. A connection is named by the address of its open file. Answers are SQLite codes.
class VfsLocks {
 public:
  using Owner = const void*;

  void Enter(Owner owner);
  // Gives back everything that the owner holds.
  void Leave(Owner owner);

  // The five levels of SQLite's file locks (SQLITE_LOCK_*).
  int Lock(Owner owner, int level);
  int Unlock(Owner owner, int level);
  bool IsReserved() const;

  // Shared memory comes in regions of one size, zeroed, at addresses that stay.
  int MapShared(Owner owner, int region, int region_bytes, bool extend, volatile void** address);
  int LockShared(Owner owner, int offset, int count, int flags);
  void UnmapShared(Owner owner);
  void Barrier();

 private:
  struct Holder {
    int level = 0;
    bool mapped = false;
    std::uint32_t shared_mask = 0;
    std::uint32_t exclusive_mask = 0;
  };
  using Region = std::vector<std::uint64_t>;

  mutable std::mutex mutex_;
  std::map<Owner, Holder> holders_;               // guarded by mutex_
  std::vector<std::unique_ptr<Region>> regions_;  // guarded by mutex_; contents are SQLite's
};

}  // namespace varve
