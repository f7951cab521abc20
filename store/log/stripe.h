// What identifies a stripe and lets every byte of it be verified.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/ids.h"

namespace varve {

inline constexpr std::uint32_t kFragmentAlign = 4096;
// Header in front of each fragment's payload, in the column's file (docs/FORMAT.md).
inline constexpr std::uint32_t kFragmentHeaderBytes = 128;
inline constexpr std::uint32_t kMaxFragmentBytes = 1024 * 1024;  // header and payload

enum class StripeKind : std::uint8_t {
  kData = 0,        // extents of files
  kCheckpoint = 1,  // a run of changes, so that the catalog can be rebuilt (log/checkpoint.h)
};

// Segments are column files "segment/<16 hex digits>" on the member disks listed here: column c of
// the segment is on disks[c]. At most kMaxDisks columns.
struct SegmentDescriptor {
  SegmentId id;
  std::vector<DiskIndex> disks;
  bool operator==(const SegmentDescriptor&) const = default;
};

// Stripe s of a segment: all its fragments begin at file_offset of their column files and are
// fragment_bytes long (header + payload, multiple of kFragmentAlign). data+parity may be fewer than
// the segment's columns (a narrow stripe); stripe column c then lies in segment column
// (first_column + c) % segment columns.
struct StripeDescriptor {
  StripeId id;
  StripeKind kind = StripeKind::kData;
  std::uint8_t data = 0;          // k'
  std::uint8_t parity = 0;        // m
  std::uint8_t first_column = 0;  // in the segment
  std::uint64_t file_offset = 0;
  std::uint32_t fragment_bytes = 0;
  Epoch epoch;                           // when it was written
  std::vector<std::uint64_t> checksums;  // of each fragment's payload, data+parity of them

  int columns() const { return data + parity; }
  std::uint32_t payload_bytes() const { return fragment_bytes - kFragmentHeaderBytes; }
  bool operator==(const StripeDescriptor&) const = default;
};

// Bounds are checked on decoding (k' >= 1, sizes, alignment, checksum count): kCorrupt otherwise.
void EncodeSegment(const SegmentDescriptor& segment, Encoder& out);
Result<SegmentDescriptor> DecodeSegment(Decoder& in);
void EncodeStripe(const StripeDescriptor& stripe, Encoder& out);
Result<StripeDescriptor> DecodeStripe(Decoder& in);

// kCorrupt unless every field is within its bounds.
Status CheckStripe(const StripeDescriptor& stripe);

std::string SegmentObjectName(SegmentId id);

}  // namespace varve
