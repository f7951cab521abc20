#include <limits>
#include <memory>
#include <string>

#include "store/codec/checksum.h"
#include "store/codec/compression.h"
#include "store/log/change.h"
#include "store/log/change_check.h"
#include "store/log/change_format.h"
#include "store/log/corrupt.h"

namespace varve {
namespace {

using Tag = OperationTag;

constexpr std::uint64_t kMax32 = std::numeric_limits<std::uint32_t>::max();
// An operation is its tag and at least one byte; a piece at least gap, length and tag.
constexpr std::size_t kMinOperationBytes = 2;
constexpr std::size_t kMinPieceBytes = 3;

TimeNs DecodeTime(TimeNs base_ns, Decoder& in) {
  return static_cast<TimeNs>(static_cast<std::uint64_t>(base_ns) + UnZigZag(in.Varint()));
}

// A varint that must fit 32 bits; fails the decoder otherwise.
std::uint32_t Varint32(Decoder& in) {
  std::uint64_t v = in.Varint();
  if (v > kMax32) in.Fail();
  return static_cast<std::uint32_t>(v);
}

InodeAttributes DecodeAttributes(TimeNs base_ns, Decoder& in) {
  InodeAttributes a;
  a.mode = Varint32(in);
  a.uid = Varint32(in);
  a.gid = Varint32(in);
  a.nlink = Varint32(in);
  a.size = in.Varint();
  a.rdev = in.Varint();
  a.atime_ns = DecodeTime(base_ns, in);
  a.mtime_ns = DecodeTime(base_ns, in);
  a.ctime_ns = DecodeTime(base_ns, in);
  a.birth_ns = DecodeTime(base_ns, in);
  a.body = BodyId(in.Varint());
  a.parent = InodeId(in.Varint());
  a.target = in.SizedString();
  return a;
}

Result<std::shared_ptr<PendingExtent>> DecodeInline(Decoder& in) {
  auto codec = static_cast<Codec>(in.U8());
  std::uint64_t raw_bytes = in.Varint();
  ByteSpan stored = in.Sized();
  std::uint64_t checksum = in.U64();
  if (!in.ok()) return Corrupt("inline bytes cut short");
  if (codec != Codec::kNone && codec != Codec::kLz4) return Corrupt("inline bytes: unknown codec");
  if (raw_bytes == 0 || raw_bytes > kChunkBytes || stored.empty() || stored.size() > raw_bytes ||
      (codec == Codec::kNone && stored.size() != raw_bytes)) {
    return Corrupt("inline bytes: length");
  }
  if (Checksum(stored) != checksum) return Corrupt("inline bytes fail their checksum");
  ByteVector raw(static_cast<std::size_t>(raw_bytes));
  if (codec == Codec::kNone) {
    raw.assign(stored.begin(), stored.end());
  } else {
    RETURN_IF_ERROR(Decompress(codec, stored, raw));
  }
  return std::make_shared<PendingExtent>(std::move(raw));
}

// Fills what the piece is made of; bounds between pieces are CheckOperation's.
Status DecodeSource(Decoder& in, std::vector<std::shared_ptr<PendingExtent>>& inlined,
                    Piece& piece) {
  auto tag = static_cast<PieceTag>(in.U8());
  if (!in.ok()) return Corrupt("pieces cut short");
  if (tag == PieceTag::kHole) return {};
  piece.raw_offset = Varint32(in);
  switch (tag) {
    case PieceTag::kAtRest: {
      ASSIGN_OR_RETURN(piece.extent, DecodeExtentRef(in));
      return {};
    }
    case PieceTag::kInline: {
      ASSIGN_OR_RETURN(piece.pending, DecodeInline(in));
      inlined.push_back(piece.pending);
      return {};
    }
    case PieceTag::kInlineAgain: {
      std::uint64_t index = in.Varint();
      if (!in.ok() || index >= inlined.size()) return Corrupt("piece of an unknown inline extent");
      piece.pending = inlined[static_cast<std::size_t>(index)];
      return {};
    }
    default:
      return Corrupt("piece tag " + std::to_string(static_cast<int>(tag)));
  }
}

Result<PieceList> DecodeOverlay(Decoder& in) {
  std::uint64_t count = in.Varint();
  if (!in.ok() || count > in.remaining() / kMinPieceBytes) return Corrupt("piece count");
  PieceList pieces;
  std::vector<std::shared_ptr<PendingExtent>> inlined;
  std::uint64_t end = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    Piece piece;
    std::uint64_t offset = end + Varint32(in);
    std::uint64_t length = Varint32(in);
    end = offset + length;
    if (!in.ok() || end > kChunkBytes) return Corrupt("pieces not within their chunk");
    piece.chunk_offset = static_cast<std::uint32_t>(offset);
    piece.length = static_cast<std::uint32_t>(length);
    RETURN_IF_ERROR(DecodeSource(in, inlined, piece));
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

// Fields are read by statements of their own or inside braces: both go from left to right.
Result<Operation> DecodeFields(Tag tag, TimeNs base_ns, Decoder& in) {
  switch (tag) {
    case Tag::kPutInode:
    case Tag::kPutSparseInode: {
      InodeId inode{in.Varint()};
      PutInode op{inode, DecodeAttributes(base_ns, in)};
      op.attributes.sparse = tag == Tag::kPutSparseInode;
      return Operation(std::move(op));
    }
    case Tag::kRemoveInode:
      return Operation(RemoveInode{InodeId{in.Varint()}});
    case Tag::kPutEntry: {
      PutEntry op;
      op.parent = InodeId{in.Varint()};
      op.entry.name = in.SizedString();
      op.entry.inode = InodeId{in.Varint()};
      op.entry.type = Varint32(in);
      op.entry.cookie = in.Varint();
      return Operation(std::move(op));
    }
    case Tag::kRemoveEntry: {
      InodeId parent{in.Varint()};
      return Operation(RemoveEntry{parent, in.SizedString()});
    }
    case Tag::kPutXattr: {
      PutXattr op;
      op.inode = InodeId{in.Varint()};
      op.name = in.SizedString();
      op.value = in.SizedString();
      return Operation(std::move(op));
    }
    case Tag::kRemoveXattr: {
      InodeId inode{in.Varint()};
      return Operation(RemoveXattr{inode, in.SizedString()});
    }
    case Tag::kWriteChunk: {
      WriteChunk op;
      op.body = BodyId{in.Varint()};
      op.chunk = in.Varint();
      ASSIGN_OR_RETURN(op.pieces, DecodeOverlay(in));
      return Operation(std::move(op));
    }
    case Tag::kPutChunk: {
      PutChunk op;
      op.body = BodyId{in.Varint()};
      op.chunk = in.Varint();
      ASSIGN_OR_RETURN(op.pieces, DecodePieces(in));
      return Operation(std::move(op));
    }
    case Tag::kCutChunks: {
      BodyId body{in.Varint()};
      return Operation(CutChunks{body, in.Varint()});
    }
    case Tag::kCloneChunks: {
      CloneChunks op;
      op.from = BodyId{in.Varint()};
      op.at = Lsn{in.Varint()};
      op.from_first = in.Varint();
      op.to = BodyId{in.Varint()};
      op.to_first = in.Varint();
      op.count = in.Varint();
      return Operation(op);
    }
    case Tag::kPutSnapshot: {
      PutSnapshot op;
      op.name = in.SizedString();
      op.lsn = Lsn{in.Varint()};
      op.time_ns = DecodeTime(base_ns, in);
      return Operation(std::move(op));
    }
    case Tag::kRemoveSnapshot:
      return Operation(RemoveSnapshot{in.SizedString()});
    case Tag::kPutSegment: {
      ASSIGN_OR_RETURN(SegmentDescriptor segment, DecodeSegment(in));
      return Operation(PutSegment{std::move(segment)});
    }
    case Tag::kPutStripe: {
      ASSIGN_OR_RETURN(StripeDescriptor stripe, DecodeStripe(in));
      return Operation(PutStripe{std::move(stripe)});
    }
  }
  return Corrupt("operation tag " + std::to_string(static_cast<int>(tag)));
}

Result<Operation> DecodeOperation(TimeNs base_ns, Decoder& in) {
  auto tag = static_cast<Tag>(in.U8());
  ASSIGN_OR_RETURN(Operation operation, DecodeFields(tag, base_ns, in));
  if (!in.ok()) return Corrupt("operation cut short");
  return operation;
}

}  // namespace

Result<Change> DecodeChange(Decoder& in) {
  Change change;
  change.lsn = Lsn{in.Varint()};
  change.time_ns = static_cast<TimeNs>(UnZigZag(in.Varint()));
  change.kind = static_cast<ChangeKind>(in.U8());
  std::uint64_t count = in.Varint();
  if (!in.ok() || count > in.remaining() / kMinOperationBytes) return Corrupt("change cut short");
  for (std::uint64_t i = 0; i < count; ++i) {
    Result<Operation> operation = DecodeOperation(change.time_ns, in);
    if (!operation.ok()) {
      return operation.error().In("change " + std::to_string(change.lsn.value) + ", operation " +
                                  std::to_string(i));
    }
    change.operations.push_back(std::move(operation).value());
  }
  RETURN_IF_ERROR(CheckChange(change));
  return change;
}

}  // namespace varve
