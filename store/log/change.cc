#include "store/log/change.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <unordered_set>

#include "store/codec/checksum.h"
#include "store/codec/compression.h"
#include "store/log/change_check.h"

namespace varve {
namespace {

// Tags of operations: stable, part of the on-disk format. Never renumber, never reuse.
enum class Tag : std::uint8_t {
  kPutInode = 1,
  kRemoveInode = 2,
  kPutEntry = 3,
  kRemoveEntry = 4,
  kPutXattr = 5,
  kRemoveXattr = 6,
  kWriteChunk = 7,
  kPutChunk = 8,
  kCutChunks = 9,
  kPutSnapshot = 10,
  kRemoveSnapshot = 11,
  kPutSegment = 12,
  kPutStripe = 13,
};

// What a piece of a WriteChunk is made of.
enum class PieceTag : std::uint8_t {
  kHole = 0,
  kAtRest = 1,
  kInline = 2,       // the extent's bytes stand here
  kInlineAgain = 3,  // the extent of an earlier inline piece of the same operation
};

constexpr std::uint64_t kMax32 = std::numeric_limits<std::uint32_t>::max();
// An operation is its tag and at least one byte; a piece at least gap, length and tag.
constexpr std::size_t kMinOperationBytes = 2;
constexpr std::size_t kMinPieceBytes = 3;

Error Corrupt(std::string what) { return Error(ErrorCode::kCorrupt, std::move(what)); }

// Small numbers of either sign become small numbers.
std::uint64_t ZigZag(std::uint64_t v) { return (v << 1) ^ (0 - (v >> 63)); }
std::uint64_t UnZigZag(std::uint64_t v) { return (v >> 1) ^ (0 - (v & 1)); }

// Times of an inode are mostly those of the change itself: kept as the difference, modulo 2^64.
void EncodeTime(TimeNs time_ns, TimeNs base_ns, Encoder& out) {
  out.Varint(ZigZag(static_cast<std::uint64_t>(time_ns) - static_cast<std::uint64_t>(base_ns)));
}
TimeNs DecodeTime(TimeNs base_ns, Decoder& in) {
  return static_cast<TimeNs>(static_cast<std::uint64_t>(base_ns) + UnZigZag(in.Varint()));
}

// A varint that must fit 32 bits; fails the decoder otherwise.
std::uint32_t Varint32(Decoder& in) {
  std::uint64_t v = in.Varint();
  if (v > kMax32) in.Fail();
  return static_cast<std::uint32_t>(v);
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
    PutTag(Tag::kPutInode, out);
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

// Designated or braced initializers evaluate left to right, so fields are read in order.
Result<Operation> DecodeFields(Tag tag, TimeNs base_ns, Decoder& in) {
  switch (tag) {
    case Tag::kPutInode: {
      InodeId inode{in.Varint()};
      return Operation(PutInode{inode, DecodeAttributes(base_ns, in)});
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

std::string_view ToString(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kFormat:
      return "format";
    case ChangeKind::kCreate:
      return "create";
    case ChangeKind::kMakeDirectory:
      return "mkdir";
    case ChangeKind::kMakeNode:
      return "mknod";
    case ChangeKind::kSymlink:
      return "symlink";
    case ChangeKind::kLink:
      return "link";
    case ChangeKind::kUnlink:
      return "unlink";
    case ChangeKind::kRemoveDirectory:
      return "rmdir";
    case ChangeKind::kRename:
      return "rename";
    case ChangeKind::kWrite:
      return "write";
    case ChangeKind::kTruncate:
      return "truncate";
    case ChangeKind::kAttributes:
      return "attributes";
    case ChangeKind::kXattr:
      return "xattr";
    case ChangeKind::kRollback:
      return "rollback";
    case ChangeKind::kSnapshot:
      return "snapshot";
    case ChangeKind::kMaintenance:
      return "maintenance";
  }
  return "unknown";
}

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

std::uint64_t UnplacedBytes(const Change& change) {
  std::unordered_set<const PendingExtent*> seen;
  std::uint64_t total = 0;
  for (const Operation& operation : change.operations) {
    const auto* write = std::get_if<WriteChunk>(&operation);
    if (write == nullptr) continue;
    for (const Piece& piece : write->pieces) {
      if (piece.pending == nullptr || piece.pending->place().has_value()) continue;
      if (seen.insert(piece.pending.get()).second) total += piece.pending->raw_bytes();
    }
  }
  return total;
}

}  // namespace varve
