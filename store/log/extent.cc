#include "store/log/extent.h"

#include <algorithm>
#include <string>

#include "store/disk/disk_label.h"
#include "store/log/corrupt.h"
#include "store/log/stripe.h"

namespace varve {
namespace {

// In the byte that holds an extent's column the upper two bits are its codec.
constexpr unsigned kColumnBits = 6;
constexpr std::uint8_t kColumnMask = (1u << kColumnBits) - 1;
// Beside the codecs: none, and a checksum in blocks.
constexpr std::uint8_t kInBlocks = 2;

// A piece begins with a varint: the gap since the piece before it, above these two bits.
constexpr std::uint64_t kHasRawOffset = 1;  // otherwise it begins with the extent's first byte
constexpr std::uint64_t kHasLength = 2;     // otherwise it ends with the extent's last byte
constexpr unsigned kPieceFlagBits = 2;

// The shortest encoding of a piece, for bounding a count before anything is allocated for it.
constexpr std::size_t kSmallestPieceBytes = 13;

// Whether `next` goes on exactly where `piece` ends, so that the two are one.
bool Continues(const Piece& piece, const Piece& next) {
  if (piece.end() != next.chunk_offset) return false;
  if (piece.IsHole() || next.IsHole()) return piece.IsHole() && next.IsHole();
  return piece.pending == next.pending && piece.extent == next.extent &&
         piece.raw_offset + piece.length == next.raw_offset;
}

void Append(Piece piece, Holes holes, PieceList& out) {
  if (holes == Holes::kDrop && piece.IsHole()) return;
  if (!out.empty() && Continues(out.back(), piece)) {
    out.back().length += piece.length;
    out.back().extent.blocks.Add(piece.extent.blocks);
  } else {
    out.push_back(std::move(piece));
  }
}

void DecodeBlocks(Decoder& in, BlockChecksums& blocks) {
  blocks.known = in.U16();
  for (std::size_t b = 0; b < kMaxExtentBlocks; ++b) {
    if ((blocks.known & 1u << b) != 0) blocks.values[b] = in.U32();
  }
}

}  // namespace

bool BlockChecksums::Cover(std::uint32_t from, std::uint32_t to) const {
  for (std::size_t b = from / kChecksumBlockBytes; b * kChecksumBlockBytes < to; ++b) {
    if ((known & 1u << b) == 0) return false;
  }
  return true;
}

BlockChecksums BlockChecksums::Of(std::uint32_t from, std::uint32_t to) const {
  BlockChecksums some;
  for (std::size_t b = from / kChecksumBlockBytes; b * kChecksumBlockBytes < to; ++b) {
    some.known = static_cast<std::uint16_t>(some.known | (known & 1u << b));
    some.values[b] = values[b];
  }
  return some;
}

void BlockChecksums::Add(const BlockChecksums& more) {
  for (std::size_t b = 0; b < values.size(); ++b) {
    if ((more.known & 1u << b) != 0) values[b] = more.values[b];
  }
  known |= more.known;
}

bool IsIntact(const ExtentRef& extent, ByteSpan stored) {
  return extent.checksum == (extent.in_blocks ? BlockwiseChecksum(stored) : Checksum(stored));
}

bool AreIntact(const BlockChecksums& blocks, std::uint32_t from, ByteSpan bytes) {
  for (std::size_t b = from / kChecksumBlockBytes; !bytes.empty(); ++b) {
    const ByteSpan block = bytes.first(std::min(kChecksumBlockBytes, bytes.size()));
    CHECK((blocks.known & 1u << b) != 0, "a block whose checksum is known");
    if (static_cast<std::uint32_t>(Checksum(block)) != blocks.values[b]) return false;
    bytes = bytes.subspan(block.size());
  }
  return true;
}

void EncodeExtentRef(const ExtentRef& ref, Encoder& out) {
  CHECK(ref.column <= kColumnMask, "extent column out of range");
  CHECK(!ref.in_blocks || ref.codec == Codec::kNone, "only what is stored as it is has blocks");
  const auto codec = ref.in_blocks ? kInBlocks : static_cast<std::uint8_t>(ref.codec);
  out.Varint(ref.stripe.value);
  out.U8(static_cast<std::uint8_t>(ref.column | codec << kColumnBits));
  out.Varint(ref.fragment_offset);
  out.Varint(ref.raw_bytes);
  if (ref.codec != Codec::kNone) out.Varint(ref.stored_bytes);
  out.U64(ref.checksum);
  if (!ref.in_blocks) return;
  out.U16(ref.blocks.known);
  for (std::size_t b = 0; b < kMaxExtentBlocks; ++b) {
    if ((ref.blocks.known & 1u << b) != 0) out.U32(ref.blocks.values[b]);
  }
}

Result<ExtentRef> DecodeExtentRef(Decoder& in) {
  ExtentRef ref;
  ref.stripe = StripeId(in.Varint());
  const std::uint8_t column_and_codec = in.U8();
  ref.column = column_and_codec & kColumnMask;
  const std::uint64_t fragment_offset = in.Varint();
  const std::uint64_t raw_bytes = in.Varint();
  const unsigned codec = column_and_codec >> kColumnBits;
  ref.in_blocks = codec == kInBlocks;
  if (!ref.in_blocks) {
    if (codec > static_cast<unsigned>(Codec::kLz4)) return Corrupt("extent: unknown codec");
    ref.codec = static_cast<Codec>(codec);
  }
  const std::uint64_t stored_bytes = ref.codec == Codec::kNone ? raw_bytes : in.Varint();
  ref.checksum = in.U64();
  if (ref.in_blocks) DecodeBlocks(in, ref.blocks);
  if (!in.ok()) return Corrupt("extent: cut short");
  if (!ref.stripe) return Corrupt("extent: no stripe");
  if (ref.column >= kMaxData) return Corrupt("extent: column out of range");
  if (raw_bytes < 1 || raw_bytes > kChunkBytes) return Corrupt("extent: raw length out of range");
  if (stored_bytes < 1 || stored_bytes > raw_bytes) {
    return Corrupt("extent: stored length out of range");
  }
  constexpr std::uint64_t kLongestPayload = kMaxFragmentBytes - kFragmentHeaderBytes;
  if (fragment_offset > kLongestPayload || fragment_offset + stored_bytes > kLongestPayload) {
    return Corrupt("extent: reaches past its fragment");
  }
  if (ref.blocks.known >> (raw_bytes + kChecksumBlockBytes - 1) / kChecksumBlockBytes != 0) {
    return Corrupt("extent: a block past its end");
  }
  ref.fragment_offset = static_cast<std::uint32_t>(fragment_offset);
  ref.raw_bytes = static_cast<std::uint32_t>(raw_bytes);
  ref.stored_bytes = static_cast<std::uint32_t>(stored_bytes);
  return ref;
}

Piece Piece::Clip(std::uint32_t from, std::uint32_t to) const {
  CHECK(chunk_offset <= from && from < to && to <= end(), "clip outside of the piece");
  Piece part = *this;
  part.chunk_offset = from;
  part.length = to - from;
  if (!IsHole()) part.raw_offset += from - chunk_offset;
  return part;
}

PieceList Overlay(const PieceList& base, const PieceList& over, Holes holes) {
  PieceList out;
  out.reserve(base.size() + over.size() + 1);
  auto top = over.begin();
  std::uint32_t hidden_to = 0;  // end of the last top taken: nothing below shows before it
  for (const Piece& piece : base) {
    std::uint32_t at = std::max(piece.chunk_offset, hidden_to);  // dealt with up to here
    while (at < piece.end()) {
      // Tops that begin before `at` go first; they may hide some of the piece.
      if (top != over.end() && top->chunk_offset <= at) {
        hidden_to = top->end();
        at = std::max(at, hidden_to);
        Append(*top, holes, out);
        ++top;
        continue;
      }
      const std::uint32_t to =
          top == over.end() ? piece.end() : std::min(piece.end(), top->chunk_offset);
      Append(piece.Clip(at, to), holes, out);
      at = to;
    }
  }
  for (; top != over.end(); ++top) Append(*top, holes, out);
  return out;
}

void EncodePieces(const PieceList& pieces, Encoder& out) {
  out.Varint(static_cast<std::uint64_t>(
      std::count_if(pieces.begin(), pieces.end(), [](const Piece& p) { return !p.IsHole(); })));
  std::uint32_t end = 0;
  for (const Piece& piece : pieces) {
    CHECK(piece.pending == nullptr, "a pending piece has no on-disk form");
    CHECK(piece.length > 0 && piece.chunk_offset >= end && piece.end() <= kChunkBytes,
          "pieces overlap or leave the chunk");
    if (piece.IsHole()) continue;
    CHECK(piece.raw_offset + piece.length <= piece.extent.raw_bytes,
          "piece reaches past its extent");
    std::uint64_t head = static_cast<std::uint64_t>(piece.chunk_offset - end) << kPieceFlagBits;
    const bool whole_tail = piece.raw_offset + piece.length == piece.extent.raw_bytes;
    if (piece.raw_offset != 0) head |= kHasRawOffset;
    if (!whole_tail) head |= kHasLength;
    out.Varint(head);
    if (piece.raw_offset != 0) out.Varint(piece.raw_offset);
    if (!whole_tail) out.Varint(piece.length);
    ExtentRef extent = piece.extent;
    extent.blocks = extent.blocks.Of(piece.raw_offset, piece.raw_offset + piece.length);
    EncodeExtentRef(extent, out);
    end = piece.end();
  }
}

Result<PieceList> DecodePieces(Decoder& in) {
  const std::uint64_t count = in.Varint();
  if (!in.ok() || count > kChunkBytes || count * kSmallestPieceBytes > in.remaining()) {
    return Corrupt("pieces: count out of range");
  }
  PieceList pieces;
  pieces.reserve(count);
  std::uint64_t end = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t head = in.Varint();
    const std::uint64_t raw_offset = head & kHasRawOffset ? in.Varint() : 0;
    const std::uint64_t said_length = head & kHasLength ? in.Varint() : 0;
    if (!in.ok()) return Corrupt("pieces: cut short");
    ASSIGN_OR_RETURN(const ExtentRef extent, DecodeExtentRef(in));
    if (raw_offset >= extent.raw_bytes) return Corrupt("pieces: begins past its extent");
    const std::uint64_t rest = extent.raw_bytes - raw_offset;
    const std::uint64_t length = head & kHasLength ? said_length : rest;
    if (length < 1 || length > rest) return Corrupt("pieces: reaches past its extent");
    const std::uint64_t gap = head >> kPieceFlagBits;
    if (gap > kChunkBytes || end + gap + length > kChunkBytes) {
      return Corrupt("pieces: leaves the chunk");
    }
    Piece piece;
    piece.chunk_offset = static_cast<std::uint32_t>(end + gap);
    piece.length = static_cast<std::uint32_t>(length);
    piece.raw_offset = static_cast<std::uint32_t>(raw_offset);
    piece.extent = extent;
    end = piece.end();
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

}  // namespace varve
