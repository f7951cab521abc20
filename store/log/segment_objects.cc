#include "store/log/segment_objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace varve {
namespace {

constexpr std::string_view kSegmentPrefix = "segment/";

}  // namespace

Result<SegmentId> HighestSegmentOnDisks(DiskSet& disks) {
  SegmentId highest;
  int unread = 0;
  for (const DiskIndex slot : disks.OnlineSlots()) {
    const auto disk = disks.online(slot);
    if (!disk) continue;
    auto names = disk->List(kSegmentPrefix);
    if (!names.ok()) {
      if (++unread <= disks.geometry().parity) continue;
      return names.error().In(fmt::format("listing segments of disk {}", slot.value));
    }
    for (const std::string& name : *names) {
      const std::string_view digits = std::string_view(name).substr(kSegmentPrefix.size());
      std::uint64_t id = 0;
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), id, 16);
      // Objects that we would not have named so are not ours to count.
      if (error != std::errc() || name != SegmentObjectName(SegmentId(id))) continue;
      highest = std::max(highest, SegmentId(id));
    }
  }
  return highest;
}

}  // namespace varve
