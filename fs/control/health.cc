#include "fs/control/health.h"

#include <algorithm>

#include "fs/core/when.h"

namespace varve {
namespace {

struct Census {
  int online = 0;  // readable
  int whole = 0;   // online and holding all they should
  int rebuilding = 0;
  int stale = 0;
  const DiskStatus* first_bad = nullptr;
};

SlotState RoleOf(const VolumeStatus& status, DiskIndex slot) {
  const auto& slots = status.label.slots;
  return slot.value < slots.size() ? slots[slot.value].state : SlotState::kFailed;
}

Census Count(const VolumeStatus& status) {
  Census census;
  for (const DiskStatus& disk : status.disks) {
    if (disk.state == DiskState::kOnline) {
      ++census.online;
      if (RoleOf(status, disk.slot) == SlotState::kRebuilding) {
        ++census.rebuilding;
      } else {
        ++census.whole;
      }
      continue;
    }
    if (disk.state == DiskState::kStale) ++census.stale;
    if (census.first_bad == nullptr) census.first_bad = &disk;
  }
  return census;
}

std::string_view RoleName(SlotState state) {
  switch (state) {
    case SlotState::kActive:
      return "active";
    case SlotState::kFailed:
      return "failed";
    case SlotState::kRebuilding:
      return "rebuilding";
  }
  return "unknown";
}

// The command that mends it, as far as it can be known: "varve umount M; varve fsck -y ...".
std::string FsckCommand(const VolumeStatus& status, const std::string& mountpoint,
                        const std::string& options) {
  std::string command;
  if (!mountpoint.empty()) command = "varve umount " + mountpoint + " && ";
  command += "varve fsck " + options;
  for (const DiskStatus& disk : status.disks) {
    if (disk.state == DiskState::kOnline) return command + " " + disk.path;
  }
  return command + " DISK";
}

std::string NextStep(const VolumeStatus& status, const FindingLog::Summary& findings,
                     const std::string& mountpoint, const Census& census) {
  if (census.online < status.label.geometry.data) {
    return "bring back at least " + std::to_string(status.label.geometry.data - census.online) +
           " of the missing disks; name them by their new paths if they have moved";
  }
  if (census.first_bad != nullptr) {
    const std::string path = census.first_bad->path;
    const std::string what = census.stale > 0 && census.first_bad->state == DiskState::kStale
                                 ? "bring it up to date: "
                                 : "bring " + path +
                                       " back, or put an empty directory in its "
                                       "place: ";
    return what + FsckCommand(status, mountpoint,
                              census.first_bad->state == DiskState::kStale
                                  ? "-y"
                                  : "-y --replace " + path + "=NEW");
  }
  if (findings.lost > 0) {
    return "name what is lost: " + FsckCommand(status, mountpoint, "-n --deep");
  }
  if (findings.repairable > 0 || census.rebuilding > 0) {
    return "mend it: " + FsckCommand(status, mountpoint, "-y");
  }
  if (status.read_only) return "see the reason above; then unmount and mount again";
  return "";
}

Json DiskToJson(const VolumeStatus& status, const DiskStatus& disk) {
  Json json = {{"slot", disk.slot.value},
               {"uuid", disk.uuid.ToString()},
               {"state", ToString(disk.state)},
               {"role", RoleName(RoleOf(status, disk.slot))},
               {"path", disk.path},
               {"catalog", disk.slot == status.label.catalog_slot}};
  if (!disk.reason.empty()) json["reason"] = disk.reason;
  if (disk.space) {
    json["total_bytes"] = disk.space->total_bytes;
    json["free_bytes"] = disk.space->free_bytes;
  }
  return json;
}

Json FindingsToJson(const FindingLog::Summary& findings) {
  Json last = Json::array();
  for (const Finding& finding : findings.last) {
    last.push_back({{"what", finding.what}, {"next_step", finding.next_step}});
  }
  return {{"notes", findings.notes},
          {"repairable", findings.repairable},
          {"lost", findings.lost},
          {"last", std::move(last)}};
}

}  // namespace

Health Assess(const VolumeStatus& status, const FindingLog::Summary& findings,
              const std::string& mountpoint) {
  const Census census = Count(status);
  Health health;
  health.tolerable_losses = std::max(0, census.whole - status.label.geometry.data);
  health.tolerable_losses = std::min(health.tolerable_losses, status.label.geometry.parity);
  // A slot that is down may have held a column of any stripe.
  const int down = static_cast<int>(status.disks.size()) - census.whole;
  health.tolerable_losses =
      std::min(health.tolerable_losses, std::max(0, status.label.geometry.parity - down));
  if (census.online < status.label.geometry.data) {
    health.state = "FAULTED";
  } else if (status.read_only) {
    health.state = "READ-ONLY";
  } else if (census.first_bad != nullptr || census.rebuilding > 0 || findings.lost > 0 ||
             findings.repairable > 0) {
    health.state = "DEGRADED";
  } else {
    health.state = "ONLINE";
  }
  health.next_step = NextStep(status, findings, mountpoint, census);
  return health;
}

Json StatusToJson(const VolumeStatus& status, const FindingLog::Summary& findings,
                  const std::string& mountpoint) {
  const Health health = Assess(status, findings, mountpoint);
  Json disks = Json::array();
  for (const DiskStatus& disk : status.disks) disks.push_back(DiskToJson(status, disk));
  Json json = {{"state", health.state},
               {"volume_uuid", status.label.volume_uuid.ToString()},
               {"name", status.label.volume_name},
               {"mounted", !mountpoint.empty()},
               {"data", status.label.geometry.data},
               {"parity", status.label.geometry.parity},
               {"tolerable_losses", health.tolerable_losses},
               {"epoch", status.label.epoch.value},
               {"created", FormatTime(status.label.created_ns)},
               {"read_only", status.read_only},
               {"disks", std::move(disks)},
               {"next_step", health.next_step}};
  if (status.read_only) json["read_only_reason"] = status.read_only_reason;
  if (mountpoint.empty()) return json;
  json["mountpoint"] = mountpoint;
  json["rebuilding_catalog"] = status.rebuilding_catalog;
  json["findings"] = FindingsToJson(findings);
  json["space"] = {{"capacity_bytes", status.capacity_bytes},
                   {"available_bytes", status.available_bytes},
                   {"pending_bytes", status.pending_bytes}};
  json["history"] = {{"first", FormatTime(status.first_time_ns)},
                     {"last", FormatTime(status.last_time_ns)},
                     {"last_lsn", status.last.value},
                     {"durable_lsn", status.durable.value},
                     {"applied_lsn", status.applied.value},
                     {"checkpointed_lsn", status.checkpointed.value}};
  return json;
}

}  // namespace varve
