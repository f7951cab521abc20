// The bytes of a journal segment. Pure: no disk, no threads.
//
// A segment begins with its header, a whole number of blocks:
//
//   offset bytes
//        0     8  magic "VRVJSEG1"
//        8     4  format version, 1
//       12     4  length of the header in blocks of kJournalBlockBytes
//       16    16  uuid of the volume: a segment of another volume is never replayed
//       32     8  sequence number: that of the object's name, or the object was misplaced
//       40     8  epoch in which it was begun
//       48    16  random id of the segment: two segments of one number are never taken for one
//       64     8  previous_last_lsn: the LSN after which the segment continues. Changes after it in
//                 segments of lower numbers are void; one missing up to it is a gap
//       72     8  length of the checkpoint reference, 0: none
//       80     8  checksum of the whole header, taken with this field zero
//       88        the checkpoint reference, then zeros to the end of the last block
//
// Frames follow, each a whole number of blocks:
//
//        0     4  magic "VJFR"
//        4     4  count of changes, last - first + 1
//        8     8  epoch in which it was written: never lower than that of the frame before
//       16     8  length of the payload in bytes
//       24     8  first LSN
//       32     8  last LSN
//       40     8  durable LSN: what was known to be on all replicas when this frame was written, so
//                 that a reader can tell a torn tail (normal) from a damaged replica
//       48     8  checksum of the frame before, or of the header: makes the frames a chain, so that
//                 what an object held earlier can never be taken for its continuation
//       56     8  checksum of the whole frame, padding included, taken with this field zero
//       64        the changes as EncodeChange writes them, then zeros to the end of the last block
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/bytes.h"
#include "store/base/ids.h"
#include "store/base/uuid.h"
#include "store/log/checkpoint.h"
#include "store/log/journal.h"

namespace varve {

inline constexpr std::string_view kJournalPrefix = "journal/";
inline constexpr std::uint32_t kJournalVersion = 1;
inline constexpr std::uint64_t kFrameHeaderBytes = 64;
// A checkpoint reference of this size describes far more than a checkpoint may hold.
inline constexpr std::uint64_t kMaxJournalHeaderBytes = 16 * 1024 * 1024;

std::string JournalObjectName(std::uint64_t sequence);
// Nothing unless `name` is exactly the name of a segment.
std::optional<std::uint64_t> ParseJournalObjectName(std::string_view name);

inline constexpr std::uint64_t RoundUpToBlock(std::uint64_t bytes) {
  return (bytes + kJournalBlockBytes - 1) / kJournalBlockBytes * kJournalBlockBytes;
}

struct JournalHeader {
  Uuid volume_uuid;
  std::uint64_t sequence = 0;
  Epoch epoch;
  Uuid segment_uuid;
  Lsn previous_last_lsn;
  std::optional<CheckpointRef> checkpoint;
};

struct EncodedHeader {
  ByteVector bytes;
  std::uint64_t checksum = 0;  // the first link of the chain
};
EncodedHeader EncodeJournalHeader(const JournalHeader& header);

// The length that a header claims, from its first block: kCorrupt unless the magic is right and the
// length is possible. The rest is not verified.
Result<std::uint64_t> HeaderBytes(ByteSpan first_block);
struct DecodedHeader {
  JournalHeader header;
  std::uint64_t length_bytes = 0;
  std::uint64_t checksum = 0;
};
// `bytes` are exactly the header's blocks. kCorrupt; kUnsupported for a newer format.
Result<DecodedHeader> DecodeJournalHeader(ByteSpan bytes);

// The first 64 bytes of a frame.
struct FrameHeader {
  std::uint32_t count = 0;
  Epoch epoch;
  std::uint64_t payload_bytes = 0;
  Lsn first;
  Lsn last;
  Lsn durable;
  std::uint64_t previous_checksum = 0;
  std::uint64_t checksum = 0;

  std::uint64_t frame_bytes() const { return RoundUpToBlock(kFrameHeaderBytes + payload_bytes); }
};

// Appends a whole frame and returns its checksum. header.checksum, count and payload_bytes are
// filled in here.
std::uint64_t AppendFrame(FrameHeader header, ByteSpan payload, ByteVector& out);
// Checks magic, LSNs and count of changes; neither checksum nor chain.
Result<FrameHeader> DecodeFrameHeader(ByteSpan bytes);
// Whether the whole frame (header.frame_bytes() bytes) is what its header says.
bool FrameIsWhole(const FrameHeader& header, ByteSpan frame);

}  // namespace varve
