// Rollback: a Change that makes something as it was, without touching anything else.
#pragma once

#include <vector>

#include "store/base/ids.h"
#include "store/log/change.h"
#include "store/volume/volume.h"

namespace varve {

struct RollbackPlan {
  Change change;            // to be committed; empty operations: nothing differs
  std::uint64_t bytes = 0;  // of memory that the operations take; their record is smaller
  // Present inodes and entries whose meaning it alters, for invalidating caches.
  std::vector<InodeId> inodes;
  std::vector<CommitRecord::TouchedEntry> entries;
};

// The caller holds all other writers off from before the call until the change is committed. Cost:
// O(changes since `to`), by the commits' touch lists, whatever the size of the tree. kTooLarge for
// one whose operations would take more memory than VolumeOptions::max_rollback_bytes.
//
// File: contents, size, mode, owner, times and xattrs as of `to`; the name stays. All links of the
// file see it.
Result<RollbackPlan> PlanFileRollback(Volume& volume, InodeId file, Lsn to);
// Directory (root: the whole tree): entries and everything below as of `to`. Nothing outside the
// directory changes: what has been moved out of it since stays where it is and comes back as a copy
// (a new inode sharing the same extents); what has been linked outside stays untouched there.
Result<RollbackPlan> PlanTreeRollback(Volume& volume, InodeId directory, Lsn to);

}  // namespace varve
