// The label: the object "label" on every member disk, that says what volume the disk belongs to.
// It is read before anything else is trusted. Layout in docs/FORMAT.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/clock.h"
#include "store/base/ids.h"
#include "store/base/uuid.h"
#include "store/disk/disk.h"

namespace varve {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::string_view kLabelObject = "label";
inline constexpr int kMaxData = 32;
inline constexpr int kMaxParity = 8;
inline constexpr int kMaxDisks = 64;
inline constexpr std::size_t kMaxVolumeNameBytes = 64;
inline constexpr std::size_t kMaxLabelPathBytes = 4096;

// k data and m parity columns.
struct Geometry {
  int data = 0;    // k, 1..32
  int parity = 0;  // m, 0..8
  int columns() const { return data + parity; }
  // Copies of the journal.
  int journal_copies() const { return parity + 1; }
  bool operator==(const Geometry&) const = default;
};
// kInvalidArgument with the limit that is broken; disk_count must be at least k+m.
Status CheckGeometry(const Geometry& geometry, int disk_count);

enum class SlotState : std::uint8_t {
  kActive = 0,      // holds its part of everything
  kFailed = 1,      // the volume went on without it: what it holds is stale
  kRebuilding = 2,  // takes new writes, but what it should hold of old stripes is not yet all there
};

// What each label knows about every member, itself included.
struct SlotRecord {
  Uuid disk_uuid;
  SlotState state = SlotState::kActive;
  std::string last_path;  // a hint for finding it, at most kMaxLabelPathBytes
  bool operator==(const SlotRecord&) const = default;
};

struct DiskLabel {
  Uuid volume_uuid;
  std::string volume_name;  // --label, at most kMaxVolumeNameBytes, may be empty
  Uuid disk_uuid;
  DiskIndex slot;
  Geometry geometry;
  TimeNs created_ns = 0;
  // Membership: the epoch, and a random id of that epoch so that two halves of a split volume that
  // both went on are told apart from a disk that merely fell behind.
  Epoch epoch{1};
  Uuid epoch_id;
  // The id of the epoch before this one, nil in the first: a disk that still says that epoch, and
  // is not failed in this one's opinion, was cut short in the step to this epoch and has missed
  // nothing.
  Uuid previous_epoch_id;
  std::vector<SlotRecord> slots;
  // The disk that holds the live catalog, and how often it has been rebuilt: a catalog of another
  // generation than this is an old one.
  DiskIndex catalog_slot;
  std::uint64_t catalog_generation = 1;

  bool operator==(const DiskLabel&) const = default;
};

ByteVector EncodeLabel(const DiskLabel& label);
// kCorrupt with the field that is wrong; kUnsupported for a newer format, naming both versions.
Result<DiskLabel> DecodeLabel(ByteSpan bytes);

// kNotFound if the disk has no label ("not a Varve disk").
Result<DiskLabel> ReadLabel(Disk& disk);
Status WriteLabel(Disk& disk, const DiskLabel& label);

}  // namespace varve
