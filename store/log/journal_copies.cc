#include "store/log/journal_copies.h"

#include <algorithm>
#include <optional>

namespace varve {
namespace {

bool Holds(const std::vector<DiskPlace>& places, DiskIndex slot) {
  return std::ranges::any_of(places, [&](const DiskPlace& p) { return p.slot() == slot; });
}

std::optional<DiskPlace> ChooseTarget(DiskSet& disks, const OldSegment& segment,
                                      const std::vector<DiskIndex>& full) {
  std::vector<DiskIndex> slots;
  // Those that have a bad copy first, so that it does not stay.
  for (const DiskPlace& place : segment.others) slots.push_back(place.slot());
  const std::vector<DiskIndex> online = disks.OnlineSlots();
  for (std::size_t i = 0; i < online.size(); ++i) {
    slots.push_back(online[(segment.header.sequence + i) % online.size()]);
  }
  for (DiskIndex slot : slots) {
    if (Holds(segment.whole, slot) || std::ranges::find(full, slot) != full.end()) continue;
    std::shared_ptr<Disk> disk = disks.online(slot);
    if (disk != nullptr) return DiskPlace(slot, disk);
  }
  return std::nullopt;
}

// The bytes, verified as they are read, from whatever copies there are.
Result<ByteVector> ReadBytes(DiskSet& disks, const OldSegment& segment) {
  ScannedSegment source;
  source.header = segment.header;
  source.header_bytes = segment.header_bytes;
  source.header_checksum = segment.header_checksum;
  source.limit = segment.last;
  for (const std::vector<DiskPlace>* places : {&segment.whole, &segment.others}) {
    for (const DiskPlace& place : *places) {
      std::shared_ptr<Disk> disk = place.Get(disks);
      if (disk != nullptr) source.copies.push_back({place.slot(), std::move(disk)});
    }
  }
  return ReadSegmentBytes(source, disks.epoch());
}

}  // namespace

OldSegment ToOldSegment(DiskSet& disks, const ScannedSegment& segment, const SegmentChain& chain) {
  OldSegment old;
  old.header = segment.header;
  old.header_bytes = segment.header_bytes;
  old.header_checksum = segment.header_checksum;
  old.last = chain.last;
  old.end_bytes = chain.end_bytes;
  for (std::size_t i = 0; i < segment.copies.size(); ++i) {
    DiskPlace place(segment.copies[i].slot, segment.copies[i].disk);
    (chain.good[i] >= chain.last ? old.whole : old.others).push_back(std::move(place));
  }
  for (const Finding& broken : segment.broken) {
    if (!broken.disk.has_value()) continue;
    std::shared_ptr<Disk> disk = disks.online(*broken.disk);
    if (disk != nullptr) old.others.emplace_back(*broken.disk, disk);
  }
  return old;
}

Status RestoreCopies(DiskSet& disks, OldSegment& segment, std::vector<DiskIndex>& full) {
  const auto wanted = static_cast<std::size_t>(disks.geometry().journal_copies());
  const std::string name = JournalObjectName(segment.header.sequence);
  while (true) {
    for (std::vector<DiskPlace>* places : {&segment.whole, &segment.others}) {
      std::erase_if(*places, [&](const DiskPlace& p) { return p.Get(disks) == nullptr; });
    }
    if (segment.whole.size() >= wanted) return {};
    std::optional<DiskPlace> target = ChooseTarget(disks, segment, full);
    if (!target.has_value()) return TooFewForJournal(disks, full).In("copying " + name);
    Result<ByteVector> bytes = ReadBytes(disks, segment);
    if (!bytes.ok()) return bytes.error().In("copying " + name);
    ASSIGN_OR_RETURN(RoundOutcome outcome,
                     RunRound(disks, std::span(&*target, 1), [&](std::size_t, Disk& disk) {
                       return WriteAtomically(disk, name, *bytes);
                     }));
    full.insert(full.end(), outcome.full.begin(), outcome.full.end());
    if (!outcome.ok()) continue;
    std::erase_if(segment.others, [&](const DiskPlace& p) { return p.slot() == target->slot(); });
    segment.whole.push_back(*target);
  }
}

}  // namespace varve
