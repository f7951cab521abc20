#include "store/log/change_check.h"

#include <algorithm>
#include <string>

#include "store/disk/disk_label.h"
#include "store/log/corrupt.h"
#include "store/log/stripe.h"

namespace varve {
namespace {

constexpr std::uint32_t kTypeBits = 0170000;  // S_IFMT

Error CorruptExtent(const ExtentRef& ref, std::string_view what) {
  return Error(ErrorCode::kCorrupt,
               "extent in stripe " + std::to_string(ref.stripe.value) + ": " + std::string(what));
}

Status CheckId(std::uint64_t id, std::string_view what) {
  if (id == 0) return Corrupt(std::string(what) + " is 0");
  return {};
}

Status CheckName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return Corrupt("name of " + std::to_string(name.size()) + " bytes");
  }
  if (name == "." || name == "..") return Corrupt("name \"" + std::string(name) + "\"");
  if (name.find('/') != name.npos || name.find('\0') != name.npos) {
    return Corrupt("name with '/' or NUL");
  }
  return {};
}

Status CheckXattrName(std::string_view name) {
  if (name.empty() || name.size() > kMaxXattrNameBytes || name.find('\0') != name.npos) {
    return Corrupt("xattr name of " + std::to_string(name.size()) + " bytes");
  }
  return {};
}

Status CheckChunk(BodyId body, ChunkIndex chunk) {
  RETURN_IF_ERROR(CheckId(body.value, "body"));
  if (chunk >= kMaxChunks) return Corrupt("chunk " + std::to_string(chunk));
  return {};
}

// The raw bytes that the piece's source has.
Result<std::uint32_t> SourceBytes(const Piece& piece) {
  if (piece.pending != nullptr) {
    if (piece.extent.stripe) return Corrupt("piece both pending and at rest");
    std::uint32_t raw_bytes = piece.pending->raw_bytes();
    if (raw_bytes == 0 || raw_bytes > kChunkBytes) return Corrupt("pending extent's length");
    return raw_bytes;
  }
  RETURN_IF_ERROR(CheckExtentRef(piece.extent));
  return piece.extent.raw_bytes;
}

Status CheckPieces(const PieceList& pieces, Holes holes) {
  std::uint32_t end = 0;
  for (const Piece& piece : pieces) {
    std::string where = "piece at " + std::to_string(piece.chunk_offset);
    if (piece.chunk_offset < end) return Corrupt(where + " overlaps the one before it");
    if (piece.length == 0 || piece.length > kChunkBytes ||
        piece.chunk_offset > kChunkBytes - piece.length) {
      return Corrupt(where + " is not within its chunk");
    }
    end = piece.end();
    if (piece.IsHole()) {
      if (holes == Holes::kDrop) return Corrupt(where + " is a hole in a whole chunk");
      if (piece.raw_offset != 0) return Corrupt(where + " is a hole with an offset");
      continue;
    }
    Result<std::uint32_t> source = SourceBytes(piece);
    if (!source.ok()) return source.error().In(where);
    if (piece.raw_offset > *source || piece.length > *source - piece.raw_offset) {
      return Corrupt(where + " is not within its extent");
    }
  }
  return {};
}

Status Check(const PutInode& op) {
  RETURN_IF_ERROR(CheckId(op.inode.value, "inode"));
  const std::string& target = op.attributes.target;
  if (target.size() > kMaxTargetBytes || target.find('\0') != target.npos) {
    return Corrupt("symlink target of " + std::to_string(target.size()) + " bytes");
  }
  return {};
}
Status Check(const RemoveInode& op) { return CheckId(op.inode.value, "inode"); }
Status Check(const PutEntry& op) {
  RETURN_IF_ERROR(CheckId(op.parent.value, "parent"));
  RETURN_IF_ERROR(CheckId(op.entry.inode.value, "inode"));
  if ((op.entry.type & ~kTypeBits) != 0) return Corrupt("entry type");
  return CheckName(op.entry.name);
}
Status Check(const RemoveEntry& op) {
  RETURN_IF_ERROR(CheckId(op.parent.value, "parent"));
  return CheckName(op.name);
}
Status Check(const PutXattr& op) {
  RETURN_IF_ERROR(CheckId(op.inode.value, "inode"));
  if (op.value.size() > kMaxXattrValueBytes) {
    return Corrupt("xattr value of " + std::to_string(op.value.size()) + " bytes");
  }
  return CheckXattrName(op.name);
}
Status Check(const RemoveXattr& op) {
  RETURN_IF_ERROR(CheckId(op.inode.value, "inode"));
  return CheckXattrName(op.name);
}
Status Check(const WriteChunk& op) {
  RETURN_IF_ERROR(CheckChunk(op.body, op.chunk));
  return CheckPieces(op.pieces, Holes::kKeep);
}
Status Check(const PutChunk& op) {
  RETURN_IF_ERROR(CheckChunk(op.body, op.chunk));
  return CheckPieces(op.pieces, Holes::kDrop);
}
Status Check(const CutChunks& op) {
  RETURN_IF_ERROR(CheckId(op.body.value, "body"));
  if (op.first > kMaxChunks) return Corrupt("chunk " + std::to_string(op.first));
  return {};
}
Status Check(const CloneChunks& op) {
  RETURN_IF_ERROR(CheckId(op.from.value, "body cloned"));
  RETURN_IF_ERROR(CheckId(op.to.value, "body cloned to"));
  if (op.count == 0 || op.count > kMaxCloneChunks) {
    return Corrupt("clone of " + std::to_string(op.count) + " chunks");
  }
  if (op.from_first > kMaxChunks - op.count || op.to_first > kMaxChunks - op.count) {
    return Corrupt("clone past the end of any file");
  }
  const std::uint64_t apart =
      std::max(op.from_first, op.to_first) - std::min(op.from_first, op.to_first);
  if (op.from == op.to && !op.at && apart < op.count)
    return Corrupt("clone of a range onto itself");
  return {};
}
Status Check(const PutSnapshot& op) {
  RETURN_IF_ERROR(CheckId(op.lsn.value, "snapshot's LSN"));
  return CheckName(op.name);
}
Status Check(const RemoveSnapshot& op) { return CheckName(op.name); }
// Decoding has checked all bounds of these two; the ids are what a caller might forget.
Status Check(const PutSegment& op) { return CheckId(op.segment.id.value, "segment"); }
Status Check(const PutStripe& op) { return CheckId(op.stripe.id.value, "stripe"); }

}  // namespace

Status CheckExtentRef(const ExtentRef& ref) {
  if (!ref.stripe) return Error(ErrorCode::kCorrupt, "extent without a stripe");
  if (ref.column >= kMaxData) return CorruptExtent(ref, "column past the widest stripe");
  if (ref.raw_bytes == 0 || ref.raw_bytes > kChunkBytes) return CorruptExtent(ref, "raw length");
  if (ref.stored_bytes == 0 || ref.stored_bytes > ref.raw_bytes)
    return CorruptExtent(ref, "stored length");
  switch (ref.codec) {
    case Codec::kNone:
      if (ref.stored_bytes != ref.raw_bytes)
        return CorruptExtent(ref, "stored length without a codec");
      break;
    case Codec::kLz4:
      break;
    default:
      return CorruptExtent(ref, "unknown codec");
  }
  if (ref.in_blocks && ref.codec != Codec::kNone) {
    return CorruptExtent(ref, "blocks of what is compressed");
  }
  std::uint64_t end = std::uint64_t{ref.fragment_offset} + ref.stored_bytes;
  if (end > kMaxFragmentBytes - kFragmentHeaderBytes)
    return CorruptExtent(ref, "past its fragment");
  return {};
}

Status CheckOperation(const Operation& operation) {
  return std::visit([](const auto& op) { return Check(op); }, operation);
}

Status CheckChange(const Change& change) {
  if (change.lsn == Lsn{0} || change.lsn == kLsnNow) return Corrupt("change without an LSN");
  if (change.kind > ChangeKind::kMaintenance) {
    return Corrupt("change kind " + std::to_string(static_cast<int>(change.kind)));
  }
  for (const Operation& operation : change.operations) {
    Status status = CheckOperation(operation);
    if (!status.ok()) return status.error().In("change " + std::to_string(change.lsn.value));
    const auto* clone = std::get_if<CloneChunks>(&operation);
    if (clone != nullptr && clone->at >= change.lsn) {
      return Corrupt("change " + std::to_string(change.lsn.value) + " clones from the future");
    }
  }
  if (ClonedChunks(change) > kMaxCloneChunks) {
    return Corrupt("change " + std::to_string(change.lsn.value) + " clones too much at once");
  }
  return {};
}

}  // namespace varve
