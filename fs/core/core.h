// What all parts of the filesystem stand on: gates, inode locks, states of open files, and the way
// their changes go into the volume. Lock order: docs/LOCKS.md.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fs/core/acls.h"
#include "fs/core/data_counts.h"
#include "fs/core/file_state.h"
#include "fs/core/filesystem.h"
#include "fs/core/gate.h"
#include "fs/core/inode_locks.h"
#include "fs/core/read_times.h"
#include "store/base/synchronized.h"

namespace varve {

// The extended attribute that makes a program privileged; the past never shows it.
inline constexpr std::string_view kCapabilityName = "security.capability";

class Core {
 public:
  Core(Volume& volume, const FilesystemOptions& options)
      : volume_(volume), options_(options), acls_(volume, states_) {}

  Volume& volume() { return volume_; }
  const FilesystemOptions& options() const { return options_; }
  InodeLocks& locks() { return locks_; }
  FileStates& states() { return states_; }
  Acls& acls() { return acls_; }
  ReadTimes& read_times() { return read_times_; }
  TimeNs Now() const { return options_.clock->Now(); }

  // Every operation that changes the present is inside the writers' gate from its first look to its
  // commit; kReadOnly after Shutdown. One that only looks is inside the readers' gate, which
  // rollback closes just for its commit.
  Result<Gate::Visit> BeginChange();
  Gate::Visit BeginLook() { return Gate::Visit(readers_); }
  Gate& writers() { return writers_; }
  Gate& readers() { return readers_; }
  // From now on BeginChange fails. Call with the writers' gate closed.
  void RefuseChanges() { refusing_ = true; }
  bool refusing() const { return refusing_; }

  // --- Under the inode's lock ---
  // The newest attributes, dirty ones included. kStale when the inode is no more.
  Result<InodeAttributes> Load(InodeId inode);
  // The same, and kNotDirectory / kNotFound (removed) unless it is a directory in the tree.
  Result<InodeAttributes> LoadDirectory(InodeId inode);
  // Must a read of the inode be heard of, and that it was read; `attributes` are the newest.
  bool IsReadDue(InodeId inode, const InodeAttributes& attributes) const;
  void NoteRead(InodeId inode, const InodeAttributes& attributes);
  // kStale if it is only remembered: it can be asked about, but not read or changed for good.
  Status CheckStored(InodeId inode);
  // An extended attribute at present; nothing if there is none. Under the inode's lock.
  Result<std::optional<std::string>> GetXattr(InodeId inode, std::string_view name);

  // Commits the times of reading that have gone along with no change, as maintenance, which is no
  // version. With the writers' gate closed. What cannot be committed is only that: nothing is told.
  void CommitReadTimes();

  // --- Without locks and gates ---
  // What stat(2) says of a node of the present.
  Result<NodeAttributes> Describe(InodeId inode, const InodeAttributes& attributes);
  // Sets the blocks of `stat`, a file of that view: data only, holes take none. `dirty` is what the
  // file has beside the view, in order.
  Status CountBlocks(const View& view, const InodeAttributes& attributes, struct stat& stat,
                     std::span<const View::ByteRange> dirty = {});

  // --- Under the exclusive locks of all inodes that are put or removed, inside the writers' gate
  // ---
  // What the change unlinks stays in memory until the kernel forgets it; what was removed before is
  // changed there only.
  Result<Lsn> Commit(Change change);
  // Commits what is dirty of `state` (may be null) together with `change`, which must put its
  // inode. After an error nothing is lost: the bytes are dirty as before. A removed inode's stay
  // dirty in any case.
  Result<Lsn> CommitWithDirty(FileState* state, Change change);
  // A version of its own of what is dirty; nothing to do if it is clean or the inode unlinked.
  Status Cut(InodeId inode);
  // The same whether or not it has a name: when its bytes are wanted in the volume. Of a removed
  // inode it is no version: the bytes alone go to its body.
  Status CutState(FileState& state);
  // What a removed inode, which is about to be put again, was given meanwhile.
  static void AppendKeptXattrs(const FileState& state, Change& change);
  // Adds to the buffer, keeping count.
  void AddDirty(FileState& state, std::uint64_t offset, ByteSpan bytes);
  // Forgets what is dirty: the inode is gone.
  void DropDirty(FileState& state);

  // --- Without inode locks, inside the writers' gate or with it closed ---
  // Cuts every file whose oldest dirty byte is older than `age`; all of them are tried, the first
  // error is returned.
  Status CutOlderThan(std::chrono::steady_clock::duration age);
  // Cuts files, those dirty for longest first, until no more than `bytes` are dirty.
  Status CutDownTo(std::uint64_t bytes);
  // The same with gates taken inside: what was written before the call is in the volume after it.
  Status CutAll();
  // kNoSpace if `bytes` more would not fit beside what is dirty. Inside the writers' gate: near the
  // end what is dirty is cut first, for it may turn out to need less.
  Status CheckSpace(std::uint64_t bytes);

  // The kernel shall take the node, when it next looks it up, for another than it knows. What is
  // open of the one it knows answers EIO from then on.
  void StartAnew(InodeId inode);
  // Without locks, outside the gates: the kernel knows the inode no more.
  void Forget(InodeId inode);

  std::uint64_t dirty_bytes() const { return dirty_bytes_; }

  // Namespace operations that move directories between directories, one at a time.
  std::mutex& rename_mutex() { return rename_mutex_; }
  // Making and deleting snapshots, one at a time.
  std::mutex& snapshot_mutex() { return snapshot_mutex_; }

 private:
  struct Dirty {
    InodeId inode;
    std::chrono::steady_clock::time_point since;
  };
  std::vector<Dirty> ListDirty() const;  // oldest first
  struct DirtyRanges {
    std::vector<View::ByteRange> ranges;
    Lsn last_change;
  };
  DirtyRanges LookAtDirty(InodeId inode);
  Status CutOne(InodeId inode);
  // `change` changes a removed inode and gives it no name.
  static bool StaysRemoved(const FileState& state, const Change& change);
  static void KeepXattrs(FileState& state, const Change& change);
  // What is dirty of `state` goes to its body, with `change`, whatever that puts.
  Result<Lsn> CommitDirty(FileState& state, Change change);
  void Bury(InodeId inode, InodeAttributes attributes, Lsn lsn);
  // A removed inode has a name again.
  void Raise(FileState& state);
  void SetDirtyMark(const FileState& state, std::uint64_t bytes_before);

  Volume& volume_;
  const FilesystemOptions options_;
  Gate writers_;
  Gate readers_;
  std::mutex rename_mutex_;
  std::mutex snapshot_mutex_;
  InodeLocks locks_;
  FileStates states_;
  DataCounts data_counts_;
  Acls acls_;
  ReadTimes read_times_;
  // Of nodes that the kernel has been told to take for new ones; 0 of all others. One for each such
  // node until the end: directories removed and brought back while the kernel knew them, and with a
  // writeback cache files that a rollback gave another size.
  Synchronized<std::map<InodeId, std::uint64_t>> generations_;
  std::atomic<bool> has_generations_{false};
  std::atomic<bool> refusing_{false};
  std::atomic<std::uint64_t> dirty_bytes_{0};
  Synchronized<std::map<InodeId, std::chrono::steady_clock::time_point>> dirty_since_;
};

}  // namespace varve
