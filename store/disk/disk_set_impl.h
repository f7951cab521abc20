// The inside of DiskSet. Private to store/disk.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "store/disk/assembly.h"
#include "store/disk/disk_set.h"
#include "store/disk/io_thread.h"

namespace varve {

// Two mutexes. membership_mutex serialises the steps from one epoch to the next and is held across
// label writes; state_mutex guards what readers look at and is never held across I/O. Order:
// membership_mutex, then state_mutex; callbacks run with neither.
struct DiskSet::Impl {
  struct Slot {
    std::shared_ptr<Disk> disk;  // null when missing or failed
    DiskState state = DiskState::kMissing;
    std::string path;
    std::string reason;
  };
  using Lost = std::vector<std::pair<DiskIndex, Error>>;

  Impl(Assembly assembly, std::vector<std::unique_ptr<Disk>> disks);

  // The methods below that change membership want membership_mutex held; none wants state_mutex.

  // Makes `next` the label of the epoch after the present one: a fresh id, every slot that is not
  // online marked failed, paths as they are now.
  void Stamp(DiskLabel& next) const;
  // Writes the stamped `next` to all online disks, each with its own slot and uuid. A disk that
  // does not take it is failed and the step taken anew, until all online disks have the same or
  // fewer than `minimum_disks` remain (kTooFewDisks). A disk that is merely full is not failed, for
  // the others will be full too: then the set is broken and kNoSpace the answer.
  Status Commit(DiskLabel next, int minimum_disks, Lost& lost);
  // The next epoch on at least m+1 disks.
  Status GoOn(DiskLabel next, Lost& lost);
  // The end of Replace and Rejoin: labels `disk`, then tells the others.
  Status TakeIn(DiskIndex slot, const std::shared_ptr<Disk>& disk, const Uuid& disk_uuid,
                Lost& lost);
  // Marks the slot failed and lets go of its disk, if it is online and its disk is `which` (null:
  // whichever). Needs no mutex held.
  void MarkFailed(DiskIndex slot, const Error& why, const Disk* which, Lost& lost);
  // Calls the callbacks; with no mutex held.
  void Announce(const Lost& lost) const;

  Status CheckSlot(DiskIndex slot) const;
  Error TooFew() const;
  // What a slot answers that is asked to do something.
  Error NotOnline(DiskIndex slot) const;
  // Disks without which the volume does not go on: those the journal needs, and as many as a whole
  // stripe needs to be read. Below that, another epoch would only make disks stale that may all be
  // back in a minute.
  int DisksToGoOn() const { return std::max(geometry.journal_copies(), geometry.data); }
  DiskLabel Label() const;
  DiskState State(DiskIndex slot) const;
  void Break();
  bool IsBroken() const;
  // Whether the labels do not say what is so: an absent member, an old path, an older epoch.
  bool NeedsEpoch() const;
  std::vector<std::pair<DiskIndex, std::shared_ptr<Disk>>> OnlineDisks() const;
  int OnlineCount() const { return static_cast<int>(OnlineDisks().size()); }

  const Geometry geometry;
  const int size;

  std::mutex membership_mutex;
  bool labels_differ;  // guarded by membership_mutex: an online disk's label is not the newest

  mutable std::mutex state_mutex;
  // Guarded by state_mutex.
  DiskLabel label;  // slot and disk_uuid are those of whichever disk it was read from
  std::vector<Slot> slots;
  bool broken = false;  // a step failed: never writable again
  std::vector<std::function<void(DiskIndex, const Error&)>> callbacks;

  // Last: their tasks use the above. Never changed after construction.
  std::vector<std::unique_ptr<IoThread>> threads;
};

// kExists if the disk holds a label, kNotEmpty if it holds anything else; both name it.
Status CheckEmpty(Disk& disk);

// A path as a label can keep it: a hint is better short than refused.
std::string PathHint(const std::string& path);

}  // namespace varve
