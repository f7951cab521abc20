#include "store/repair/context.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace varve {

bool IsSane(const SegmentDescriptor& segment, int disk_count) {
  return !segment.disks.empty() && std::ranges::all_of(segment.disks, [&](DiskIndex slot) {
    return static_cast<int>(slot.value) < disk_count;
  });
}

bool IsSane(const StripeLocation& location, int disk_count) {
  const StripeDescriptor& stripe = location.stripe;
  return IsSane(location.segment, disk_count) && CheckLocation(location).ok() &&
         stripe.checksums.size() == static_cast<std::size_t>(stripe.columns()) &&
         stripe.fragment_bytes > kFragmentHeaderBytes && stripe.fragment_bytes <= kMaxFragmentBytes;
}

std::string HexId(StripeId id) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%llx", static_cast<unsigned long long>(id.value));
  return text.data();
}

}  // namespace varve
