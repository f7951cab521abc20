// A batch: the rows that a run of changes makes, gathered first and then written table by table in
// the order of their keys, because inserting in random order into large tables is many times
// slower.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "store/catalog/catalog.h"
#include "store/catalog/commit_row.h"
#include "store/catalog/latest.h"
#include "store/catalog/schema.h"
#include "store/catalog/sqlite.h"
#include "store/catalog/touched.h"

namespace varve {

// Used within one transaction of `database`; the changes outlive it.
class Batch {
 public:
  Batch(Database& database, const CatalogProgress& before,
        const std::unordered_set<std::uint64_t>& orphans, Latest& latest)
      : database_(database), progress_(before), orphans_(orphans), latest_(latest) {}

  // Changes in LSN order. Reads what it needs of the present, writes snapshots and commits.
  Status Add(const Change& change);
  // Writes everything gathered, and the progress.
  Status Write();

  const CatalogProgress& progress() const { return progress_; }
  // What became of orphans: to be done to the set in memory once the transaction is committed.
  const std::vector<std::uint64_t>& new_orphans() const { return new_orphans_; }
  const std::vector<std::uint64_t>& gone_orphans() const { return gone_orphans_; }
  // The last call, once the transaction is committed.
  void TellLatest();

 private:
  // Bytes in bytes_: rows stay small, for they are sorted, and nothing is allocated for one.
  struct Blob {
    std::size_t offset = 0;
    std::size_t length_bytes = 0;
  };
  struct InodeRow {
    std::uint64_t inode;
    std::uint64_t lsn;
    Blob attributes;  // empty: removed
    bool is_orphan = false;
    auto key() const { return std::pair(inode, lsn); }
  };
  struct EntryRow {
    std::uint64_t parent;
    std::string_view name;
    std::uint64_t lsn;
    const Entry* entry;  // null: removed
    auto key() const { return std::tuple(parent, name, lsn); }
    auto owner() const { return std::pair(parent, name); }
  };
  struct ChunkRow {
    std::uint64_t body;
    std::uint64_t chunk;
    std::uint64_t lsn;
    Blob pieces;  // empty: a hole from end to end
    auto key() const { return std::tuple(body, chunk, lsn); }
  };
  struct XattrRow {
    std::uint64_t inode;
    std::string_view name;
    std::uint64_t lsn;
    const std::string* value;  // null: removed
    auto key() const { return std::tuple(inode, name, lsn); }
  };
  struct BodyOwnerRow {
    std::uint64_t body;
    std::uint64_t inode;
    std::uint64_t lsn;
    auto key() const { return std::tuple(body, inode, lsn); }
  };
  struct ListingRow {
    std::uint64_t parent;
    const Entry* entry;
  };

  Status Do(const PutInode& op);
  Status Do(const RemoveInode& op);
  Status Do(const PutEntry& op);
  Status Do(const RemoveEntry& op);
  Status Do(const PutXattr& op);
  Status Do(const RemoveXattr& op);
  Status Do(const WriteChunk& op);
  Status Do(const PutChunk& op);
  Status Do(const CutChunks& op);
  Status Do(const CloneChunks& op);
  Status Do(const PutSnapshot& op);
  Status Do(const RemoveSnapshot& op);
  Status Do(const PutSegment& op);
  Status Do(const PutStripe& op);

  // Into the row it belongs to; rows that are full are written.
  Status AddCommit(const Change& change);
  Status WriteCommits();
  // Remembers the highest, and refuses what SQLite's signed keys cannot hold.
  Status NoteId(std::uint64_t id);
  Result<PieceList*> ChunkState(BodyId body, ChunkIndex chunk);
  // The states that are not empty of `count` chunks from `first` on: as of `at`, which is before
  // this batch, or with kLsnNow the latest, what this batch did included.
  Result<std::map<ChunkIndex, PieceList>> ChunkStates(BodyId body, ChunkIndex first,
                                                      std::uint64_t count, Lsn at);
  void AddChunkRow(BodyId body, ChunkIndex chunk, const PieceList& pieces);
  ByteSpan BytesOf(Blob blob) const {
    return bytes_.bytes().subspan(blob.offset, blob.length_bytes);
  }
  // Orphans: `last` is an inode's last row in this batch.
  Status SettleOrphan(const InodeRow& last);
  Status WriteInodes();
  Status WriteEntries();
  Status WriteListing(const std::vector<std::pair<std::uint64_t, Entry>>& gone,
                      std::vector<ListingRow>& come);
  Status WriteChunks();
  Status WriteXattrs();
  Status WriteBodyOwners();
  Status WriteStorage();

  Database& database_;
  CatalogProgress progress_;
  const std::unordered_set<std::uint64_t>& orphans_;
  Latest& latest_;
  std::uint64_t lsn_ = 0;  // of the change being added

  Encoder bytes_;  // of the rows below
  std::vector<InodeRow> inodes_;
  std::vector<EntryRow> entries_;
  std::vector<ChunkRow> chunks_;
  std::vector<XattrRow> xattrs_;
  std::vector<BodyOwnerRow> body_owners_;
  std::map<std::uint64_t, const SegmentDescriptor*> segments_;
  std::map<std::uint64_t, const StripeDescriptor*> stripes_;
  bool commits_begun_ = false;  // commits_ is the table's last row, and what came after it
  CommitRow commits_;
  TouchedEncoder touched_;
  Encoder touched_bytes_;
  // Latest states of the chunks touched.
  std::map<std::pair<std::uint64_t, std::uint64_t>, PieceList> chunk_states_;
  std::vector<std::uint64_t> new_orphans_;
  std::vector<std::uint64_t> gone_orphans_;
};

}  // namespace varve
