#include "store/log/fragment.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/codec/checksum.h"
#include "store/disk/disk_label.h"

namespace varve {
namespace {

// Layout of the header; docs/FORMAT.md says what each field protects against.
constexpr std::string_view kMagic = "VRVFRAG\x01";
constexpr std::size_t kChecksumAt = kFragmentHeaderBytes - 8;
// A seed of its own, so that no other structure's checksum is ever taken for a header's.
constexpr std::uint64_t kHeaderSeed = 0x4652'4147'4845'4144;

ByteVector FragmentHeader(const Uuid& volume_uuid, const StripeDescriptor& stripe, int column) {
  CHECK(column >= 0 && column < stripe.columns(), "no such column");
  CHECK(stripe.checksums.size() == static_cast<std::size_t>(stripe.columns()));
  Encoder out;
  out.Raw(kMagic);
  out.U32(kFormatVersion);
  out.U32(stripe.fragment_bytes);
  out.Raw(ByteSpan(volume_uuid.bytes));
  out.U64(stripe.id.value);
  out.U8(static_cast<std::uint8_t>(stripe.kind));
  out.U8(stripe.data);
  out.U8(stripe.parity);
  out.U8(stripe.first_column);
  out.U8(static_cast<std::uint8_t>(column));
  out.Zeros(3);
  out.U64(stripe.epoch.value);
  out.U64(stripe.file_offset);
  out.U64(stripe.checksums[static_cast<std::size_t>(column)]);
  CHECK(out.size() <= kChecksumAt);
  out.Zeros(kChecksumAt - out.size());
  out.U64(Checksum(out.bytes(), kHeaderSeed));
  return out.Take();
}

Result<std::shared_ptr<Disk>> OnlineDisk(DiskSet& disks, DiskIndex slot) {
  if (auto disk = disks.online(slot)) return disk;
  return Error(ErrorCode::kDiskLost, fmt::format("disk {} is not online", slot.value));
}

}  // namespace

void EncodeFragmentHeader(const Uuid& volume_uuid, const StripeDescriptor& stripe, int column,
                          MutableByteSpan header) {
  CHECK(header.size() == kFragmentHeaderBytes, "a header's length");
  const ByteVector bytes = FragmentHeader(volume_uuid, stripe, column);
  std::copy(bytes.begin(), bytes.end(), header.begin());
}

Result<ScannedFragment> ScanFragmentHeader(const Uuid& volume_uuid, ByteSpan header) {
  if (header.size() != kFragmentHeaderBytes) {
    return Error(ErrorCode::kCorrupt, "fragment header is cut short");
  }
  Decoder in(header);
  if (AsText(in.Raw(kMagic.size())) != kMagic) {
    return Error(ErrorCode::kCorrupt, "no fragment header here");
  }
  Decoder tail(header.subspan(kChecksumAt));
  if (tail.U64() != Checksum(header.first(kChecksumAt), kHeaderSeed)) {
    return Error(ErrorCode::kCorrupt, "fragment header fails its checksum");
  }
  if (const std::uint32_t version = in.U32(); version != kFormatVersion) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("fragment has format {}, {} is known", version, kFormatVersion));
  }
  ScannedFragment scanned;
  StripeDescriptor& stripe = scanned.stripe;
  stripe.fragment_bytes = in.U32();
  if (const ByteSpan uuid = in.Raw(volume_uuid.bytes.size());
      !std::equal(uuid.begin(), uuid.end(), volume_uuid.bytes.begin())) {
    return Error(ErrorCode::kStale, "fragment belongs to another volume");
  }
  stripe.id = StripeId(in.U64());
  const std::uint8_t kind = in.U8();
  stripe.kind = static_cast<StripeKind>(kind);
  stripe.data = in.U8();
  stripe.parity = in.U8();
  stripe.first_column = in.U8();
  scanned.column = in.U8();
  in.ExpectZeros(3);
  stripe.epoch = Epoch(in.U64());
  stripe.file_offset = in.U64();
  const std::uint64_t checksum = in.U64();
  in.ExpectZeros(kChecksumAt - in.position());
  if (!in.ok() || kind > static_cast<std::uint8_t>(StripeKind::kCheckpoint) ||
      scanned.column >= stripe.columns()) {
    return Error(ErrorCode::kCorrupt, "fragment header has fields out of range");
  }
  stripe.checksums.assign(static_cast<std::size_t>(stripe.columns()), 0);
  stripe.checksums[static_cast<std::size_t>(scanned.column)] = checksum;
  RETURN_IF_ERROR(CheckStripe(stripe));
  return scanned;
}

Status CheckFragmentHeader(const Uuid& volume_uuid, const StripeDescriptor& stripe, int column,
                           ByteSpan header) {
  const ByteVector expected = FragmentHeader(volume_uuid, stripe, column);
  if (std::equal(header.begin(), header.end(), expected.begin(), expected.end())) return {};
  // It is wrong; say how.
  const auto scanned = ScanFragmentHeader(volume_uuid, header);
  if (!scanned.ok()) return Error(ErrorCode::kCorrupt, scanned.error().message());
  const StripeDescriptor& found = scanned->stripe;
  if (found.id != stripe.id || scanned->column != column) {
    return Error(ErrorCode::kCorrupt,
                 fmt::format("fragment of stripe {:x} column {} lies here (misdirected write)",
                             found.id.value, scanned->column));
  }
  return Error(
      ErrorCode::kCorrupt,
      fmt::format("an older fragment of epoch {} lies here (lost write)", found.epoch.value));
}

Status CheckLocation(const StripeLocation& location) {
  const StripeDescriptor& stripe = location.stripe;
  RETURN_IF_ERROR(CheckStripe(stripe));
  const std::size_t columns = location.segment.disks.size();
  if (stripe.id.segment() != location.segment.id) {
    return Error(ErrorCode::kCorrupt, fmt::format("stripe {:x} is said to be in segment {:x}",
                                                  stripe.id.value, location.segment.id.value));
  }
  if (static_cast<std::size_t>(stripe.columns()) > columns || stripe.first_column >= columns) {
    return Error(ErrorCode::kCorrupt, fmt::format("stripe {:x} does not fit in its segment's {} "
                                                  "columns",
                                                  stripe.id.value, columns));
  }
  return {};
}

Status CheckExtent(const StripeLocation& location, const ExtentRef& extent) {
  const StripeDescriptor& stripe = location.stripe;
  if (stripe.id != extent.stripe) {
    return Error(ErrorCode::kCorrupt, fmt::format("asked for stripe {:x}, got {:x}",
                                                  extent.stripe.value, stripe.id.value));
  }
  RETURN_IF_ERROR(CheckLocation(location));
  const std::uint64_t end = std::uint64_t{extent.fragment_offset} + extent.stored_bytes;
  if (extent.column >= stripe.data || extent.stored_bytes == 0 || end > stripe.payload_bytes()) {
    return Error(ErrorCode::kCorrupt,
                 fmt::format("extent lies outside of stripe {:x}", stripe.id.value));
  }
  if (extent.codec == Codec::kNone && extent.stored_bytes != extent.raw_bytes) {
    return Error(ErrorCode::kCorrupt,
                 fmt::format("extent in stripe {:x} has two lengths", stripe.id.value));
  }
  return {};
}

DiskIndex DiskOfColumn(const StripeLocation& location, int column) {
  CHECK(column >= 0 && column < location.stripe.columns(), "no such column");
  const std::size_t at = location.stripe.first_column + static_cast<std::size_t>(column);
  return location.segment.disks[at % location.segment.disks.size()];
}

Status WriteFragment(DiskSet& disks, const Uuid& volume_uuid, const StripeLocation& location,
                     int column, MutableByteSpan fragment) {
  RETURN_IF_ERROR(CheckLocation(location));
  const StripeDescriptor& stripe = location.stripe;
  CHECK(column >= 0 && column < stripe.columns(), "no such column");
  CHECK(fragment.size() == stripe.fragment_bytes, "a fragment's length");
  CHECK(Checksum(fragment.subspan(kFragmentHeaderBytes)) ==
            stripe.checksums[static_cast<std::size_t>(column)],
        "a fragment is about to be written that is not the stripe's");
  const DiskIndex slot = DiskOfColumn(location, column);
  ASSIGN_OR_RETURN(const auto disk, OnlineDisk(disks, slot));
  ASSIGN_OR_RETURN(const auto file, disk->Open(SegmentObjectName(location.segment.id),
                                               OpenMode::kCreateOrOpenStream));
  EncodeFragmentHeader(volume_uuid, stripe, column, fragment.first(kFragmentHeaderBytes));
  return file->Write(stripe.file_offset, fragment);
}

Status SyncSegmentColumn(DiskSet& disks, SegmentId segment, DiskIndex slot) {
  ASSIGN_OR_RETURN(const auto disk, OnlineDisk(disks, slot));
  ASSIGN_OR_RETURN(const auto file, disk->Open(SegmentObjectName(segment), OpenMode::kReadWrite));
  RETURN_IF_ERROR(file->Sync());
  return disk->SyncNames();
}

}  // namespace varve
