#include "store/disk/assembly.h"

#include <algorithm>
#include <map>

namespace varve {
namespace {

std::string VolumeOf(const DiskLabel& label) {
  return label.volume_name.empty() ? label.volume_uuid.ToString()
                                   : "'" + label.volume_name + "' " + label.volume_uuid.ToString();
}

bool SameEpoch(const DiskLabel& a, const DiskLabel& b) {
  return a.epoch == b.epoch && a.epoch_id == b.epoch_id;
}

enum class Opinion { kUnknown, kMember, kFailed };

// What the label `by` thinks of the disk whose label is `of`.
Opinion OpinionOf(const DiskLabel& by, const DiskLabel& of) {
  if (of.slot.value >= by.slots.size()) return Opinion::kUnknown;
  const SlotRecord& record = by.slots[of.slot.value];
  if (record.disk_uuid != of.disk_uuid) return Opinion::kUnknown;
  return record.state == SlotState::kFailed ? Opinion::kFailed : Opinion::kMember;
}

// Works over the disks whose labels could be read.
class Assembler {
 public:
  explicit Assembler(const std::vector<FoundDisk>& found) : found_(found) {
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i].label.ok()) readable_.push_back(i);
    }
  }

  Result<Assembly> Run();

 private:
  const DiskLabel& LabelOf(std::size_t index) const { return *found_[index].label; }
  const std::string& PathOf(std::size_t index) const { return found_[index].path; }

  Status CheckOneVolume() const;
  Status CheckNoTwins() const;
  Status ChooseNewest();
  // Whether the step to the epoch of `index` was cut short: it counts on a disk that does not have
  // it.
  bool WasCutShort(std::size_t index) const;
  Status CheckNotSplit(std::size_t index) const;
  void PlaceReadable(Assembly& assembly) const;
  Status PlaceUnreadable(Assembly& assembly) const;
  Status CheckEnough(const Assembly& assembly) const;
  Error Split(std::size_t a, std::size_t b) const;

  const std::vector<FoundDisk>& found_;
  std::vector<std::size_t> readable_;
  std::size_t newest_ = 0;
};

// The volume is the one that most disks belong to; the first of the others is named.
Status Assembler::CheckOneVolume() const {
  std::map<Uuid, int> votes;
  for (std::size_t i : readable_) ++votes[LabelOf(i).volume_uuid];
  std::size_t chosen = readable_.front();
  for (std::size_t i : readable_) {
    if (votes[LabelOf(i).volume_uuid] > votes[LabelOf(chosen).volume_uuid]) chosen = i;
  }
  const DiskLabel& volume = LabelOf(chosen);
  for (std::size_t i : readable_) {
    const DiskLabel& label = LabelOf(i);
    if (label.volume_uuid != volume.volume_uuid) {
      return Error(ErrorCode::kStale, PathOf(i) + " belongs to another volume, " + VolumeOf(label) +
                                          "; " + PathOf(chosen) + " to " + VolumeOf(volume));
    }
    if (label.geometry != volume.geometry || label.slots.size() != volume.slots.size()) {
      return Error(ErrorCode::kCorrupt, PathOf(i) + " and " + PathOf(chosen) +
                                            " do not agree on the geometry of their volume");
    }
  }
  return {};
}

Status Assembler::CheckNoTwins() const {
  std::map<DiskIndex, std::size_t> seen;
  for (std::size_t i : readable_) {
    auto [other, fresh] = seen.emplace(LabelOf(i).slot, i);
    if (fresh) continue;
    const std::string both = PathOf(other->second) + " and " + PathOf(i);
    const std::string slot = "disk " + std::to_string(LabelOf(i).slot.value);
    if (LabelOf(i).disk_uuid == LabelOf(other->second).disk_uuid) {
      return Error(ErrorCode::kExists, both + " are both " + slot + ": one is a copy of the other");
    }
    return Error(ErrorCode::kExists,
                 both + " both claim to be " + slot + ": one has been replaced by the other");
  }
  return {};
}

bool Assembler::WasCutShort(std::size_t index) const {
  return std::ranges::any_of(readable_, [&](std::size_t other) {
    return !SameEpoch(LabelOf(other), LabelOf(index)) &&
           OpinionOf(LabelOf(index), LabelOf(other)) == Opinion::kMember;
  });
}

Error Assembler::Split(std::size_t a, std::size_t b) const {
  return Error(ErrorCode::kStale,
               "the volume is split: " + PathOf(a) + " and " + PathOf(b) +
                   " have each gone on without the other; give only the disks of one side");
}

// Among labels of the highest epoch with different ids, the one whose step to it was completed.
// Nothing was acknowledged in an epoch that not all its members have.
Status Assembler::ChooseNewest() {
  newest_ = readable_.front();
  for (std::size_t i : readable_) {
    if (LabelOf(i).epoch > LabelOf(newest_).epoch) newest_ = i;
  }
  for (std::size_t i : readable_) {
    if (LabelOf(i).epoch != LabelOf(newest_).epoch || SameEpoch(LabelOf(i), LabelOf(newest_))) {
      continue;
    }
    if (WasCutShort(newest_) == WasCutShort(i)) return Split(newest_, i);
    if (WasCutShort(newest_)) newest_ = i;
  }
  return {};
}

// A disk of another epoch is merely behind when it still counts on a disk that went on; it is half
// of a split volume when, in its opinion, those that went on had failed.
Status Assembler::CheckNotSplit(std::size_t index) const {
  bool calls_failed = false;
  for (std::size_t other : readable_) {
    if (!SameEpoch(LabelOf(other), LabelOf(newest_))) continue;
    const Opinion opinion = OpinionOf(LabelOf(index), LabelOf(other));
    if (opinion == Opinion::kMember) return {};
    calls_failed = calls_failed || opinion == Opinion::kFailed;
  }
  if (calls_failed) return Split(newest_, index);
  return {};
}

void Assembler::PlaceReadable(Assembly& assembly) const {
  const DiskLabel& newest = assembly.label;
  for (std::size_t i : readable_) {
    const DiskLabel& label = LabelOf(i);
    AssembledSlot& slot = assembly.slots[label.slot.value];
    slot.found = i;
    slot.state = DiskState::kStale;
    const std::string behind = "its epoch is " + std::to_string(label.epoch.value) +
                               ", the volume's " + std::to_string(newest.epoch.value);
    const Opinion opinion = OpinionOf(newest, label);
    const bool current = SameEpoch(label, newest);
    const bool one_step_behind =
        label.epoch.value + 1 == newest.epoch.value && label.epoch_id == newest.previous_epoch_id;
    if (opinion == Opinion::kUnknown) {
      slot.reason =
          "it was replaced by disk " + newest.slots[label.slot.value].disk_uuid.ToString();
    } else if (opinion == Opinion::kFailed) {
      slot.reason = "the volume went on without it: " + behind;
    } else if (!current && !one_step_behind) {
      slot.reason = behind;
    } else {
      slot.state = DiskState::kOnline;
      assembly.labels_differ = assembly.labels_differ || !current;
    }
  }
}

// A disk whose label cannot be read is, at the path where one is missing, that one. At any other
// path nothing says what it is.
Status Assembler::PlaceUnreadable(Assembly& assembly) const {
  for (const FoundDisk& disk : found_) {
    if (disk.label.ok()) continue;
    bool placed = false;
    for (std::size_t s = 0; s < assembly.slots.size() && !placed; ++s) {
      AssembledSlot& slot = assembly.slots[s];
      if (slot.found || assembly.label.slots[s].last_path != disk.path) continue;
      slot.reason = disk.label.error().message();
      placed = true;
    }
    if (!placed) return disk.label.error();
  }
  return {};
}

Status Assembler::CheckEnough(const Assembly& assembly) const {
  int online = 0;
  std::string absent;
  for (std::size_t s = 0; s < assembly.slots.size(); ++s) {
    const AssembledSlot& slot = assembly.slots[s];
    if (slot.state == DiskState::kOnline) {
      ++online;
      continue;
    }
    const SlotRecord& record = assembly.label.slots[s];
    absent += absent.empty() ? "" : ", ";
    absent += "disk " + std::to_string(s) + " (" + record.disk_uuid.ToString() + ", last at " +
              record.last_path + ", " + std::string(ToString(slot.state)) + ")";
  }
  const int needed = assembly.label.geometry.data;
  if (online >= needed) return {};
  return Error(ErrorCode::kTooFewDisks, "volume " + VolumeOf(assembly.label) + " needs " +
                                            std::to_string(needed) + " disks and has " +
                                            std::to_string(online) + "; not there: " + absent);
}

Result<Assembly> Assembler::Run() {
  for (const FoundDisk& disk : found_) {
    if (!disk.label.ok() && disk.label.error().code() == ErrorCode::kUnsupported) {
      return disk.label.error();
    }
  }
  if (readable_.empty()) {
    if (!found_.empty()) return found_.front().label.error();
    return Error(ErrorCode::kTooFewDisks, "no disks");
  }
  RETURN_IF_ERROR(CheckOneVolume());
  RETURN_IF_ERROR(CheckNoTwins());
  RETURN_IF_ERROR(ChooseNewest());
  for (std::size_t i : readable_) {
    if (!SameEpoch(LabelOf(i), LabelOf(newest_))) RETURN_IF_ERROR(CheckNotSplit(i));
  }
  Assembly assembly;
  assembly.label = LabelOf(newest_);
  assembly.slots.resize(assembly.label.slots.size());
  for (AssembledSlot& slot : assembly.slots) slot.reason = "not found";
  PlaceReadable(assembly);
  RETURN_IF_ERROR(PlaceUnreadable(assembly));
  RETURN_IF_ERROR(CheckEnough(assembly));
  return assembly;
}

}  // namespace

Result<Assembly> AssembleLabels(const std::vector<FoundDisk>& found) {
  return Assembler(found).Run();
}

}  // namespace varve
