#include "store/repair/parity_scan.h"

#include <algorithm>
#include <optional>

#include "store/log/stripe_images.h"
#include "store/parity/erasure_code.h"

namespace varve {
namespace {

// All fragments, read by all disks at once; nothing when one of them is not good.
std::optional<StripeImage> ReadStripe(const RepairContext& context,
                                      const StripeLocation& location) {
  const int columns = location.stripe.columns();
  StripeImage image(columns, location.stripe.fragment_bytes);
  std::vector<DiskIndex> slots;
  for (int column = 0; column < columns; ++column) slots.push_back(DiskOfColumn(location, column));
  std::ranges::sort(slots);
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  const auto done = context.disks.ForEach(slots, [&](DiskIndex slot, Disk&) -> Status {
    for (int column = 0; column < columns; ++column) {
      if (DiskOfColumn(location, column) != slot) continue;
      RETURN_IF_ERROR(context.reader.ReadFragment(location, column, image.Allocate(column)));
    }
    return {};
  });
  if (!std::ranges::all_of(done, [](const Status& status) { return status.ok(); })) return {};
  return image;
}

void CompareParity(const StripeLocation& location, const StripeImage& image, CheckLog& log) {
  const StripeDescriptor& stripe = location.stripe;
  const auto payload = [&](int column) {
    return image.column(column).subspan(kFragmentHeaderBytes);
  };
  std::vector<ByteSpan> data;
  for (int column = 0; column < stripe.data; ++column) data.push_back(payload(column));
  std::vector<ByteVector> computed(stripe.parity, ByteVector(stripe.payload_bytes()));
  const std::vector<MutableByteSpan> parity(computed.begin(), computed.end());
  ErasureCodeFor(stripe.data, stripe.parity).Encode(data, parity);
  for (int i = 0; i < stripe.parity; ++i) {
    const int column = stripe.data + i;
    if (std::ranges::equal(computed[static_cast<std::size_t>(i)], payload(column))) continue;
    log.Add({.kind = FindingKind::kParityMismatch,
             .severity = Severity::kLost,
             .disk = DiskOfColumn(location, column),
             .stripe = stripe.id,
             .column = static_cast<std::uint8_t>(column),
             .what = "stripe " + HexId(stripe.id) + ": parity column " + std::to_string(i) +
                     " is whole but does not fit the data",
             .next_step = "its files are readable but not protected by this column: write them "
                          "anew (copy and rename)"});
  }
}

}  // namespace

Status ScanParity(const RepairContext& context, CheckLog& log) {
  ASSIGN_OR_RETURN(const auto segments, context.catalog.ListSegments());
  std::uint64_t total = 0;
  for (const SegmentDescriptor& segment : segments) {
    ASSIGN_OR_RETURN(const auto stripes, context.catalog.ListStripes(segment.id));
    for (const StripeDescriptor& stripe : stripes) total += stripe.fragment_bytes;
  }
  log.BeginPhase("computing parity", total);
  for (const SegmentDescriptor& segment : segments) {
    ASSIGN_OR_RETURN(const auto stripes, context.catalog.ListStripes(segment.id));
    for (const StripeDescriptor& stripe : stripes) {
      if (log.Cancelled()) return {};
      const StripeLocation location{segment, stripe};
      log.Advance(stripe.fragment_bytes);
      if (!IsSane(location, context.disks.size()) || stripe.parity == 0) continue;
      const auto image = ReadStripe(context, location);
      if (image.has_value()) CompareParity(location, *image, log);
    }
  }
  return {};
}

}  // namespace varve
