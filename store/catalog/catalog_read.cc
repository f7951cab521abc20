// State as of a moment.
#include <algorithm>

#include "store/catalog/catalog_impl.h"
#include "store/catalog/rows.h"
#include "store/log/change_check.h"

namespace varve {
namespace {

constexpr const char* kInodeAt =
    "SELECT attributes FROM inode WHERE ino = ?1 AND from_lsn <= ?2 "
    "ORDER BY from_lsn DESC LIMIT 1";
constexpr const char* kListNow =
    "SELECT name, ino, type, cookie FROM listing "
    "WHERE parent = ?1 AND cookie > ?2 ORDER BY cookie LIMIT ?3";
constexpr const char* kEntriesAfter =
    "SELECT name, ino, type, cookie, from_lsn FROM entry "
    "WHERE parent = ?1 AND name > ?2 ORDER BY name, from_lsn";
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

// A page of a directory as it was, gathered from the history of its names. A name's versions are
// stepped over while they are few; of a name with many, the one wanted is sought.
class PastPage {
 public:
  PastPage(Database& database, InodeId parent, std::size_t limit, Lsn moment)
      : database_(database), parent_(parent), limit_(limit), moment_(moment) {}

  // Goes on after the name `reached` and moves it. False: the page is full or the directory ends.
  Result<bool> ReadOn(std::string& reached) {
    const std::string after = reached;
    int steps = 0;
    ASSIGN_OR_RETURN(const Query query, database_.Ask(kEntriesAfter, parent_.value, after));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, query->Step());
      if (!row || AsText(query->Blob(0)) != reached) {
        if (!Settle() || !row) return false;
        reached = AsText(query->Blob(0));
        steps = 0;
      }
      if (query->U64(4) <= moment_.value) {
        ASSIGN_OR_RETURN(meant_, ReadEntry(*query, 0, parent_));
      }
      if (++steps > kStepsBeforeSeek) break;
    }
    ASSIGN_OR_RETURN(meant_, ReadEntryAt(database_, parent_, reached, moment_));
    return Settle();
  }

  std::vector<Entry> TakeEntries() { return std::move(entries_); }

 private:
  // What the last name meant is known. False: the page is full.
  bool Settle() {
    if (meant_) entries_.push_back(*std::exchange(meant_, std::nullopt));
    return entries_.size() < limit_;
  }

  Database& database_;
  const InodeId parent_;
  const std::size_t limit_;
  const Lsn moment_;
  std::optional<Entry> meant_;  // by the name being read, as far as it has been read
  std::vector<Entry> entries_;
};

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

Result<std::vector<Entry>> Catalog::List(InodeId parent, Cookie after, std::size_t limit) {
  std::vector<Entry> entries;
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

Result<std::vector<Entry>> Catalog::ListThen(InodeId parent, std::string_view after,
                                             std::size_t limit, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  PastPage page(*reader, parent, limit, moment);
  std::string reached(after);
  for (bool more = limit > 0; more;) {
    ASSIGN_OR_RETURN(more, page.ReadOn(reached));
  }
  return page.TakeEntries();
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
      if (chunk >= kMaxChunks) {
        return BadRow("body " + std::to_string(body.value), "a chunk beyond any file");
      }
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
