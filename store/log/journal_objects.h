// The objects of a journal segment on its disks: made, written and removed by parallel rounds, with
// the disks that fail declared failed. Private to store/log.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "store/disk/disk_set.h"
#include "store/log/journal_format.h"

namespace varve {

// A disk as it was when something was put on it: the slot may hold another one later. Does not keep
// the disk open.
class DiskPlace {
 public:
  DiskPlace(DiskIndex slot, const std::shared_ptr<Disk>& disk) : slot_(slot), disk_(disk) {}
  DiskIndex slot() const { return slot_; }
  // Null unless that very disk is online.
  std::shared_ptr<Disk> Get(const DiskSet& disks) const;

 private:
  DiskIndex slot_;
  std::weak_ptr<Disk> disk_;
};

struct SegmentReplica {
  DiskPlace place;
  std::unique_ptr<DiskFile> file;
};

// A segment's objects, one a replica, zeros or written over their whole length.
struct SegmentObjects {
  std::uint64_t sequence = 0;
  std::uint64_t size_bytes = 0;
  std::vector<SegmentReplica> replicas;

  std::vector<DiskPlace> places() const;
  bool AllOnline(const DiskSet& disks) const;
};

// What became of a round in which no disk set was broken: which disks did not do their part.
struct RoundOutcome {
  std::vector<DiskIndex> full;    // answered kNoSpace; still online
  std::vector<DiskIndex> failed;  // failed in the DiskSet, or replaced by another disk meanwhile
  bool ok() const { return full.empty() && failed.empty(); }
};

// Runs the task on each place's disk at once, then declares the disks failed that answered with
// anything but success or kNoSpace. An error is that of DiskSet::Fail: nothing can be written any
// more.
Result<RoundOutcome> RunRound(DiskSet& disks, std::span<const DiskPlace> places,
                              const std::function<Status(std::size_t index, Disk&)>& task);

// Makes the objects on m+1 online disks other than `full`, chosen by turns: zeros over
// `size_bytes`, synced, name and all. Disks found full are added to `full`. kTooFewDisks, or
// kNoSpace when disks would be enough if they were not full.
Result<SegmentObjects> CreateSegmentObjects(DiskSet& disks, std::uint64_t sequence,
                                            std::uint64_t size_bytes, std::vector<DiskIndex>& full);
// Makes the objects longer with zeros, durably.
Result<RoundOutcome> GrowSegmentObjects(DiskSet& disks, SegmentObjects& objects,
                                        std::uint64_t size_bytes);
// Writes to every replica and syncs it. No sync that failed is ever tried again.
Result<RoundOutcome> WriteSegmentObjects(DiskSet& disks, SegmentObjects& objects,
                                         std::uint64_t offset, ByteSpan bytes);

// Removes, on all online disks and durably, every object of the journal with a sequence below
// `before` for which keep(sequence) is false, and what interrupted copies left.
Status RemoveSegmentObjects(DiskSet& disks, std::uint64_t before,
                            const std::function<bool(std::uint64_t)>& keep);

// "writing the journal needs N disks ..." for what a round left too few of.
Error TooFewForJournal(const DiskSet& disks, std::span<const DiskIndex> full);

}  // namespace varve
