#include <algorithm>
#include <optional>
#include <string>

#include "store/codec/checksum.h"
#include "store/codec/compression.h"
#include "store/log/change.h"
#include "store/log/change_check.h"
#include "store/log/change_format.h"

namespace varve {
namespace {

using Tag = OperationTag;

// Times of an inode are mostly those of the change itself: kept as the difference, modulo 2^64.
void EncodeTime(TimeNs time_ns, TimeNs base_ns, Encoder& out) {
  out.Varint(ZigZag(static_cast<std::uint64_t>(time_ns) - static_cast<std::uint64_t>(base_ns)));
}

void EncodeAttributes(const InodeAttributes& a, TimeNs base_ns, Encoder& out) {
  out.Varint(a.mode);
  out.Varint(a.uid);
  out.Varint(a.gid);
  out.Varint(a.nlink);
  out.Varint(a.size);
  out.Varint(a.rdev);
  EncodeTime(a.atime_ns, base_ns, out);
  EncodeTime(a.mtime_ns, base_ns, out);
  EncodeTime(a.ctime_ns, base_ns, out);
  EncodeTime(a.birth_ns, base_ns, out);
  out.Varint(a.body.value);
  out.Varint(a.parent.value);
  out.Sized(a.target);
}

// The piece's extent as it is to be written: its place, or the bytes if it has none yet. The place
// may be set, and the bytes dropped, by another thread at any moment, in that order.
struct Source {
  std::optional<ExtentRef> place;
  std::shared_ptr<const ByteVector> bytes;
};
Source SourceOf(const Piece& piece) {
  if (piece.pending == nullptr) return {piece.extent, nullptr};
  if (auto place = piece.pending->place()) return {place, nullptr};
  if (auto bytes = piece.pending->bytes()) return {std::nullopt, bytes};
  auto place = piece.pending->place();
  CHECK(place.has_value(), "pending extent with neither bytes nor place");
  return {place, nullptr};
}

// Inline bytes: codec, raw length, stored bytes with their length, checksum of the stored bytes.
void EncodeInline(const ByteVector& raw, Encoder& out) {
  ByteVector compressed;
  Codec codec = Compress(raw, compressed);
  ByteSpan stored = codec == Codec::kNone ? ByteSpan(raw) : ByteSpan(compressed);
  out.U8(static_cast<std::uint8_t>(codec));
  out.Varint(raw.size());
  out.Sized(stored);
  out.U64(Checksum(stored));
}

void EncodeOverlay(const PieceList& pieces, Encoder& out) {
  std::vector<const PendingExtent*> inlined;
  std::uint32_t end = 0;
  out.Varint(pieces.size());
  for (const Piece& piece : pieces) {
    out.Varint(piece.chunk_offset - end);
    out.Varint(piece.length);
    end = piece.end();
    if (piece.IsHole()) {
      out.U8(static_cast<std::uint8_t>(PieceTag::kHole));
      continue;
    }
    auto again = std::find(inlined.begin(), inlined.end(), piece.pending.get());
    if (again != inlined.end()) {
      out.U8(static_cast<std::uint8_t>(PieceTag::kInlineAgain));
      out.Varint(piece.raw_offset);
      out.Varint(static_cast<std::uint64_t>(again - inlined.begin()));
      continue;
    }
    Source source = SourceOf(piece);
    if (source.place.has_value()) {
      out.U8(static_cast<std::uint8_t>(PieceTag::kAtRest));
      out.Varint(piece.raw_offset);
      EncodeExtentRef(*source.place, out);
    } else {
      out.U8(static_cast<std::uint8_t>(PieceTag::kInline));
      out.Varint(piece.raw_offset);
      EncodeInline(*source.bytes, out);
      inlined.push_back(piece.pending.get());
    }
  }
}

// Pieces with every pending extent replaced by its place.
PieceList AtRest(const PieceList& pieces) {
  PieceList at_rest = pieces;
  for (Piece& piece : at_rest) {
    if (piece.pending == nullptr) continue;
    auto place = piece.pending->place();
    CHECK(place.has_value(), "PutChunk of an extent without a place");
    piece.extent = *place;
    piece.pending = nullptr;
  }
  return at_rest;
}

void PutTag(Tag tag, Encoder& out) { out.U8(static_cast<std::uint8_t>(tag)); }

struct OperationEncoder {
  TimeNs base_ns;
  Encoder& out;

  void operator()(const PutInode& op) {
    PutTag(op.attributes.sparse ? Tag::kPutSparseInode : Tag::kPutInode, out);
    out.Varint(op.inode.value);
    EncodeAttributes(op.attributes, base_ns, out);
  }
  void operator()(const RemoveInode& op) {
    PutTag(Tag::kRemoveInode, out);
    out.Varint(op.inode.value);
  }
  void operator()(const PutEntry& op) {
    PutTag(Tag::kPutEntry, out);
    out.Varint(op.parent.value);
    out.Sized(op.entry.name);
    out.Varint(op.entry.inode.value);
    out.Varint(op.entry.type);
    out.Varint(op.entry.cookie);
  }
  void operator()(const RemoveEntry& op) {
    PutTag(Tag::kRemoveEntry, out);
    out.Varint(op.parent.value);
    out.Sized(op.name);
  }
  void operator()(const PutXattr& op) {
    PutTag(Tag::kPutXattr, out);
    out.Varint(op.inode.value);
    out.Sized(op.name);
    out.Sized(op.value);
  }
  void operator()(const RemoveXattr& op) {
    PutTag(Tag::kRemoveXattr, out);
    out.Varint(op.inode.value);
    out.Sized(op.name);
  }
  void operator()(const WriteChunk& op) {
    PutTag(Tag::kWriteChunk, out);
    out.Varint(op.body.value);
    out.Varint(op.chunk);
    EncodeOverlay(op.pieces, out);
  }
  void operator()(const PutChunk& op) {
    PutTag(Tag::kPutChunk, out);
    out.Varint(op.body.value);
    out.Varint(op.chunk);
    EncodePieces(AtRest(op.pieces), out);
  }
  void operator()(const CutChunks& op) {
    PutTag(Tag::kCutChunks, out);
    out.Varint(op.body.value);
    out.Varint(op.first);
  }
  void operator()(const CloneChunks& op) {
    PutTag(Tag::kCloneChunks, out);
    out.Varint(op.from.value);
    out.Varint(op.at.value);
    out.Varint(op.from_first);
    out.Varint(op.to.value);
    out.Varint(op.to_first);
    out.Varint(op.count);
  }
  void operator()(const PutSnapshot& op) {
    PutTag(Tag::kPutSnapshot, out);
    out.Sized(op.name);
    out.Varint(op.lsn.value);
    EncodeTime(op.time_ns, base_ns, out);
  }
  void operator()(const RemoveSnapshot& op) {
    PutTag(Tag::kRemoveSnapshot, out);
    out.Sized(op.name);
  }
  void operator()(const PutSegment& op) {
    PutTag(Tag::kPutSegment, out);
    EncodeSegment(op.segment, out);
  }
  void operator()(const PutStripe& op) {
    PutTag(Tag::kPutStripe, out);
    EncodeStripe(op.stripe, out);
  }
};

}  // namespace

void EncodeChange(const Change& change, Encoder& out) {
  // Whatever breaks a bound here could never be read back.
  Status status = CheckChange(change);
  CHECK(status.ok(), status.ok() ? std::string_view() : std::string_view(status.error().message()));
  out.Varint(change.lsn.value);
  out.Varint(ZigZag(static_cast<std::uint64_t>(change.time_ns)));
  out.U8(static_cast<std::uint8_t>(change.kind));
  out.Varint(change.operations.size());
  OperationEncoder encoder{change.time_ns, out};
  for (const Operation& operation : change.operations) std::visit(encoder, operation);
}

}  // namespace varve
