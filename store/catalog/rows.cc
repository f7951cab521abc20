#include "store/catalog/rows.h"

#include <limits>

namespace varve {
namespace {

constexpr std::size_t kLongestNameBytes = 255;
constexpr std::size_t kLongestTargetBytes = 4095;

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

Result<std::optional<InodeAttributes>> ReadAttributes(const Statement& row, int first_column,
                                                      InodeId inode) {
  int column = first_column;
  if (row.IsNull(column)) return std::optional<InodeAttributes>();
  const auto bad = [&](const char* why) {
    return BadRow("inode " + std::to_string(inode.value), why);
  };
  InodeAttributes attributes;
  for (std::uint32_t* field :
       {&attributes.mode, &attributes.uid, &attributes.gid, &attributes.nlink}) {
    const std::int64_t value = row.Int(column);
    if (!row.IsInteger(column) || !FitsU32(value)) return bad("mode, owner or links out of range");
    *field = static_cast<std::uint32_t>(value);
    ++column;
  }
  attributes.size = row.U64(column++);
  attributes.rdev = row.U64(column++);
  attributes.atime_ns = row.Int(column++);
  attributes.mtime_ns = row.Int(column++);
  attributes.ctime_ns = row.Int(column++);
  attributes.birth_ns = row.Int(column++);
  attributes.body = BodyId(row.U64(column++));
  attributes.parent = InodeId(row.U64(column++));
  attributes.target = row.Text(column++);
  attributes.sparse = row.Int(column) != 0;
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
