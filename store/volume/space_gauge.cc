#include "store/volume/space_gauge.h"

#include <algorithm>
#include <map>

namespace varve {
namespace {

// What a change without data adds to the catalog at most, as a rule: its rows, their index, and the
// log they go through.
constexpr std::uint64_t kCatalogBytesOfChange = 1024;
constexpr std::uint64_t kChangesBetweenLooks = 4096;

std::uint64_t ReserveOf(const DiskSpace& space) {
  constexpr std::uint64_t kLeast = 16ULL << 20;
  constexpr std::uint64_t kMost = 1ULL << 30;
  return std::clamp(space.total_bytes / 50, kLeast, kMost);
}

std::uint64_t Minus(std::uint64_t from, std::uint64_t bytes) {
  return from > bytes ? from - bytes : 0;
}

// Of the device with the least room for each of its members: stripes go to all alike, so a volume
// is limited by its smallest disk.
struct Room {
  std::uint64_t total_bytes = ~0ULL;
  std::uint64_t free_bytes = ~0ULL;    // reserve deducted
  std::uint64_t change_bytes = ~0ULL;  // half of it deducted
};

Room RoomPerDisk(DiskSet& disks, std::uint64_t journal_bytes, std::uint64_t catalog_bytes) {
  struct Device {
    DiskSpace space;
    std::uint64_t members = 0;
  };
  std::map<std::uint64_t, Device> devices;
  std::uint64_t unique = ~0ULL;
  for (DiskIndex slot : disks.OnlineSlots()) {
    auto disk = disks.online(slot);
    if (!disk) continue;
    auto space = disk->Space();
    if (!space.ok()) continue;
    Device& device = devices[space->device != 0 ? space->device : unique--];
    device.space = *space;
    ++device.members;
  }
  if (devices.empty()) return {0, 0, ~0ULL};  // whoever writes is told something better than "full"
  Room room;
  for (const auto& [id, device] : devices) {
    const std::uint64_t reserve = ReserveOf(device.space);
    const std::uint64_t free =
        Minus(device.space.free_bytes, journal_bytes * device.members + catalog_bytes);
    room.total_bytes = std::min(room.total_bytes, device.space.total_bytes / device.members);
    room.free_bytes = std::min(room.free_bytes, Minus(free, reserve) / device.members);
    room.change_bytes = std::min(room.change_bytes, Minus(free, reserve / 2) / device.members);
  }
  return room;
}

}  // namespace

void SpaceGauge::Look(DiskSet& disks, const AskUnderway& ask) {
  const std::lock_guard looking(look_mutex_);
  Seen seen;
  // In this order: what is placed meanwhile counts twice rather than not at all.
  seen.committed_bytes = committed_bytes_;
  seen.changes = changes_;
  const Underway underway = ask();
  const Geometry& geometry = disks.geometry();
  const auto online = static_cast<std::uint64_t>(disks.OnlineSlots().size());
  const auto parity = static_cast<std::uint64_t>(geometry.parity);
  const std::uint64_t data =
      std::min(static_cast<std::uint64_t>(geometry.data), Minus(online, parity));
  const std::uint64_t copies = static_cast<std::uint64_t>(geometry.journal_copies());
  const Room room = RoomPerDisk(
      disks, online == 0 ? 0 : underway.journal_bytes * std::min(copies, online) / online,
      underway.changes * kCatalogBytesOfChange);
  const auto logical = [&](std::uint64_t per_disk) -> std::uint64_t {
    return data == 0 ? 0 : per_disk / (data + parity) * online * data;
  };
  seen.capacity_bytes = logical(room.total_bytes);
  seen.available_bytes = Minus(logical(room.free_bytes), underway.data_bytes);
  seen.change_bytes = room.change_bytes;
  *seen_.Lock() = seen;
}

bool SpaceGauge::IsStale() const {
  return changes_ - seen_.Lock()->changes >= kChangesBetweenLooks;
}

void SpaceGauge::Committed(std::uint64_t data_bytes) {
  committed_bytes_ += data_bytes;
  ++changes_;
}

std::uint64_t SpaceGauge::AvailableBytes() const {
  auto seen = seen_.Lock();
  return Minus(seen->available_bytes, committed_bytes_ - seen->committed_bytes);
}

}  // namespace varve
