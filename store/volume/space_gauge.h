// How much can still be written: a look at the disks now and then, and what has been committed
// since.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

#include "store/base/synchronized.h"
#include "store/disk/disk_set.h"

namespace varve {

// Thread-safe. Says too little rather than too much: what does not lie on the disks yet counts as
// it is, uncompressed.
//
// The last part of every device is a reserve. Data is refused when only that is left; it is for the
// journal, the catalog, and changes without data (unlink, rename, rollback), which are refused when
// half of it is gone. The other half is for what cannot be refused: applying and checkpointing what
// has been acknowledged, also by the next mount.
class SpaceGauge {
 public:
  // What is on its way to the disks.
  struct Underway {
    std::uint64_t data_bytes = 0;     // acknowledged or waiting, in no stripe yet
    std::uint64_t changes = 0;        // not in the catalog yet
    std::uint64_t journal_bytes = 0;  // by which the journal may still grow, on each of its disks
  };
  using AskUnderway = std::function<Underway()>;

  // Looks at the disks. `ask` is called once, before they are looked at.
  void Look(DiskSet& disks, const AskUnderway& ask);
  // Has so much been committed since the last look that it is time for another?
  bool IsStale() const;
  // A change with that much data has been committed.
  void Committed(std::uint64_t data_bytes);

  std::uint64_t capacity_bytes() const { return seen_.Lock()->capacity_bytes; }
  // Logical bytes that can still be written at the volume's redundancy.
  std::uint64_t AvailableBytes() const;
  // Whether a change without data can be taken, of which a disk has to hold so many bytes (in the
  // journal and the catalog; 0: an ordinary one).
  bool TakesChange(std::uint64_t bytes) const { return seen_.Lock()->change_bytes > bytes; }

 private:
  struct Seen {
    std::uint64_t capacity_bytes = 0;
    std::uint64_t available_bytes = 0;   // underway deducted
    std::uint64_t committed_bytes = 0;   // committed_ when it was looked
    std::uint64_t changes = 0;           // changes_ then
    std::uint64_t change_bytes = ~0ULL;  // a disk's room for changes without data
  };

  std::atomic<std::uint64_t> committed_bytes_{0};
  std::atomic<std::uint64_t> changes_{0};
  std::mutex look_mutex_;  // one look at a time; held across statvfs(2) of the disks
  Synchronized<Seen> seen_;
};

}  // namespace varve
