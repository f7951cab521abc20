// State as of a moment.
#include <algorithm>

#include "store/catalog/catalog_impl.h"
#include "store/catalog/rows.h"

namespace varve {
namespace {

constexpr const char* kInodeAt =
    "SELECT " VARVE_INODE_COLUMNS
    " FROM inode WHERE ino = ?1 AND from_lsn <= ?2 ORDER BY from_lsn DESC LIMIT 1";
constexpr const char* kListNow =
    "SELECT name, ino, type, cookie FROM listing "
    "WHERE parent = ?1 AND cookie > ?2 ORDER BY cookie LIMIT ?3";
constexpr const char* kEntriesUpTo =
    "SELECT name, ino, type, cookie FROM entry "
    "WHERE parent = ?1 AND from_lsn <= ?2 ORDER BY name, from_lsn";
constexpr const char* kNextChunkRow =
    "SELECT idx FROM chunk WHERE body = ?1 AND idx >= ?2 ORDER BY idx LIMIT 1";
constexpr const char* kChunkIsEmpty =
    "SELECT pieces FROM chunk WHERE body = ?1 AND idx = ?2 AND from_lsn <= ?3 "
    "ORDER BY from_lsn DESC LIMIT 1";
constexpr const char* kXattrAt =
    "SELECT value FROM xattr WHERE ino = ?1 AND name = ?2 AND from_lsn <= ?3 "
    "ORDER BY from_lsn DESC LIMIT 1";
constexpr const char* kXattrsUpTo =
    "SELECT name, value IS NULL FROM xattr WHERE ino = ?1 AND from_lsn <= ?2 "
    "ORDER BY name, from_lsn";

Result<std::vector<Entry>> ReadPastListing(Database& database, InodeId parent, Lsn at) {
  std::vector<Entry> entries;
  ASSIGN_OR_RETURN(const Query query, database.Ask(kEntriesUpTo, parent.value, at.value));
  std::string name;  // of the row before
  bool listed = false;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) break;
    // A later row of the same name stands in place of the one before.
    if (const std::string_view next = AsText(query->Blob(0)); next != name) {
      name = next;
    } else if (listed) {
      entries.pop_back();
    }
    ASSIGN_OR_RETURN(auto entry, ReadEntry(*query, 0, parent));
    listed = entry.has_value();
    if (listed) entries.push_back(std::move(*entry));
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.cookie < b.cookie; });
  return entries;
}

}  // namespace

Result<std::optional<InodeAttributes>> Catalog::GetInode(InodeId inode, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kInodeAt, inode.value, moment.value));
  ASSIGN_OR_RETURN(const bool row, query->Step());
  if (!row) return std::optional<InodeAttributes>();
  return ReadAttributes(*query, 0, inode);
}

Result<std::optional<Entry>> Catalog::Lookup(InodeId parent, std::string_view name, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  return ReadEntryAt(*reader, parent, name, moment);
}

Result<std::vector<Entry>> Catalog::List(InodeId parent, Cookie after, std::size_t limit, Lsn at) {
  std::vector<Entry> entries;
  if (at == kLsnNow) {
    const auto reader = impl_->readers.Take();
    ASSIGN_OR_RETURN(const Query query, reader->Ask(kListNow, parent.value, after, limit));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, query->Step());
      if (!row) return entries;
      ASSIGN_OR_RETURN(auto entry, ReadEntry(*query, 0, parent));
      if (!entry) return BadRow("listing of " + std::to_string(parent.value), "names no inode");
      entries.push_back(std::move(*entry));
    }
  }
  const Lsn moment = impl_->Clamp(at);
  auto listing = impl_->past_listings.Find(parent, moment);
  if (listing == nullptr) {
    const auto reader = impl_->readers.Take();
    ASSIGN_OR_RETURN(auto read, ReadPastListing(*reader, parent, moment));
    listing = std::make_shared<const std::vector<Entry>>(std::move(read));
    impl_->past_listings.Keep(parent, moment, listing);
  }
  auto it =
      std::upper_bound(listing->begin(), listing->end(), after,
                       [](Cookie cookie, const Entry& entry) { return cookie < entry.cookie; });
  for (; it != listing->end() && entries.size() < limit; ++it) entries.push_back(*it);
  return entries;
}

Result<std::vector<std::pair<ChunkIndex, PieceList>>> Catalog::Chunks(BodyId body, ChunkIndex first,
                                                                      ChunkIndex last, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  ASSIGN_OR_RETURN(auto states, ReadChunkStates(*reader, body, first, last, moment, Load::kPieces));
  std::vector<std::pair<ChunkIndex, PieceList>> chunks;
  chunks.reserve(states.size());
  for (auto it = states.rbegin(); it != states.rend(); ++it) {
    if (!it->pieces.empty()) chunks.emplace_back(it->chunk, std::move(it->pieces));
  }
  return chunks;
}

Result<std::optional<ChunkIndex>> Catalog::NextChunk(BodyId body, ChunkIndex from, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  for (ChunkIndex chunk = from;; ++chunk) {
    {
      ASSIGN_OR_RETURN(const Query query, reader->Ask(kNextChunkRow, body.value, chunk));
      ASSIGN_OR_RETURN(const bool row, query->Step());
      if (!row) return std::optional<ChunkIndex>();
      chunk = query->U64(0);
    }
    ASSIGN_OR_RETURN(const Query query,
                     reader->Ask(kChunkIsEmpty, body.value, chunk, moment.value));
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (row && query->BlobSize(0) > 0) return std::optional<ChunkIndex>(chunk);
  }
}

Result<std::optional<std::string>> Catalog::GetXattr(InodeId inode, std::string_view name, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kXattrAt, inode.value, name, moment.value));
  ASSIGN_OR_RETURN(const bool row, query->Step());
  if (!row || query->IsNull(0)) return std::optional<std::string>();
  return std::optional<std::string>(query->Text(0));
}

Result<std::vector<std::string>> Catalog::ListXattrs(InodeId inode, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  std::vector<std::string> names;
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kXattrsUpTo, inode.value, moment.value));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return names;
    std::string name = query->Text(0);
    const bool removed = query->Int(1) != 0;
    const bool listed = !names.empty() && names.back() == name;
    if (removed && listed) names.pop_back();
    if (!removed && !listed) names.push_back(std::move(name));
  }
}

}  // namespace varve
