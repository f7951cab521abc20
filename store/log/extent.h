// Where the bytes of a file are: bodies are cut into chunks, chunks into pieces, pieces point into
// extents, extents lie in stripes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/ids.h"
#include "store/codec/checksum.h"
#include "store/codec/compression.h"

namespace varve {

// The map of a body is kept by chunks of this size: one row holds a chunk's whole state, so "as of"
// is one seek a chunk, however often it was written. An extent never crosses a chunk.
inline constexpr std::uint32_t kChunkBytes = 64 * 1024;
using ChunkIndex = std::uint64_t;  // offset / kChunkBytes
inline constexpr ChunkIndex kNoChunk = std::numeric_limits<ChunkIndex>::max();

// What is known of the checksums of an extent's blocks: bit b of `known` says that values[b] is the
// lower half of block b's. The others are zero.
inline constexpr std::size_t kMaxExtentBlocks = kChunkBytes / kChecksumBlockBytes;
struct BlockChecksums {
  std::uint16_t known = 0;
  std::array<std::uint32_t, kMaxExtentBlocks> values{};
  bool operator==(const BlockChecksums&) const = default;

  // Of the blocks that hold any of the bytes [from, to): is each known; what is known of them.
  bool Cover(std::uint32_t from, std::uint32_t to) const;
  BlockChecksums Of(std::uint32_t from, std::uint32_t to) const;
  void Add(const BlockChecksums& more);
};

// Bytes at rest: whole in one column of one stripe.
struct ExtentRef {
  StripeId stripe;
  std::uint8_t column = 0;            // data column of the stripe, 0..k'-1
  std::uint32_t fragment_offset = 0;  // first byte within the fragment's payload
  std::uint32_t stored_bytes = 0;     // as stored, after compression
  std::uint32_t raw_bytes = 0;        // 1..kChunkBytes
  Codec codec = Codec::kNone;
  // Of the stored bytes: Checksum, or BlockwiseChecksum if `in_blocks` (stored as they are, no
  // codec).
  std::uint64_t checksum = 0;
  bool in_blocks = false;
  BlockChecksums blocks;

  // The same bytes at the same place, however many of its blocks are known to either.
  friend bool operator==(const ExtentRef& a, const ExtentRef& b) {
    return a.stripe == b.stripe && a.column == b.column && a.fragment_offset == b.fragment_offset &&
           a.stored_bytes == b.stored_bytes && a.raw_bytes == b.raw_bytes && a.codec == b.codec &&
           a.checksum == b.checksum && a.in_blocks == b.in_blocks;
  }
};

// Whether `stored`, all of the extent's stored bytes, are what its checksum says.
bool IsIntact(const ExtentRef& extent, ByteSpan stored);
// Whether `bytes`, whole blocks of which the first begins at `from`, are what their own checksums
// say, which must be known.
bool AreIntact(const BlockChecksums& blocks, std::uint32_t from, ByteSpan bytes);

// The on-disk form of a reference, about 24 bytes, with four more a block whose checksum is known.
// Decode checks every bound; kCorrupt otherwise.
void EncodeExtentRef(const ExtentRef& ref, Encoder& out);
Result<ExtentRef> DecodeExtentRef(Decoder& in);

// Bytes on their way: written by a program, not yet in a stripe. Shared by all pieces that point
// into it. `bytes` are immutable; `place` is set once, when the extent has been written durably
// into a stripe, after which the bytes may be dropped. Thread-safe.
class PendingExtent {
 public:
  explicit PendingExtent(ByteVector bytes)
      : raw_bytes_(static_cast<std::uint32_t>(bytes.size())),
        bytes_(std::make_shared<const ByteVector>(std::move(bytes))) {}

  std::uint32_t raw_bytes() const { return raw_bytes_; }
  // Null once dropped; then place() is set.
  std::shared_ptr<const ByteVector> bytes() const {
    std::lock_guard lock(mutex_);
    return bytes_;
  }
  std::optional<ExtentRef> place() const {
    std::lock_guard lock(mutex_);
    return place_;
  }
  void SetPlace(const ExtentRef& ref) {
    std::lock_guard lock(mutex_);
    place_ = ref;
  }
  void DropBytes() {
    std::lock_guard lock(mutex_);
    CHECK(place_.has_value());
    bytes_.reset();
  }

 private:
  const std::uint32_t raw_bytes_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ByteVector> bytes_;
  std::optional<ExtentRef> place_;
};

// A run of bytes of a chunk. Exactly one of the three: a hole (neither extent nor pending set), an
// extent at rest, or a pending extent.
struct Piece {
  std::uint32_t chunk_offset = 0;  // within the chunk
  std::uint32_t length = 0;        // 1..kChunkBytes
  std::uint32_t raw_offset = 0;    // where the run begins in the extent's raw bytes
  ExtentRef extent;
  std::shared_ptr<PendingExtent> pending;

  bool IsHole() const { return !extent.stripe && pending == nullptr; }
  std::uint32_t end() const { return chunk_offset + length; }
  // The part [from, to) of the chunk, which must lie within this piece.
  Piece Clip(std::uint32_t from, std::uint32_t to) const;
};

// Sorted by chunk_offset, without overlap. In a chunk's full state holes are simply absent.
using PieceList = std::vector<Piece>;

// Lays `over` (holes included) on top of `base`: the state of the chunk after that write. The
// result keeps hole pieces only if `keep_holes` (an overlay that is itself to be laid over a base).
enum class Holes { kDrop, kKeep };
PieceList Overlay(const PieceList& base, const PieceList& over, Holes holes);

// The on-disk form of a full chunk state, as kept in the catalog and in PutChunk: no pending
// pieces. Decode checks every bound; kCorrupt otherwise.
void EncodePieces(const PieceList& pieces, Encoder& out);
Result<PieceList> DecodePieces(Decoder& in);

}  // namespace varve
