// The front door of the store: Commit a Change, look At a moment. Wires journal, stripes and
// catalog, owns the threads ("varve-commit", "varve-apply", "varve-health").
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/base/clock.h"
#include "store/base/finding.h"
#include "store/catalog/catalog.h"
#include "store/disk/disk_set.h"
#include "store/log/change.h"
#include "store/log/journal.h"
#include "store/log/stripe_reader.h"
#include "store/log/stripe_writer.h"
#include "store/volume/view.h"

namespace varve {

struct VolumeOptions {
  std::chrono::milliseconds commit_interval{1000};
  // Bound of the bytes waiting to be placed; Commit blocks beyond it.
  std::uint64_t pending_limit_bytes = 128 * 1024 * 1024;
  // A commit begins early when this many bytes wait.
  std::uint64_t batch_bytes = 32 * 1024 * 1024;
  // A batch with no more unplaced bytes than this goes inline into the journal.
  std::uint64_t inline_limit_bytes = 256 * 1024;
  // A checkpoint is taken when the journal has grown by this much since the last.
  std::uint64_t checkpoint_journal_bytes = 64 * 1024 * 1024;
  // A rollback whose operations would take more memory than this is refused. Less than a frame of
  // the journal, which holds their record.
  std::uint64_t max_rollback_bytes = 512ULL * 1024 * 1024;
  JournalOptions journal;
  StripeWriterOptions stripes;
  CatalogOptions catalog;
  Clock* clock = &SystemClock();
  FindingSink findings = [](const Finding&) {};
  // How often disks are probed.
  std::chrono::milliseconds probe_interval{1000};
};

struct RootOwner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

struct VolumeStatus {
  DiskLabel label;
  std::vector<DiskStatus> disks;
  bool read_only = false;
  std::string read_only_reason;
  bool rebuilding_catalog = false;
  Lsn last, durable, applied, checkpointed;
  TimeNs first_time_ns = 0;  // how far back one can go
  TimeNs last_time_ns = 0;
  std::uint64_t pending_bytes = 0;
  std::uint64_t capacity_bytes = 0;   // logical, at the volume's redundancy
  std::uint64_t available_bytes = 0;  // logical, that can still be written
};

class Volume {
 public:
  // Labels the disks and writes the first change (the root directory). All disks or an error; a
  // volume that was not formatted to the end is refused by Open with words that say so.
  static Status Format(std::vector<std::unique_ptr<Disk>> disks, const FormatOptions& format,
                       const RootOwner& owner, const VolumeOptions& options);

  // Recovers (catalog from checkpoints and journal if need be, replay, re-replication of an
  // unacknowledged tail, orphans removed), begins a new epoch if disks are missing, then serves.
  // `progress` hears plain lines about steps that take time.
  static Result<std::unique_ptr<Volume>> Open(
      std::unique_ptr<DiskSet> disks, const VolumeOptions& options,
      std::function<void(const std::string&)> progress = {});
  // Close, if it has not been called.
  ~Volume();
  // Makes everything durable, applied and checkpointed, ends the threads. Idempotent.
  Status Close();

  // --- Writing ---
  // Gives the change its LSN and time and makes it visible; durable within the commit interval or
  // after Sync. Thread-safe; the caller orders changes that touch the same things. Blocks while too
  // many bytes are pending. kReadOnly after the volume has lost its ability to write, kNoSpace
  // when the disks cannot take it; a change without data can be taken for longer (SpaceGauge).
  Result<Lsn> Commit(Change change);
  // Returns when every change up to `lsn` survives power loss together with the loss of m disks;
  // the caller may be the one who writes them, and others' with them. Thread-safe. Errors as
  // Commit.
  Status Sync(Lsn lsn);
  Status SyncAll() { return Sync(last_lsn()); }
  // A number never used before as inode, body or cookie. Thread-safe.
  std::uint64_t AllocateId();
  // All numbers allocated so far are below.
  std::uint64_t NextId() const;
  // kNoSpace if `bytes` more of logical data would not fit. Cheap as long as they do; near the end
  // it waits until what was committed before is durable and applied.
  Status CheckSpace(std::uint64_t bytes);
  // The same for a change without data, of which each disk may have to hold so many bytes.
  Status CheckSpaceOfChange(std::uint64_t bytes);
  std::uint64_t max_rollback_bytes() const;

  // --- Reading ---
  View Now() { return View(this, kLsnNow); }
  // The tree right after change `lsn`; waits until that is in the catalog (not for the disks).
  // kInvalidArgument beyond last_lsn() or before the first change.
  Result<View> At(Lsn lsn);
  Lsn last_lsn() const;
  TimeNs last_time_ns() const;
  // The time the next change would get, by the volume's clock.
  TimeNs NextTime() const;
  // The moment of a wall time: the last change at or before it. kInvalidArgument with a clear
  // message before the volume existed or in the future (after the clock's now).
  Result<Lsn> LsnAtTime(TimeNs time_ns);
  Result<TimeNs> TimeOf(Lsn lsn);

  // --- History (waits until all that is committed is applied) ---
  Status ForEachCommit(Lsn first, Lsn last, Catalog::Order order,
                       const std::function<Result<bool>(const CommitRecord&)>& visit);
  Result<std::vector<EntryVersion>> EntryHistory(InodeId parent, std::string_view name);
  Result<std::vector<InodeVersion>> InodeHistory(InodeId inode);
  Result<std::vector<SnapshotRecord>> Snapshots();
  // Before the chunks of a body of the present are cloned: waits until they have been applied if
  // the clone would copy more than a little of what has not.
  Status PrepareClone(BodyId body, ChunkIndex first, std::uint64_t count);
  // All names that `inode` had as of `lsn` (kLsnNow: has), those given last first.
  Result<std::vector<Catalog::Link>> LinksOf(InodeId inode, Lsn lsn);
  // Where `inode` was in the tree as of `lsn`: "/a/b"; for messages, so "inode 42" if unknown.
  std::string PathOf(InodeId inode, Lsn lsn);

  VolumeStatus status() const;

  // --- Parts, for checking and repair ---
  DiskSet& disks();
  std::shared_ptr<Catalog> catalog();
  StripeReader& reader();

 private:
  friend class View;
  Volume();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
