#include <algorithm>
#include <span>
#include <string>
#include <tuple>

#include "store/catalog/batch.h"
#include "store/catalog/rows.h"

namespace varve {
namespace {

constexpr const char* kInsertOrphan = "INSERT OR IGNORE INTO orphan (ino) VALUES (?1)";
constexpr const char* kDeleteOrphan = "DELETE FROM orphan WHERE ino = ?1";
constexpr const char* kInsertEntry =
    "INSERT INTO entry (parent, name, from_lsn, ino, type, cookie) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
constexpr const char* kInsertListing =
    "INSERT OR REPLACE INTO listing (parent, cookie, name, ino, type) "
    "VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr const char* kDeleteListing =
    "DELETE FROM listing WHERE parent = ?1 AND cookie = ?2 AND name = ?3";
constexpr const char* kInsertXattr =
    "INSERT INTO xattr (ino, name, from_lsn, value) VALUES (?1, ?2, ?3, ?4)";
constexpr const char* kInsertBodyOwner =
    "INSERT OR IGNORE INTO body_owner (body, ino, from_lsn) VALUES (?1, ?2, ?3)";
constexpr const char* kPutCommits =
    "INSERT OR REPLACE INTO commits (first_lsn, changes) VALUES (?1, ?2)";
constexpr const char* kPutSegment =
    "INSERT OR REPLACE INTO segment (id, descriptor) VALUES (?1, ?2)";
constexpr const char* kPutStripe =
    "INSERT OR REPLACE INTO stripe (id, bytes, descriptor) VALUES (?1, ?2, ?3)";

// Rows put in by one statement: each costs some 0.4 us less than by one of its own.
constexpr std::size_t kTogether = 32;

struct Insertion {
  std::string of_one;
  std::string of_many;

  Insertion(const std::string& into, const std::string& values) : of_one(into + values) {
    of_many = of_one;
    for (std::size_t i = 1; i < kTogether; ++i) of_many += ", " + values;
  }
};

const Insertion& IntoInode() {
  static const Insertion insertion("INSERT INTO inode (ino, from_lsn, attributes) VALUES ",
                                   "(?, ?, ?)");
  return insertion;
}
const Insertion& IntoChunk() {
  static const Insertion insertion("INSERT INTO chunk (body, idx, from_lsn, pieces) VALUES ",
                                   "(?, ?, ?, ?)");
  return insertion;
}

// `bind(query, index, row)` binds a row's values from ++index on.
template <typename Row, typename BindRow>
Status Insert(Database& database, const Insertion& insertion, std::span<const Row> rows,
              BindRow bind) {
  while (!rows.empty()) {
    const std::size_t count = rows.size() < kTogether ? 1 : kTogether;
    const std::string& sql = count == 1 ? insertion.of_one : insertion.of_many;
    ASSIGN_OR_RETURN(Query query, database.Ask(sql.c_str()));
    int index = 0;
    for (const Row& row : rows.first(count)) bind(*query, index, row);
    ASSIGN_OR_RETURN([[maybe_unused]] const bool answered, query->Step());
    rows = rows.subspan(count);
  }
  return {};
}

// In the order of their keys, and of those with one key only the last: it is what the change means.
template <typename Row>
void SortByKey(std::vector<Row>& rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.key() < b.key(); });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + 1 < rows.size() && rows[i].key() == rows[i + 1].key()) continue;
    if (kept != i) rows[kept] = std::move(rows[i]);
    ++kept;
  }
  rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(kept), rows.end());
}

}  // namespace

Status Batch::Write() {
  RETURN_IF_ERROR(WriteInodes());
  RETURN_IF_ERROR(WriteEntries());
  RETURN_IF_ERROR(WriteChunks());
  RETURN_IF_ERROR(WriteXattrs());
  RETURN_IF_ERROR(WriteBodyOwners());
  RETURN_IF_ERROR(WriteStorage());
  RETURN_IF_ERROR(WriteCommits());
  return WriteProgress(database_, progress_);
}

Status Batch::WriteInodes() {
  SortByKey(inodes_);
  const auto bind = [&](Statement& query, int& index, const InodeRow& row) {
    query.Bind(++index, row.inode);
    query.Bind(++index, row.lsn);
    if (row.attributes.length_bytes > 0) {
      query.Bind(++index, BytesOf(row.attributes));
    } else {
      query.Bind(++index, nullptr);
    }
  };
  RETURN_IF_ERROR(Insert<InodeRow>(database_, IntoInode(), inodes_, bind));
  for (std::size_t i = 0; i < inodes_.size(); ++i) {
    const InodeRow& row = inodes_[i];
    const bool is_last = i + 1 == inodes_.size() || inodes_[i + 1].inode != row.inode;
    if (is_last) RETURN_IF_ERROR(SettleOrphan(row));
  }
  return {};
}

Status Batch::SettleOrphan(const InodeRow& last) {
  const bool was_orphan = orphans_.contains(last.inode);
  if (last.is_orphan && !was_orphan) {
    new_orphans_.push_back(last.inode);
    return database_.Run(kInsertOrphan, last.inode);
  }
  if (!last.is_orphan && was_orphan) {
    gone_orphans_.push_back(last.inode);
    return database_.Run(kDeleteOrphan, last.inode);
  }
  return {};
}

Status Batch::WriteEntries() {
  SortByKey(entries_);
  std::vector<std::pair<std::uint64_t, Entry>> gone;  // by parent
  std::vector<ListingRow> come;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const EntryRow& row = entries_[i];
    if (i == 0 || entries_[i - 1].owner() != row.owner()) {
      ASSIGN_OR_RETURN(auto before, ReadEntryAt(database_, InodeId(row.parent), row.name, kLsnNow));
      if (before) gone.emplace_back(row.parent, std::move(*before));
    }
    const Entry* entry = row.entry;
    RETURN_IF_ERROR(database_.Run(kInsertEntry, row.parent, row.name, row.lsn,
                                  entry != nullptr ? entry->inode.value : std::uint64_t{0},
                                  entry != nullptr ? entry->type : 0u,
                                  entry != nullptr ? entry->cookie : Cookie{0}));
    const bool is_last = i + 1 == entries_.size() || entries_[i + 1].owner() != row.owner();
    if (is_last && entry != nullptr) come.push_back({row.parent, entry});
  }
  return WriteListing(gone, come);
}

Status Batch::WriteListing(const std::vector<std::pair<std::uint64_t, Entry>>& gone,
                           std::vector<ListingRow>& come) {
  // First everything that goes: a name that means something else now keeps its cookie.
  for (const auto& [parent, entry] : gone) {
    RETURN_IF_ERROR(
        database_.Run(kDeleteListing, parent, entry.cookie, std::string_view(entry.name)));
  }
  std::sort(come.begin(), come.end(), [](const ListingRow& a, const ListingRow& b) {
    return std::pair(a.parent, a.entry->cookie) < std::pair(b.parent, b.entry->cookie);
  });
  for (const auto& [parent, entry] : come) {
    RETURN_IF_ERROR(database_.Run(kInsertListing, parent, entry->cookie,
                                  std::string_view(entry->name), entry->inode.value, entry->type));
  }
  return {};
}

Status Batch::WriteChunks() {
  SortByKey(chunks_);
  const auto bind = [&](Statement& query, int& index, const ChunkRow& row) {
    query.Bind(++index, row.body);
    query.Bind(++index, row.chunk);
    query.Bind(++index, row.lsn);
    query.Bind(++index, BytesOf(row.pieces));
  };
  return Insert<ChunkRow>(database_, IntoChunk(), chunks_, bind);
}

Status Batch::WriteXattrs() {
  SortByKey(xattrs_);
  for (const XattrRow& row : xattrs_) {
    if (row.value != nullptr) {
      RETURN_IF_ERROR(
          database_.Run(kInsertXattr, row.inode, row.name, row.lsn, std::string_view(*row.value)));
    } else {
      RETURN_IF_ERROR(database_.Run(kInsertXattr, row.inode, row.name, row.lsn, nullptr));
    }
  }
  return {};
}

Status Batch::WriteBodyOwners() {
  SortByKey(body_owners_);
  const BodyOwnerRow* previous = nullptr;
  for (const BodyOwnerRow& row : body_owners_) {
    const bool known =
        previous != nullptr && previous->body == row.body && previous->inode == row.inode;
    previous = &row;
    if (known) continue;
    RETURN_IF_ERROR(database_.Run(kInsertBodyOwner, row.body, row.inode, row.lsn));
  }
  return {};
}

Status Batch::WriteCommits() {
  if (commits_.empty()) return {};
  return database_.Run(kPutCommits, commits_.first().value, commits_.bytes());
}

Status Batch::WriteStorage() {
  for (const auto& [id, segment] : segments_) {
    Encoder out;
    EncodeSegment(*segment, out);
    RETURN_IF_ERROR(database_.Run(kPutSegment, id, out.bytes()));
  }
  for (const auto& [id, stripe] : stripes_) {
    Encoder out;
    EncodeStripe(*stripe, out);
    const std::uint64_t bytes =
        static_cast<std::uint64_t>(stripe->columns()) * stripe->fragment_bytes;
    RETURN_IF_ERROR(database_.Run(kPutStripe, id, bytes, out.bytes()));
  }
  return {};
}

}  // namespace varve
