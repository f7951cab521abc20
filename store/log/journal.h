// The journal: the truth. Frames of changes in preallocated segments, replicated on m+1 disks.
//
// A segment is the object "journal/<16 hex digits of its sequence number>" on each of its m+1
// disks: a header, then frames, both whole numbers of kJournalBlockBytes, each frame with epoch,
// length, first and last LSN, checksum, and the checksum of the frame before it (the first frame:
// that of the header). The object is written with zeros over its whole length and synced before
// use, so that an append needs one write and one fdatasync and no metadata. Layout:
// journal_format.h; how history is told from what is on the disks: journal_scan.h.
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

// Reads the journals of all online disks. Of each segment as much counts as any of its replicas can
// carry on (an unacknowledged tail found on one replica is part of history), up to where a later
// segment goes on. Disks that are stale are not looked at. Nothing is written. A gap between the
// checkpoint and the first change, or inside, is kCorrupt and names the LSNs; so are changes that
// are known to have been acknowledged and that no replica has any more. Memory: all changes after
// the checkpoint (bounded by the checkpoint interval).
Result<JournalContents> ReadJournal(DiskSet& disks, const Uuid& volume_uuid);

// The writer. Thread-safe; Append and Checkpointed take turns. Holds no lock of its own while a
// callback of DiskSet::OnFailure runs but the one that makes them take turns, so that a callback
// must call neither.
class Journal {
 public:
  // Takes over what is on the disks: every segment that holds changes after the checkpoint is first
  // given m+1 whole copies again, an unacknowledged tail included. Then starts a new segment,
  // numbered `next_sequence` or higher, that says `checkpoint` (or a newer one that the disks know
  // of) in its header, durable on m+1 disks before this returns. Errors as ReadJournal and Append.
  static Result<std::unique_ptr<Journal>> Start(DiskSet& disks, const Uuid& volume_uuid,
                                                std::uint64_t next_sequence,
                                                std::optional<CheckpointRef> checkpoint,
                                                const JournalOptions& options);
  ~Journal();

  // Appends the changes, which must follow the last one without a gap in their LSNs (CHECK), as one
  // or more frames and returns when they are durable on m+1 disks: one parallel round of
  // write+fdatasync. When a disk fails it is failed in the DiskSet, a new segment is begun on m+1
  // healthy disks, older segments that the disk held are copied to others, and everything of this
  // call is written, before success is returned.
  // kNoSpace means: nothing of this call counts, and the next call may bring other changes under
  // the same LSNs. Any other error is for good: not known to be durable, and every later Append
  // answers the same; the volume goes read-only. Precondition: no change refers to a stripe that is
  // not durable.
  Status Append(std::span<const Change* const> changes);

  // From now on new segments say this checkpoint, which must be durable. Starts a new segment at
  // once (durable), then removes, on all online disks, all segments whose changes are all <=
  // checkpoint.last_lsn. kInvalidArgument when it is older than the present one or covers changes
  // that were never appended.
  Status Checkpointed(const CheckpointRef& checkpoint);

  // Prepares (preallocates) the next segment ahead of its use; called off the fast path. Does
  // nothing when there is one. An error leaves the journal as it was.
  Status PrepareNext();

  // Bytes of frames that hold changes after the last checkpoint: what a replay would read.
  std::uint64_t bytes_since_checkpoint() const;

 private:
  Journal();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
