#include "store/log/stripe.h"

#include <fmt/format.h>

#include <bitset>

#include "store/disk/disk_label.h"
#include "store/log/corrupt.h"

namespace varve {
namespace {

// Keeps offset arithmetic far from overflow.
constexpr std::uint64_t kLongestColumnFile = std::uint64_t{1} << 48;
constexpr std::uint64_t kHighestSegment = ~std::uint64_t{0} >> StripeId::kIndexBits;

}  // namespace

std::string SegmentObjectName(SegmentId id) { return fmt::format("segment/{:016x}", id.value); }

void EncodeSegment(const SegmentDescriptor& segment, Encoder& out) {
  CHECK(!segment.disks.empty() && segment.disks.size() <= kMaxDisks, "columns of a segment");
  out.Varint(segment.id.value);
  out.U8(static_cast<std::uint8_t>(segment.disks.size()));
  for (const DiskIndex disk : segment.disks) out.U8(disk.value);
}

Result<SegmentDescriptor> DecodeSegment(Decoder& in) {
  SegmentDescriptor segment;
  segment.id = SegmentId(in.Varint());
  const std::uint8_t columns = in.U8();
  if (!in.ok()) return Corrupt("segment: cut short");
  if (!segment.id || segment.id.value > kHighestSegment) return Corrupt("segment: bad id");
  if (columns < 1 || columns > kMaxDisks) return Corrupt("segment: bad count of columns");
  std::bitset<kMaxDisks> seen;
  for (int c = 0; c < columns; ++c) {
    const std::uint8_t slot = in.U8();
    if (!in.ok()) return Corrupt("segment: cut short");
    if (slot >= kMaxDisks || seen.test(slot)) return Corrupt("segment: bad disk");
    seen.set(slot);
    segment.disks.emplace_back(slot);
  }
  return segment;
}

void EncodeStripe(const StripeDescriptor& stripe, Encoder& out) {
  CHECK(CheckStripe(stripe).ok(), "a stripe that could not be read back");
  out.Varint(stripe.id.value);
  out.U8(static_cast<std::uint8_t>(stripe.kind));
  out.U8(stripe.data);
  out.U8(stripe.parity);
  out.U8(stripe.first_column);
  out.Varint(stripe.file_offset / kFragmentAlign);
  out.Varint(stripe.fragment_bytes / kFragmentAlign);
  out.Varint(stripe.epoch.value);
  for (const std::uint64_t checksum : stripe.checksums) out.U64(checksum);
}

Result<StripeDescriptor> DecodeStripe(Decoder& in) {
  StripeDescriptor stripe;
  stripe.id = StripeId(in.Varint());
  const std::uint8_t kind = in.U8();
  if (kind > static_cast<std::uint8_t>(StripeKind::kCheckpoint)) {
    return Corrupt("stripe: unknown kind");
  }
  stripe.kind = static_cast<StripeKind>(kind);
  stripe.data = in.U8();
  stripe.parity = in.U8();
  stripe.first_column = in.U8();
  const std::uint64_t offset_blocks = in.Varint();
  const std::uint64_t fragment_blocks = in.Varint();
  stripe.epoch = Epoch(in.Varint());
  if (!in.ok()) return Corrupt("stripe: cut short");
  if (offset_blocks > kLongestColumnFile / kFragmentAlign ||
      fragment_blocks > kMaxFragmentBytes / kFragmentAlign) {
    return Corrupt("stripe: place out of range");
  }
  stripe.file_offset = offset_blocks * kFragmentAlign;
  stripe.fragment_bytes = static_cast<std::uint32_t>(fragment_blocks * kFragmentAlign);
  if (stripe.columns() > kMaxData + kMaxParity) return Corrupt("stripe: too many columns");
  for (int c = 0; c < stripe.columns(); ++c) stripe.checksums.push_back(in.U64());
  if (!in.ok()) return Corrupt("stripe: cut short");
  RETURN_IF_ERROR(CheckStripe(stripe));
  return stripe;
}

Status CheckStripe(const StripeDescriptor& stripe) {
  if (!stripe.id) return Corrupt("stripe: no id");
  if (stripe.data < 1 || stripe.data > kMaxData)
    return Corrupt("stripe: bad count of data columns");
  if (stripe.parity > kMaxParity) return Corrupt("stripe: bad count of parity columns");
  if (stripe.first_column >= kMaxDisks) return Corrupt("stripe: bad first column");
  if (stripe.fragment_bytes < kFragmentAlign || stripe.fragment_bytes > kMaxFragmentBytes ||
      stripe.fragment_bytes % kFragmentAlign != 0) {
    return Corrupt("stripe: bad fragment length");
  }
  if (stripe.file_offset > kLongestColumnFile || stripe.file_offset % kFragmentAlign != 0) {
    return Corrupt("stripe: bad place");
  }
  if (stripe.checksums.size() != static_cast<std::size_t>(stripe.columns())) {
    return Corrupt("stripe: one checksum a column is needed");
  }
  return {};
}

}  // namespace varve
