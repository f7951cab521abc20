#include "store/disk/disk_label.h"

#include <algorithm>

#include "store/codec/checksum.h"

namespace varve {
namespace {

// Layout, little-endian (docs/FORMAT.md):
//    0  8  magic "VARVELBL"
//    8  4  format version
//   12  4  length of the whole label, checksum included
//   16 16  volume uuid
//   32 16  disk uuid
//   48 16  epoch id
//   64 16  id of the epoch before (zero in the first)
//   80  8  epoch
//   88  8  created, ns since 1970
//   96  8  catalog generation
//  104  1  slot
//  105  1  k
//  106  1  m
//  107  1  catalog slot
//  108  1  number of slots
//  109  1  length of the volume's name
//  110 18  reserved, zero
//  128     name; then for each slot: disk uuid 16, state 1, reserved 5, path length 2, path
//   -8  8  XXH3-64 of everything before it
// Magic, version, length and checksum lie the same in every version, so that a newer label is told
// from a damaged one.
constexpr std::string_view kMagic = "VARVELBL";
constexpr std::size_t kHeaderReservedBytes = 18;
constexpr std::size_t kSlotReservedBytes = 5;
constexpr std::size_t kChecksumBytes = 8;
constexpr std::size_t kLengthOffset = 12;
constexpr std::size_t kMinLabelBytes = 128 + kChecksumBytes;

Error Corrupt(const std::string& what) {
  return Error(ErrorCode::kCorrupt, "the label is damaged: " + what);
}

void PutUuid(Encoder& out, const Uuid& id) { out.Raw(ByteSpan(id.bytes)); }

Uuid GetUuid(Decoder& in) {
  Uuid id;
  const ByteSpan raw = in.Raw(id.bytes.size());
  if (raw.size() == id.bytes.size()) std::copy(raw.begin(), raw.end(), id.bytes.begin());
  return id;
}

// Magic, length, checksum and version; what lies between is then decoded in peace.
Status CheckEnvelope(ByteSpan bytes) {
  if (bytes.size() < kMinLabelBytes)
    return Corrupt("it has only " + std::to_string(bytes.size()) + " bytes");
  if (AsText(bytes.first(kMagic.size())) != kMagic) return Corrupt("no magic number");
  Decoder in(bytes.subspan(kMagic.size()));
  const std::uint32_t version = in.U32();
  const std::uint32_t length_bytes = in.U32();
  if (length_bytes != bytes.size()) {
    return Corrupt("it has " + std::to_string(bytes.size()) + " bytes and says " +
                   std::to_string(length_bytes));
  }
  Decoder tail(bytes.last(kChecksumBytes));
  if (tail.U64() != Checksum(bytes.first(bytes.size() - kChecksumBytes))) {
    return Corrupt("wrong checksum");
  }
  if (version > kFormatVersion) {
    return Error(ErrorCode::kUnsupported, "the disk has format version " + std::to_string(version) +
                                              "; this program knows versions up to " +
                                              std::to_string(kFormatVersion));
  }
  if (version == 0) return Corrupt("format version 0");
  return {};
}

Result<SlotRecord> DecodeSlot(Decoder& in, std::size_t index) {
  const std::string name = "slot " + std::to_string(index);
  SlotRecord slot;
  slot.disk_uuid = GetUuid(in);
  const std::uint8_t state = in.U8();
  if (state > static_cast<std::uint8_t>(SlotState::kRebuilding)) return Corrupt("state of " + name);
  slot.state = static_cast<SlotState>(state);
  in.ExpectZeros(kSlotReservedBytes);
  const std::size_t path_bytes = in.U16();
  if (path_bytes > kMaxLabelPathBytes) return Corrupt("path of " + name);
  slot.last_path = AsText(in.Raw(path_bytes));
  if (!in.ok()) return Corrupt(name);
  if (slot.disk_uuid.IsNil()) return Corrupt("uuid of " + name);
  return slot;
}

// What holds among the fields of every label that was ever written.
Status CheckFields(const DiskLabel& label) {
  const auto slot_count = static_cast<int>(label.slots.size());
  if (Status geometry = CheckGeometry(label.geometry, slot_count); !geometry.ok()) {
    return Corrupt(geometry.error().message());
  }
  if (label.volume_uuid.IsNil()) return Corrupt("volume uuid");
  if (label.epoch_id.IsNil()) return Corrupt("epoch id");
  if (!label.epoch) return Corrupt("epoch");
  if (label.slot.value >= slot_count) return Corrupt("slot number");
  if (label.catalog_slot.value >= slot_count) return Corrupt("catalog slot");
  if (label.slots[label.slot.value].disk_uuid != label.disk_uuid) {
    return Corrupt("the disk's uuid is not that of its slot");
  }
  return {};
}

}  // namespace

Status CheckGeometry(const Geometry& geometry, int disk_count) {
  auto refuse = [](const std::string& what) { return Error(ErrorCode::kInvalidArgument, what); };
  if (geometry.data < 1 || geometry.data > kMaxData) {
    return refuse("data must be 1 to " + std::to_string(kMaxData) + ", not " +
                  std::to_string(geometry.data));
  }
  if (geometry.parity < 0 || geometry.parity > kMaxParity) {
    return refuse("parity must be 0 to " + std::to_string(kMaxParity) + ", not " +
                  std::to_string(geometry.parity));
  }
  if (disk_count > kMaxDisks) {
    return refuse("a volume has at most " + std::to_string(kMaxDisks) + " disks, not " +
                  std::to_string(disk_count));
  }
  if (disk_count < geometry.columns()) {
    return refuse(std::to_string(geometry.data) + "+" + std::to_string(geometry.parity) +
                  " needs at least " + std::to_string(geometry.columns()) + " disks, not " +
                  std::to_string(disk_count));
  }
  return {};
}

ByteVector EncodeLabel(const DiskLabel& label) {
  CHECK(CheckFields(label).ok(), CheckFields(label).error().message());
  CHECK(label.volume_name.size() <= kMaxVolumeNameBytes, "volume name too long");
  Encoder out;
  out.Raw(kMagic);
  out.U32(kFormatVersion);
  out.U32(0);  // the length, known at the end
  PutUuid(out, label.volume_uuid);
  PutUuid(out, label.disk_uuid);
  PutUuid(out, label.epoch_id);
  PutUuid(out, label.previous_epoch_id);
  out.U64(label.epoch.value);
  out.I64(label.created_ns);
  out.U64(label.catalog_generation);
  out.U8(label.slot.value);
  out.U8(static_cast<std::uint8_t>(label.geometry.data));
  out.U8(static_cast<std::uint8_t>(label.geometry.parity));
  out.U8(label.catalog_slot.value);
  out.U8(static_cast<std::uint8_t>(label.slots.size()));
  out.U8(static_cast<std::uint8_t>(label.volume_name.size()));
  out.Zeros(kHeaderReservedBytes);
  out.Raw(label.volume_name);
  for (const SlotRecord& slot : label.slots) {
    CHECK(slot.last_path.size() <= kMaxLabelPathBytes, "path too long for a label");
    PutUuid(out, slot.disk_uuid);
    out.U8(static_cast<std::uint8_t>(slot.state));
    out.Zeros(kSlotReservedBytes);
    out.U16(static_cast<std::uint16_t>(slot.last_path.size()));
    out.Raw(slot.last_path);
  }
  out.PatchU32(kLengthOffset, static_cast<std::uint32_t>(out.size() + kChecksumBytes));
  out.U64(Checksum(out.bytes()));
  return out.Take();
}

Result<DiskLabel> DecodeLabel(ByteSpan bytes) {
  RETURN_IF_ERROR(CheckEnvelope(bytes));
  Decoder in(bytes.first(bytes.size() - kChecksumBytes).subspan(kLengthOffset + 4));
  DiskLabel label;
  label.volume_uuid = GetUuid(in);
  label.disk_uuid = GetUuid(in);
  label.epoch_id = GetUuid(in);
  label.previous_epoch_id = GetUuid(in);
  label.epoch = Epoch(in.U64());
  label.created_ns = in.I64();
  label.catalog_generation = in.U64();
  label.slot = DiskIndex(in.U8());
  label.geometry.data = in.U8();
  label.geometry.parity = in.U8();
  label.catalog_slot = DiskIndex(in.U8());
  const std::size_t slot_count = in.U8();
  const std::size_t name_bytes = in.U8();
  in.ExpectZeros(kHeaderReservedBytes);
  if (!in.ok()) return Corrupt("reserved bytes are not zero");
  if (name_bytes > kMaxVolumeNameBytes) return Corrupt("the volume's name is too long");
  label.volume_name = AsText(in.Raw(name_bytes));
  for (std::size_t i = 0; i < slot_count; ++i) {
    ASSIGN_OR_RETURN(SlotRecord slot, DecodeSlot(in, i));
    label.slots.push_back(std::move(slot));
  }
  if (!in.AtEnd()) return Corrupt("its fields do not fill it");
  RETURN_IF_ERROR(CheckFields(label));
  return label;
}

Result<DiskLabel> ReadLabel(Disk& disk) {
  constexpr std::uint64_t kMaxLabelBytes = 1024 * 1024;
  Result<ByteVector> bytes = ReadWhole(disk, kLabelObject, kMaxLabelBytes);
  if (!bytes.ok() && bytes.error().code() == ErrorCode::kNotFound) {
    return Error(ErrorCode::kNotFound, disk.Describe() + ": not a Varve disk (it has no label)",
                 bytes.error().os_errno());
  }
  if (!bytes.ok()) return bytes.error().In(disk.Describe());
  Result<DiskLabel> label = DecodeLabel(*bytes);
  if (!label.ok()) return label.error().In(disk.Describe());
  return label;
}

Status WriteLabel(Disk& disk, const DiskLabel& label) {
  Status written = WriteAtomically(disk, kLabelObject, EncodeLabel(label));
  if (!written.ok()) return written.error().In(disk.Describe());
  return {};
}

}  // namespace varve
