#include "store/catalog/vfs_locks.h"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>

#include "store/base/check.h"

namespace varve {

void VfsLocks::Enter(Owner owner) {
  std::lock_guard lock(mutex_);
  holders_.emplace(owner, Holder{});
}

void VfsLocks::Leave(Owner owner) {
  UnmapShared(owner);
  std::lock_guard lock(mutex_);
  holders_.erase(owner);
}

int VfsLocks::Lock(Owner owner, int level) {
  std::lock_guard lock(mutex_);
  Holder& mine = holders_.at(owner);
  if (mine.level >= level) return SQLITE_OK;
  int highest_other = SQLITE_LOCK_NONE;
  for (const auto& [other, holder] : holders_) {
    if (other != owner) highest_other = std::max(highest_other, holder.level);
  }
  if (level == SQLITE_LOCK_SHARED) {
    if (highest_other >= SQLITE_LOCK_PENDING) return SQLITE_BUSY;
    mine.level = SQLITE_LOCK_SHARED;
    return SQLITE_OK;
  }
  if (highest_other >= SQLITE_LOCK_RESERVED) return SQLITE_BUSY;
  if (level == SQLITE_LOCK_RESERVED) {
    mine.level = SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
  }
  // Pending keeps new readers out while those inside finish.
  mine.level = SQLITE_LOCK_PENDING;
  if (highest_other >= SQLITE_LOCK_SHARED) return SQLITE_BUSY;
  mine.level = SQLITE_LOCK_EXCLUSIVE;
  return SQLITE_OK;
}

int VfsLocks::Unlock(Owner owner, int level) {
  std::lock_guard lock(mutex_);
  Holder& mine = holders_.at(owner);
  mine.level = std::min(mine.level, level);
  return SQLITE_OK;
}

bool VfsLocks::IsReserved() const {
  std::lock_guard lock(mutex_);
  return std::any_of(holders_.begin(), holders_.end(),
                     [](const auto& held) { return held.second.level >= SQLITE_LOCK_RESERVED; });
}

int VfsLocks::MapShared(Owner owner, int region, int region_bytes, bool extend,
                        volatile void** address) {
  std::lock_guard lock(mutex_);
  holders_.at(owner).mapped = true;
  *address = nullptr;
  const auto index = static_cast<std::size_t>(region);
  if (index >= regions_.size()) {
    if (!extend) return SQLITE_OK;
    const std::size_t words = static_cast<std::size_t>(region_bytes) / sizeof(std::uint64_t);
    while (regions_.size() <= index) regions_.push_back(std::make_unique<Region>(words));
  }
  *address = regions_[index]->data();
  return SQLITE_OK;
}

int VfsLocks::LockShared(Owner owner, int offset, int count, int flags) {
  CHECK(offset >= 0 && count >= 1 && offset + count <= SQLITE_SHM_NLOCK);
  const std::uint32_t mask = ((1u << count) - 1u) << offset;
  std::lock_guard lock(mutex_);
  Holder& mine = holders_.at(owner);
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    mine.shared_mask &= ~mask;
    mine.exclusive_mask &= ~mask;
    return SQLITE_OK;
  }
  const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  for (const auto& [other, holder] : holders_) {
    if (other == owner) continue;
    if ((holder.exclusive_mask & mask) != 0) return SQLITE_BUSY;
    if (exclusive && (holder.shared_mask & mask) != 0) return SQLITE_BUSY;
  }
  (exclusive ? mine.exclusive_mask : mine.shared_mask) |= mask;
  return SQLITE_OK;
}

void VfsLocks::UnmapShared(Owner owner) {
  std::lock_guard lock(mutex_);
  const auto found = holders_.find(owner);
  if (found == holders_.end()) return;
  found->second.mapped = false;
  found->second.shared_mask = 0;
  found->second.exclusive_mask = 0;
  // The index of the log is rebuilt from the log by whoever comes next, so the last one out may
  // always clear it.
  const bool in_use = std::any_of(holders_.begin(), holders_.end(),
                                  [](const auto& held) { return held.second.mapped; });
  if (!in_use) regions_.clear();
}

void VfsLocks::Barrier() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // Taking the mutex as well orders it for compilers and checkers that do not model fences.
  std::lock_guard lock(mutex_);
}

}  // namespace varve
