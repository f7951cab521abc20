// The tail: what has been committed but is not in the catalog yet, indexed by its latest values so
// that the present can be read without waiting for SQLite.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/log/change.h"

namespace varve {

// Thread-safe. Memory: bounded by the volume's pending limit and the applier's queue.
//
// A reader asks the tail first and the catalog second: a change leaves the tail only after it is in
// the catalog, so nothing is missed in between. Answers of the form optional<optional<T>>: outer
// empty means "ask the catalog", inner empty means "does not exist".
class Tail {
 public:
  // `change` has its LSN; calls come in LSN order.
  void Add(const Change& change);
  // Forgets what these changes did, unless a later one did it again. They are in the catalog.
  void Trim(std::span<const std::shared_ptr<Change>> applied);

  std::optional<std::optional<InodeAttributes>> GetInode(InodeId inode) const;
  std::optional<std::optional<Entry>> Lookup(InodeId parent, std::string_view name) const;
  std::optional<std::optional<std::string>> GetXattr(InodeId inode, std::string_view name) const;
  // Applies the tail's opinion to the catalog's list of names.
  void OverlayXattrs(InodeId inode, std::vector<std::string>& names) const;

  // Merges one page of a directory: `page` is what the catalog lists with cookies in (after, upto].
  // Entries the tail knows better are dropped, its own in that range are added; sorted by cookie,
  // and no more than the first `limit`.
  void OverlayEntries(InodeId parent, Cookie after, Cookie upto, std::size_t limit,
                      std::vector<Entry>& page) const;

  // What lies under a chunk's pieces in the catalog: a chunk, as of a moment.
  struct Base {
    BodyId body;
    ChunkIndex chunk = 0;
    Lsn at = kLsnNow;
    bool operator==(const Base&) const = default;
  };
  struct ChunkOverlay {
    std::optional<Base> base;  // none: the chunk was emptied or replaced, start from nothing
    PieceList pieces;          // laid over what is below, holes included
  };
  ChunkOverlay GetChunk(BodyId body, ChunkIndex chunk) const;
  // Chunks >= from that the tail has pieces for, the smallest; and the first chunk from which on
  // the body's own rows in the catalog are hidden.
  std::optional<ChunkIndex> NextChunk(BodyId body, ChunkIndex from) const;
  ChunkIndex CatalogHiddenFrom(BodyId body) const;
  // Runs of chunks >= from that are not in the catalog under this body yet, but under another;
  // ascending.
  struct CloneRun {
    ChunkIndex first = 0;
    std::uint64_t count = 0;
    Base base;  // of the first
  };
  std::vector<CloneRun> CloneRuns(BodyId body, ChunkIndex from) const;
  // How many pieces and runs a clone of these chunks would copy here.
  std::size_t CloneCost(BodyId body, ChunkIndex first, std::uint64_t count) const;

  // Counts Trim calls: a reader that must ask the catalog first (listing) compares before and
  // after.
  std::uint64_t trims() const { return trims_.load(std::memory_order_acquire); }

 private:
  template <typename T>
  struct Latest {
    std::optional<T> value;
    Lsn lsn;
  };
  struct Directory {
    std::map<std::string, Latest<Entry>, std::less<>> names;
    std::map<Cookie, std::string> by_cookie;  // live entries of `names`
  };
  struct TaggedPiece {
    Piece piece;
    Lsn lsn;
  };
  struct Chunk {
    std::vector<TaggedPiece> pieces;  // sorted, no overlap, holes included
    Lsn replaced;                     // last PutChunk, 0 if none
  };
  struct Cut {
    ChunkIndex first;
    Lsn lsn;
  };
  // Newer than every cut and replaced chunk that it covers: those that come later take their part
  // out of it.
  struct Clone {
    std::uint64_t count;
    std::optional<Base> base;  // of its first chunk; none: a clone of nothing
    Lsn lsn;                   // of the change that made it
  };
  struct Body {
    std::map<ChunkIndex, Chunk> chunks;
    std::vector<Cut> cuts;
    std::map<ChunkIndex, Clone> clones;  // by first chunk, without overlap
  };

  void AddOperation(const Operation& operation, Lsn lsn);
  void TrimOperation(const Operation& operation, Lsn applied, std::unordered_set<BodyId>& bodies);
  void SetEntry(InodeId parent, const std::string& name, const Entry* entry, Lsn lsn);
  void TrimEntry(InodeId parent, const std::string& name, Lsn applied);
  void TrimBody(BodyId body, Lsn applied);
  void TrimXattr(InodeId inode, const std::string& name, Lsn applied);
  void AddClone(const CloneChunks& op, Lsn lsn);
  // What the clone of chunks [first, first + count) of `source` begins with.
  static std::map<ChunkIndex, Clone> ClonesOf(const Body& source, BodyId id, ChunkIndex first,
                                              std::uint64_t count, Lsn lsn);
  // What the tail knows of these chunks, as done by the change `lsn`.
  static std::map<ChunkIndex, Chunk> ChunksOf(const Body& source, ChunkIndex first,
                                              std::uint64_t count, Lsn lsn);
  // Takes chunks [first, end) out of the clones.
  static void Uncover(std::map<ChunkIndex, Clone>& clones, ChunkIndex first, ChunkIndex end);
  static void Lay(Chunk& chunk, const PieceList& over, Lsn lsn);

  mutable std::shared_mutex mutex_;
  std::atomic<std::uint64_t> trims_{0};
  // Under mutex_.
  std::unordered_map<InodeId, Latest<InodeAttributes>> inodes_;
  std::unordered_map<InodeId, Directory> directories_;
  std::unordered_map<InodeId, std::map<std::string, Latest<std::string>, std::less<>>> xattrs_;
  std::unordered_map<BodyId, Body> bodies_;
};

}  // namespace varve
