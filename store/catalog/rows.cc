#include "store/catalog/rows.h"

#include <limits>

#include "store/log/change_format.h"

namespace varve {
namespace {

constexpr std::size_t kLongestNameBytes = 255;
constexpr std::size_t kLongestTargetBytes = 4095;

// What follows in an inode's row, and what is left out for being as it mostly is.
constexpr std::uint8_t kSparse = 1;
constexpr std::uint8_t kHasOwner = 2;  // otherwise root's
constexpr std::uint8_t kHasDevice = 4;
constexpr std::uint8_t kHasTarget = 8;
constexpr std::uint8_t kHasAccessTime = 16;  // these three otherwise as that of modification
constexpr std::uint8_t kHasChangeTime = 32;
constexpr std::uint8_t kHasBirthTime = 64;
constexpr std::uint8_t kAllFlags = 127;

constexpr const char* kChunkStates =
    "SELECT idx, from_lsn, pieces FROM chunk "
    "WHERE body = ?1 AND (idx, from_lsn) <= (?2, ?3) AND idx >= ?4 "
    "ORDER BY idx DESC, from_lsn DESC";
constexpr const char* kChunkAt =
    "SELECT pieces FROM chunk WHERE body = ?1 AND idx = ?2 AND from_lsn <= ?3 "
    "ORDER BY from_lsn DESC LIMIT 1";
constexpr const char* kEntryAt =
    "SELECT name, ino, type, cookie FROM entry "
    "WHERE parent = ?1 AND name = ?2 AND from_lsn <= ?3 ORDER BY from_lsn DESC LIMIT 1";

bool FitsU32(std::int64_t value) {
  return value >= 0 && value <= std::numeric_limits<std::uint32_t>::max();
}

std::string ChunkName(BodyId body, ChunkIndex chunk) {
  return "chunk " + std::to_string(chunk) + " of body " + std::to_string(body.value);
}

}  // namespace

Error BadRow(const std::string& row, const std::string& why) {
  return Error(ErrorCode::kCorrupt, "catalog: " + row + ": " + why);
}

void EncodeAttributes(const InodeAttributes& a, Encoder& out) {
  const bool by_root = a.uid == 0 && a.gid == 0;
  std::uint8_t flags = 0;
  if (a.sparse) flags |= kSparse;
  if (!by_root) flags |= kHasOwner;
  if (a.rdev != 0) flags |= kHasDevice;
  if (!a.target.empty()) flags |= kHasTarget;
  if (a.atime_ns != a.mtime_ns) flags |= kHasAccessTime;
  if (a.ctime_ns != a.mtime_ns) flags |= kHasChangeTime;
  if (a.birth_ns != a.mtime_ns) flags |= kHasBirthTime;
  out.U8(flags);
  out.Varint(a.mode);
  out.Varint(a.nlink);
  out.Varint(a.size);
  out.Varint(a.body.value);
  out.Varint(a.parent.value);
  out.I64(a.mtime_ns);
  if ((flags & kHasOwner) != 0) {
    out.Varint(a.uid);
    out.Varint(a.gid);
  }
  if ((flags & kHasDevice) != 0) out.Varint(a.rdev);
  const auto since = [&](TimeNs time_ns) {
    out.Varint(
        ZigZag(static_cast<std::uint64_t>(time_ns) - static_cast<std::uint64_t>(a.mtime_ns)));
  };
  if ((flags & kHasAccessTime) != 0) since(a.atime_ns);
  if ((flags & kHasChangeTime) != 0) since(a.ctime_ns);
  if ((flags & kHasBirthTime) != 0) since(a.birth_ns);
  if ((flags & kHasTarget) != 0) out.Raw(a.target);
}

namespace {

std::uint32_t DecodeU32(Decoder& in) {
  const std::uint64_t value = in.Varint();
  if (value > std::numeric_limits<std::uint32_t>::max()) in.Fail();
  return static_cast<std::uint32_t>(value);
}

// Fails `in` on any bound broken.
InodeAttributes DecodeAttributes(Decoder& in) {
  InodeAttributes a;
  const std::uint8_t flags = in.U8();
  if ((flags & ~kAllFlags) != 0) in.Fail();
  a.sparse = (flags & kSparse) != 0;
  a.mode = DecodeU32(in);
  a.nlink = DecodeU32(in);
  a.size = in.Varint();
  a.body = BodyId(in.Varint());
  a.parent = InodeId(in.Varint());
  a.mtime_ns = in.I64();
  if ((flags & kHasOwner) != 0) {
    a.uid = DecodeU32(in);
    a.gid = DecodeU32(in);
  }
  if ((flags & kHasDevice) != 0) a.rdev = in.Varint();
  const auto time = [&](std::uint8_t flag) {
    const std::uint64_t since = (flags & flag) != 0 ? UnZigZag(in.Varint()) : 0;
    return static_cast<TimeNs>(static_cast<std::uint64_t>(a.mtime_ns) + since);
  };
  a.atime_ns = time(kHasAccessTime);
  a.ctime_ns = time(kHasChangeTime);
  a.birth_ns = time(kHasBirthTime);
  if ((flags & kHasTarget) != 0) a.target = AsText(in.Raw(in.remaining()));
  if (((flags & kHasTarget) != 0) == a.target.empty() || !in.AtEnd()) in.Fail();
  return a;
}

}  // namespace

Result<std::optional<InodeAttributes>> ReadAttributes(const Statement& row, int column,
                                                      InodeId inode) {
  if (row.IsNull(column)) return std::optional<InodeAttributes>();
  Decoder in(row.Blob(column));
  InodeAttributes attributes = DecodeAttributes(in);
  const auto bad = [&](const char* why) {
    return BadRow("inode " + std::to_string(inode.value), why);
  };
  if (!in.ok()) return bad("attributes that cannot be read");
  if (attributes.target.size() > kLongestTargetBytes) return bad("a link's target too long");
  return std::optional<InodeAttributes>(std::move(attributes));
}

Result<std::optional<Entry>> ReadEntry(const Statement& row, int first_column, InodeId parent) {
  Entry entry;
  entry.inode = InodeId(row.U64(first_column + 1));
  if (!entry.inode) return std::optional<Entry>();
  const auto bad = [&](const char* why) {
    return BadRow("entry of " + std::to_string(parent.value), why);
  };
  entry.name = row.Text(first_column);
  if (entry.name.empty() || entry.name.size() > kLongestNameBytes ||
      entry.name.find('/') != std::string::npos || entry.name.find('\0') != std::string::npos) {
    return bad("no proper name");
  }
  const std::int64_t type = row.Int(first_column + 2);
  if (!FitsU32(type)) return bad("type out of range");
  entry.type = static_cast<std::uint32_t>(type);
  entry.cookie = row.U64(first_column + 3);
  return std::optional<Entry>(std::move(entry));
}

Result<PieceList> ReadPieces(ByteSpan blob, BodyId body, ChunkIndex chunk) {
  if (blob.empty()) return PieceList();
  Decoder in(blob);
  auto pieces = DecodePieces(in);
  if (!pieces.ok()) return BadRow(ChunkName(body, chunk), pieces.error().message());
  if (!in.AtEnd()) return BadRow(ChunkName(body, chunk), "bytes after the last piece");
  return pieces;
}

Result<StripeDescriptor> ReadStripe(ByteSpan blob, StripeId id) {
  Decoder in(blob);
  auto stripe = DecodeStripe(in);
  const std::string row = "stripe " + std::to_string(id.value);
  if (!stripe.ok()) return BadRow(row, stripe.error().message());
  if (!in.AtEnd() || stripe->id != id) return BadRow(row, "describes something else");
  return stripe;
}

Result<SegmentDescriptor> ReadSegment(ByteSpan blob, SegmentId id) {
  Decoder in(blob);
  auto segment = DecodeSegment(in);
  const std::string row = "segment " + std::to_string(id.value);
  if (!segment.ok()) return BadRow(row, segment.error().message());
  if (!in.AtEnd() || segment->id != id) return BadRow(row, "describes something else");
  return segment;
}

Result<std::vector<ChunkState>> ReadChunkStates(Database& database, BodyId body, ChunkIndex first,
                                                ChunkIndex last, Lsn at, Load load) {
  std::vector<ChunkState> states;
  const auto lowest = static_cast<std::uint64_t>(ToSql(first));
  const auto highest_lsn = static_cast<std::uint64_t>(ToSql(at.value));
  auto upper = static_cast<std::uint64_t>(ToSql(last));
  bool more = first <= last;
  while (more) {
    more = false;
    ASSIGN_OR_RETURN(const Query query,
                     database.Ask(kChunkStates, body.value, upper, highest_lsn, lowest));
    int skipped = 0;
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, query->Step());
      if (!row) break;
      const std::uint64_t chunk = query->U64(0);
      const bool settled = !states.empty() && states.back().chunk == chunk;
      if (!settled && query->U64(1) <= highest_lsn) {
        ChunkState state;
        state.chunk = chunk;
        state.empty = query->BlobSize(2) == 0;
        if (load == Load::kPieces) {
          ASSIGN_OR_RETURN(state.pieces, ReadPieces(query->Blob(2), body, chunk));
        }
        states.push_back(std::move(state));
        skipped = 0;
      } else if (++skipped > kStepsBeforeSeek) {
        if (settled && chunk == lowest) return states;
        upper = settled ? chunk - 1 : chunk;
        more = true;
        break;
      }
    }
  }
  return states;
}

Result<PieceList> ReadChunk(Database& database, BodyId body, ChunkIndex chunk, Lsn at) {
  ASSIGN_OR_RETURN(const Query query, database.Ask(kChunkAt, body.value, chunk, at.value));
  ASSIGN_OR_RETURN(const bool row, query->Step());
  if (!row) return PieceList();
  return ReadPieces(query->Blob(0), body, chunk);
}

Result<std::optional<Entry>> ReadEntryAt(Database& database, InodeId parent, std::string_view name,
                                         Lsn at) {
  ASSIGN_OR_RETURN(const Query query, database.Ask(kEntryAt, parent.value, name, at.value));
  ASSIGN_OR_RETURN(const bool row, query->Step());
  if (!row) return std::optional<Entry>();
  return ReadEntry(*query, 0, parent);
}

}  // namespace varve
