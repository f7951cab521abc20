// The journal: the truth. Frames of changes in preallocated segments, replicated on m+1 disks.
//
// A segment is the object "journal/<16 hex digits of its sequence number>" on each of its m+1
// disks: a header block, then frames, each a multiple of kJournalBlockBytes, each with epoch, length,
// first and last LSN, checksum, and the checksum of the frame before it (the first frame: that of the
// header). The object is written with zeros over its whole length and synced before use, so that an
// append needs one write and one fdatasync and no metadata.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "store/base/finding.h"
#include "store/disk/disk_set.h"
#include "store/log/change.h"
#include "store/log/checkpoint.h"

namespace varve {

inline constexpr std::uint32_t kJournalBlockBytes = 4096;

struct JournalOptions {
  // Length of a segment; a frame larger than what is left starts a new segment; a frame larger than
  // a segment makes a segment of its own size.
  std::uint64_t segment_bytes = 8 * 1024 * 1024;
};

// What recovery found on the disks.
struct JournalContents {
  // Where the covered part of history is: from the newest valid segment header. Nothing when the
  // volume has never been checkpointed.
  std::optional<CheckpointRef> checkpoint;
  // Valid changes after checkpoint->last_lsn in LSN order, without gaps.
  std::vector<Change> changes;
  std::uint64_t last_sequence = 0;  // highest segment number seen on any disk, valid or not
  std::vector<Finding> findings;    // broken or missing replicas, torn tail (a note)
};

// Reads the journals of all online disks: for each segment the longest valid chain among its
// replicas counts (an unacknowledged tail found on one replica is part of history). Disks that are
// stale are not looked at. A gap between the checkpoint and the first change, or inside, is kCorrupt
// and names the LSNs. Memory: all changes after the checkpoint (bounded by the checkpoint interval).
Result<JournalContents> ReadJournal(DiskSet& disks, const Uuid& volume_uuid);

// The writer. Used by one thread at a time (the committer), but for segments()/freed space queries.
class Journal {
 public:
  // Starts a new segment numbered `next_sequence` that says `checkpoint` in its header, durable on
  // m+1 disks before this returns. Older segments on the disks are left alone (see Forget).
  static Result<std::unique_ptr<Journal>> Start(DiskSet& disks, const Uuid& volume_uuid,
                                                std::uint64_t next_sequence,
                                                std::optional<CheckpointRef> checkpoint,
                                                const JournalOptions& options);
  ~Journal();

  // Appends the changes as one or more frames and returns when they are durable on m+1 disks: one
  // parallel round of write+fdatasync. On a disk's failure that disk is failed in the DiskSet, a new
  // segment is begun on m+1 healthy disks and everything of this call is written there, before
  // success is returned. An error means: not durable, and no later Append may succeed; the volume
  // goes read-only. Precondition: no change refers to a stripe that is not durable.
  Status Append(std::span<const Change* const> changes);

  // From now on new segments say this checkpoint. Starts a new segment at once (durable), then
  // removes all segments, on all online disks, whose changes are all <= checkpoint.last_lsn.
  Status Checkpointed(const CheckpointRef& checkpoint);

  // Prepares (preallocates) the next segment ahead of its use; called off the fast path.
  Status PrepareNext();

  // Bytes of frames appended since the last checkpoint.
  std::uint64_t bytes_since_checkpoint() const;

 private:
  Journal();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
