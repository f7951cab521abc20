#include "store/log/journal_objects.h"

#include <algorithm>
#include <string>

#include "store/base/aligned_bytes.h"

namespace varve {
namespace {

constexpr std::size_t kObjectNameBytes = kJournalPrefix.size() + 16;  // see JournalObjectName
constexpr std::size_t kZeroBytes = 1024 * 1024;

Status WriteZeros(DiskFile& file, std::uint64_t from, std::uint64_t to) {
  static const AlignedBytes zeros = [] {
    AlignedBytes bytes = MakeAlignedBytes(kZeroBytes);
    std::ranges::fill_n(bytes.get(), kZeroBytes, std::byte{0});
    return bytes;
  }();
  while (from < to) {
    const std::uint64_t length_bytes = std::min<std::uint64_t>(to - from, kZeroBytes);
    RETURN_IF_ERROR(file.Write(from, {zeros.get(), static_cast<std::size_t>(length_bytes)}));
    from += length_bytes;
  }
  return {};
}

bool Contains(std::span<const DiskIndex> slots, DiskIndex slot) {
  return std::ranges::find(slots, slot) != slots.end();
}

// m+1 online disks that are not full, beginning further on with each sequence number.
Result<std::vector<DiskPlace>> ChoosePlaces(DiskSet& disks, std::uint64_t sequence,
                                            std::span<const DiskIndex> full) {
  std::vector<DiskPlace> candidates;
  for (DiskIndex slot : disks.OnlineSlots()) {
    std::shared_ptr<Disk> disk = disks.online(slot);
    if (disk != nullptr && !Contains(full, slot)) candidates.emplace_back(slot, disk);
  }
  const auto wanted = static_cast<std::size_t>(disks.geometry().journal_copies());
  if (candidates.size() < wanted) return TooFewForJournal(disks, full);
  const auto first = static_cast<std::ptrdiff_t>(sequence % candidates.size());
  std::rotate(candidates.begin(), candidates.begin() + first, candidates.end());
  candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(wanted), candidates.end());
  return candidates;
}

// Objects of an attempt that did not come to anything hold space; another number will be used.
Status RemoveAttempt(DiskSet& disks, std::span<const DiskPlace> places, const std::string& name) {
  Result<RoundOutcome> outcome = RunRound(disks, places, [&](std::size_t, Disk& disk) {
    Status removed = disk.Remove(name);
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
    return disk.SyncNames();
  });
  if (!outcome.ok()) return outcome.error();
  return {};
}

Status RemoveOnDisk(Disk& disk, std::uint64_t before,
                    const std::function<bool(std::uint64_t)>& keep) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, disk.List(kJournalPrefix));
  bool removed = false;
  for (const std::string& name : names) {
    // What an interrupted copy left goes with the segment that it was to be a copy of; that of a
    // segment still needed may be under way.
    const std::string_view whole_name = std::string_view(name).substr(0, kObjectNameBytes);
    std::optional<std::uint64_t> sequence = ParseJournalObjectName(whole_name);
    if (!sequence.has_value() || *sequence >= before || keep(*sequence)) continue;
    RETURN_IF_ERROR(disk.Remove(name));
    removed = true;
  }
  return removed ? disk.SyncNames() : Status();
}

}  // namespace

std::shared_ptr<Disk> DiskPlace::Get(const DiskSet& disks) const {
  std::shared_ptr<Disk> now = disks.online(slot_);
  return now != nullptr && now == disk_.lock() ? now : nullptr;
}

std::vector<DiskPlace> SegmentObjects::places() const {
  std::vector<DiskPlace> places;
  for (const SegmentReplica& replica : replicas) places.push_back(replica.place);
  return places;
}

bool SegmentObjects::AllOnline(const DiskSet& disks) const {
  return std::ranges::all_of(
      replicas, [&](const SegmentReplica& replica) { return replica.place.Get(disks) != nullptr; });
}

Error TooFewForJournal(const DiskSet& disks, std::span<const DiskIndex> full) {
  const std::vector<DiskIndex> online = disks.OnlineSlots();
  const int wanted = disks.geometry().journal_copies();
  std::string message = "the journal needs " + std::to_string(wanted) + " disks, " +
                        std::to_string(online.size()) + " are online";
  if (static_cast<int>(online.size()) < wanted) {
    return Error(ErrorCode::kTooFewDisks, std::move(message));
  }
  for (DiskIndex slot : full) {
    std::shared_ptr<Disk> disk = disks.online(slot);
    if (disk != nullptr) message += "; " + disk->Describe() + " is full";
  }
  return Error(ErrorCode::kNoSpace, std::move(message));
}

Result<RoundOutcome> RunRound(DiskSet& disks, std::span<const DiskPlace> places,
                              const std::function<Status(std::size_t, Disk&)>& task) {
  std::vector<DiskIndex> slots;
  std::vector<std::shared_ptr<Disk>> used;
  for (const DiskPlace& place : places) {
    slots.push_back(place.slot());
    used.push_back(place.Get(disks));
  }
  std::vector<Status> statuses = disks.ForEach(slots, [&](DiskIndex slot, Disk& disk) -> Status {
    auto index = static_cast<std::size_t>(std::ranges::find(slots, slot) - slots.begin());
    if (used[index].get() != &disk) {
      return Error(ErrorCode::kDiskLost, "another disk is in the slot now");
    }
    return task(index, disk);
  });
  RoundOutcome outcome;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (statuses[i].ok()) continue;
    if (statuses[i].error().code() == ErrorCode::kNoSpace) {
      outcome.full.push_back(slots[i]);
      continue;
    }
    outcome.failed.push_back(slots[i]);
    // Another disk in that slot has done nothing wrong. Whoever failed the former one may still be
    // telling the survivors, and nothing may be acknowledged before all know: Fail waits for that.
    if (used[i] == nullptr && disks.online(slots[i]) != nullptr) continue;
    RETURN_IF_ERROR(disks.Fail(slots[i], statuses[i].error().In("journal"), used[i].get()));
  }
  return outcome;
}

Result<SegmentObjects> CreateSegmentObjects(DiskSet& disks, std::uint64_t sequence,
                                            std::uint64_t size_bytes,
                                            std::vector<DiskIndex>& full) {
  const std::string name = JournalObjectName(sequence);
  while (true) {
    ASSIGN_OR_RETURN(std::vector<DiskPlace> places, ChoosePlaces(disks, sequence, full));
    SegmentObjects objects;
    objects.sequence = sequence;
    objects.size_bytes = size_bytes;
    for (const DiskPlace& place : places) objects.replicas.push_back({place, nullptr});
    Result<RoundOutcome> outcome =
        RunRound(disks, places, [&](std::size_t index, Disk& disk) -> Status {
          ASSIGN_OR_RETURN(std::unique_ptr<DiskFile> file,
                           disk.Open(name, OpenMode::kCreateOrOpenStream));
          RETURN_IF_ERROR(file->Truncate(0));
          RETURN_IF_ERROR(WriteZeros(*file, 0, size_bytes));
          RETURN_IF_ERROR(file->Sync());
          RETURN_IF_ERROR(disk.SyncNames());
          objects.replicas[index].file = std::move(file);
          return {};
        });
    if (!outcome.ok()) return outcome.error();
    if (outcome->ok()) return objects;
    full.insert(full.end(), outcome->full.begin(), outcome->full.end());
    objects.replicas.clear();
    RETURN_IF_ERROR(RemoveAttempt(disks, places, name));
  }
}

Result<RoundOutcome> GrowSegmentObjects(DiskSet& disks, SegmentObjects& objects,
                                        std::uint64_t size_bytes) {
  const std::uint64_t from = objects.size_bytes;
  objects.size_bytes = std::max(from, size_bytes);
  return RunRound(disks, objects.places(), [&](std::size_t index, Disk&) -> Status {
    DiskFile& file = *objects.replicas[index].file;
    RETURN_IF_ERROR(WriteZeros(file, from, objects.size_bytes));
    return file.Sync();
  });
}

Result<RoundOutcome> WriteSegmentObjects(DiskSet& disks, SegmentObjects& objects,
                                         std::uint64_t offset, ByteSpan bytes) {
  const AlignedBytes aligned = MakeAlignedBytes(bytes.size());
  std::ranges::copy(bytes, aligned.get());
  return RunRound(disks, objects.places(), [&](std::size_t index, Disk&) {
    return objects.replicas[index].file->WriteSynced(offset, {aligned.get(), bytes.size()});
  });
}

Status RemoveSegmentObjects(DiskSet& disks, std::uint64_t before,
                            const std::function<bool(std::uint64_t)>& keep) {
  std::vector<DiskPlace> places;
  for (DiskIndex slot : disks.OnlineSlots()) {
    std::shared_ptr<Disk> disk = disks.online(slot);
    if (disk != nullptr) places.emplace_back(slot, disk);
  }
  ASSIGN_OR_RETURN(RoundOutcome outcome, RunRound(disks, places, [&](std::size_t, Disk& disk) {
                     return RemoveOnDisk(disk, before, keep);
                   }));
  // A disk too full to remove a name is odd, but it will be tried again with the next checkpoint.
  if (!outcome.full.empty()) return TooFewForJournal(disks, outcome.full);
  return {};
}

}  // namespace varve
