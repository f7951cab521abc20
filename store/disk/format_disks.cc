#include <algorithm>

#include "store/base/clock.h"
#include "store/disk/disk_set.h"
#include "store/disk/disk_set_impl.h"

namespace varve {
namespace {

// The label first: a disk whose removal was cut short is then not taken for a member.
Status RemoveEverything(Disk& disk) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, disk.List(""));
  std::partition(names.begin(), names.end(), [](const auto& name) { return name == kLabelObject; });
  for (const std::string& name : names) {
    RETURN_IF_ERROR(disk.Remove(name));
    if (name == kLabelObject) RETURN_IF_ERROR(disk.SyncNames());
  }
  return disk.SyncNames();
}

DiskLabel FreshLabel(std::span<const std::unique_ptr<Disk>> disks, const FormatOptions& options) {
  DiskLabel label;
  label.volume_uuid = Uuid::Random();
  label.volume_name = options.volume_name;
  label.geometry = options.geometry;
  label.created_ns = SystemClock().Now();
  label.epoch_id = Uuid::Random();
  for (const auto& disk : disks) {
    label.slots.push_back({Uuid::Random(), SlotState::kActive, PathHint(disk->Describe())});
  }
  return label;
}

}  // namespace

Status CheckEmpty(Disk& disk) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, disk.List(""));
  if (std::ranges::find(names, kLabelObject) != names.end()) {
    return Error(ErrorCode::kExists, disk.Describe() + " already belongs to a volume");
  }
  if (!names.empty()) {
    return Error(ErrorCode::kNotEmpty,
                 disk.Describe() + " is not empty: it holds " + names.front());
  }
  return {};
}

Status FormatDisks(std::span<const std::unique_ptr<Disk>> disks, const FormatOptions& options) {
  RETURN_IF_ERROR(CheckGeometry(options.geometry, static_cast<int>(disks.size())));
  if (options.volume_name.size() > kMaxVolumeNameBytes) {
    return Error(ErrorCode::kNameTooLong,
                 "a volume's name has at most " + std::to_string(kMaxVolumeNameBytes) + " bytes");
  }
  // All are looked at before the first is touched.
  if (options.existing == FormatOptions::Existing::kRefuse) {
    for (const auto& disk : disks) RETURN_IF_ERROR(CheckEmpty(*disk));
  } else {
    for (const auto& disk : disks) RETURN_IF_ERROR(RemoveEverything(*disk));
  }
  DiskLabel label = FreshLabel(disks, options);
  for (std::size_t i = 0; i < disks.size(); ++i) {
    label.slot = DiskIndex(static_cast<std::uint8_t>(i));
    label.disk_uuid = label.slots[i].disk_uuid;
    RETURN_IF_ERROR(WriteLabel(*disks[i], label));
  }
  return {};
}

}  // namespace varve
