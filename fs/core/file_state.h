// What is known in memory of a present inode that is open or dirty, or removed but still known.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fs/core/inode_locks.h"
#include "fs/core/write_buffer.h"
#include "store/log/change.h"

namespace varve {

struct FileState {
  InodeId inode;
  // As programs see them: with the size and times of writes that are not cut yet.
  InodeAttributes attributes;
  WriteBuffer buffer;
  std::uint64_t handles = 0;  // open files or directories
  // Of those, files whose reads, writes and mappings go through the kernel's cache.
  std::uint64_t cached_handles = 0;
  // How often it was opened so; what was before this state was made counts as once. Who knows that
  // the kernel had forgotten all at some count knows that it holds nothing while that stays.
  std::uint64_t cached_opens = 1;
  // Bytes of direct writes that the kernel has not been told of yet. Its pages of them, written
  // back meanwhile, hold what was there before.
  struct Range {
    std::uint64_t from = 0, to = 0;
  };
  std::vector<Range> unanswered;
  Lsn last_change;        // fsync waits for this one
  bool linkable = false;  // made without a name (O_TMPFILE), and may be given one
  // Gone from the volume, and here for as long as the kernel knows it: a descriptor of O_PATH, an
  // open fifo or device, and a current directory can all be asked about, and open nothing here.
  bool removed = false;
  // Extended attributes put since it was removed, or with nothing: removed since. The others are in
  // the volume as they were.
  std::map<std::string, std::optional<std::string>> kept_xattrs;
  bool forgotten = false;  // the kernel does not know it any more
  // It is known to have no file capability, which a write would take. Set under the inode's lock,
  // shared or exclusive; unset under the exclusive one.
  std::atomic<bool> without_capability = false;
  // A directory that the kernel has removed: it lets nobody into it any more, whatever we say.
  bool dead = false;

  bool IsDirty() const { return !buffer.empty(); }
};

// All states. An entry is found, made and dropped under its inode's lock: the table is cut into the
// same shards, so it needs no lock of its own.
class FileStates {
 public:
  // Null if there is none. Under the inode's lock, shared or exclusive.
  FileState* Find(InodeId inode);
  // An attribute that a removed inode was given since; outer empty means "ask the volume". Under
  // the inode's lock.
  std::optional<std::optional<std::string>> KeptXattr(InodeId inode, std::string_view name);
  // Under the inode's exclusive lock.
  FileState& Make(InodeId inode, InodeAttributes attributes, Lsn last_change);
  // Drops the state when neither handles nor dirty bytes nor the kernel need it. Under the
  // exclusive lock.
  void DropIfIdle(FileState& state);

 private:
  std::array<std::unordered_map<InodeId, std::unique_ptr<FileState>>, InodeLocks::kShards> shards_;
};

}  // namespace varve
