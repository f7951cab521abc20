#include "store/repair/parity_scan.h"

#include <algorithm>

#include "store/parity/erasure_code.h"

namespace varve {
namespace {

// Every column's payload, read by all disks at once; nothing when one of them is not good.
std::optional<std::vector<ByteVector>> ReadStripe(const RepairContext& context,
                                                  const StripeLocation& location) {
  const int columns = location.stripe.columns();
  std::vector<ByteVector> payloads(static_cast<std::size_t>(columns));
  std::vector<DiskIndex> slots;
  for (int column = 0; column < columns; ++column) slots.push_back(DiskOfColumn(location, column));
  std::ranges::sort(slots);
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  const auto done = context.disks.ForEach(slots, [&](DiskIndex slot, Disk&) -> Status {
    for (int column = 0; column < columns; ++column) {
      if (DiskOfColumn(location, column) != slot) continue;
      ASSIGN_OR_RETURN(payloads[static_cast<std::size_t>(column)],
                       context.reader.ReadFragment(location, column));
    }
    return {};
  });
  if (!std::ranges::all_of(done, [](const Status& status) { return status.ok(); })) return {};
  return payloads;
}

void CompareParity(const StripeLocation& location, std::vector<ByteVector> payloads,
                   CheckLog& log) {
  const StripeDescriptor& stripe = location.stripe;
  const auto data_count = static_cast<std::size_t>(stripe.data);
  std::vector<ByteSpan> data(payloads.begin(),
                             payloads.begin() + static_cast<std::ptrdiff_t>(data_count));
  std::vector<ByteVector> computed(stripe.parity, ByteVector(stripe.payload_bytes()));
  const std::vector<MutableByteSpan> parity(computed.begin(), computed.end());
  ErasureCodeFor(stripe.data, stripe.parity).Encode(data, parity);
  for (std::size_t i = 0; i < computed.size(); ++i) {
    if (computed[i] == payloads[data_count + i]) continue;
    log.Add({.kind = FindingKind::kParityMismatch,
             .severity = Severity::kLost,
             .disk = DiskOfColumn(location, static_cast<int>(data_count + i)),
             .stripe = stripe.id,
             .column = static_cast<std::uint8_t>(data_count + i),
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
      auto payloads = ReadStripe(context, location);
      if (payloads.has_value()) CompareParity(location, *std::move(payloads), log);
    }
  }
  return {};
}

}  // namespace varve
