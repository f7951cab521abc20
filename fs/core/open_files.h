// The table of open files and directories.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "fs/core/filesystem.h"

namespace varve {

// Handles are numbers that are never used again, so that a stale one is noticed. Thread-safe.
template <typename T>
class HandleTable {
 public:
  FileHandle Add(std::shared_ptr<T> item) {
    const FileHandle handle(next_++);
    Shard& shard = ShardOf(handle);
    const std::lock_guard lock(shard.mutex);
    shard.items.emplace(handle, std::move(item));
    return handle;
  }

  // kStale: never given out, or released.
  Result<std::shared_ptr<T>> Find(FileHandle handle) {
    Shard& shard = ShardOf(handle);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.items.find(handle);
    if (found == shard.items.end()) {
      return Error(ErrorCode::kStale, "file handle " + std::to_string(handle.value) + " is closed");
    }
    return found->second;
  }

  // Takes it out; null if it is not there.
  std::shared_ptr<T> Remove(FileHandle handle) {
    Shard& shard = ShardOf(handle);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.items.find(handle);
    if (found == shard.items.end()) return nullptr;
    std::shared_ptr<T> item = std::move(found->second);
    shard.items.erase(found);
    return item;
  }

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_map<FileHandle, std::shared_ptr<T>> items;
  };
  Shard& ShardOf(FileHandle handle) { return shards_[handle.value % shards_.size()]; }

  std::atomic<std::uint64_t> next_{1};
  std::array<Shard, 16> shards_;
};

// An open file. Of the present: its FileState lives as long as the handle. Of the past: all that is
// needed to read it.
struct OpenFile {
  InodeId inode;
  int flags = 0;
  bool direct = false;  // as OpenResult's
  // If it is: its inode's cached_opens when the kernel, opening it, forgot all it held; or nothing.
  std::optional<std::uint64_t> forgot_at;
  Lsn at = kLsnNow;
  InodeAttributes past;  // unless at is kLsnNow
  bool IsPast() const { return at != kLsnNow; }
};

}  // namespace varve
