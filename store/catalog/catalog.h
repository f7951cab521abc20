// The catalog: current state and full history as an index in SQLite, made from the log and always
// rebuildable from it. SQL stays inside this folder; the words here are the domain's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "store/base/uuid.h"
#include "store/disk/disk.h"
#include "store/log/change.h"
#include "store/log/stripe.h"

namespace varve {

inline constexpr std::string_view kCatalogObject = "catalog/catalog.db";

struct CatalogIdentity {
  Uuid volume_uuid;
  std::uint64_t generation = 0;  // DiskLabel::catalog_generation
  bool operator==(const CatalogIdentity&) const = default;
};

// What one change did, for `varve log`.
struct CommitRecord {
  Lsn lsn;
  TimeNs time_ns = 0;
  ChangeKind kind{};
  // What it touched: inodes by id, entries by (parent, name), bodies by id. Enough to find what a
  // rollback must look at.
  struct TouchedEntry {
    InodeId parent;
    std::string name;
  };
  std::vector<InodeId> inodes;
  std::vector<TouchedEntry> entries;
  std::vector<std::pair<BodyId, ChunkIndex>> chunks;  // written or put
  std::vector<std::pair<BodyId, ChunkIndex>> cuts;    // emptied from here on
  std::vector<std::pair<InodeId, std::string>> xattrs;
};

struct SnapshotRecord {
  std::string name;
  Lsn lsn;
  TimeNs time_ns = 0;
};

// A version of an entry: from `from` on the name meant `entry` (nothing: deleted).
struct EntryVersion {
  Lsn from;
  std::optional<Entry> entry;
};
struct InodeVersion {
  Lsn from;
  std::optional<InodeAttributes> attributes;
};

struct CatalogOptions {
  std::uint64_t cache_bytes = 32 * 1024 * 1024;  // over all connections
  int readers = 4;                               // connections for reading
};

// One writer at a time (Apply, WriteMeta: the applier thread); any number of reading threads, each
// call taking a reading connection from a pool (waits for one) and seeing the last applied state.
// Pages are checksummed; what fails is kCorrupt. SQLite errors keep their message.
class Catalog {
  struct Impl;

 public:
  explicit Catalog(std::unique_ptr<Impl> impl);
  // Creates an empty catalog, removing what was there under that name.
  static Result<std::unique_ptr<Catalog>> Create(std::shared_ptr<Disk> disk,
                                                 const CatalogIdentity& identity,
                                                 const CatalogOptions& options);
  // The same for a long history that is applied before anybody asks: without SQLite's log, which
  // would write everything twice. Only Apply may be called until FinishFilling has made it durable
  // and whole; what a crash leaves before that is worth nothing.
  static Result<std::unique_ptr<Catalog>> CreateToFill(std::shared_ptr<Disk> disk,
                                                       const CatalogIdentity& identity,
                                                       const CatalogOptions& options);
  Status FinishFilling();
  // kNotFound if there is none, kStale if its identity differs, kCorrupt/kUnsupported otherwise.
  static Result<std::unique_ptr<Catalog>> Open(std::shared_ptr<Disk> disk,
                                               const CatalogIdentity& identity,
                                               const CatalogOptions& options);
  // Folds SQLite's log into the database and closes it, so that one object is left.
  ~Catalog();
  // Another is made, perhaps under the same names on the same disk, or will be: this one is to be
  // closed without touching what the names mean by then. Reading goes on as long as it can.
  void Abandon();

  // Applies changes in LSN order; those <= applied_lsn() are skipped. Every pending extent must
  // have a place (CHECK). One transaction, but several if they clone more than kClonedTogether
  // chunks together, so that memory is bounded, and one before each that clones the past; after an
  // error a prefix of the changes is in.
  Status Apply(std::span<const Change* const> changes);
  Lsn applied_lsn() const;
  TimeNs applied_time_ns() const;  // of that change
  // Largest number used as inode, body or cookie in anything applied.
  std::uint64_t highest_id() const;
  // Moves SQLite's log into the database file, in bounded steps; called off the request path.
  Status FoldLog();

  // --- State as of `at` (kLsnNow: the present as applied). One seek each. ---
  Result<std::optional<InodeAttributes>> GetInode(InodeId inode, Lsn at);
  Result<std::optional<Entry>> Lookup(InodeId parent, std::string_view name, Lsn at);
  // The present's entries: at most `limit` with cookie > after, by cookie.
  Result<std::vector<Entry>> List(InodeId parent, Cookie after, std::size_t limit);
  // The entries as of `at`: at most `limit` with name > after, by name. Costs a look at every name
  // passed, those that meant nothing then included.
  Result<std::vector<Entry>> ListThen(InodeId parent, std::string_view after, std::size_t limit,
                                      Lsn at);
  // Full states of the chunks first..last that are not empty, ascending.
  Result<std::vector<std::pair<ChunkIndex, PieceList>>> Chunks(BodyId body, ChunkIndex first,
                                                               ChunkIndex last, Lsn at);
  // Smallest non-empty chunk >= from; nothing if none.
  Result<std::optional<ChunkIndex>> NextChunk(BodyId body, ChunkIndex from, Lsn at);
  Result<std::optional<std::string>> GetXattr(InodeId inode, std::string_view name, Lsn at);
  Result<std::vector<std::string>> ListXattrs(InodeId inode, Lsn at);

  // --- Storage ---
  Result<std::optional<StripeDescriptor>> GetStripe(StripeId id);
  Result<std::optional<SegmentDescriptor>> GetSegment(SegmentId id);
  Result<std::vector<SegmentDescriptor>> ListSegments();
  // Stripes of a segment in order.
  Result<std::vector<StripeDescriptor>> ListStripes(SegmentId segment);
  // Every (body, chunk, from_lsn) whose state points into one of these stripes: a full scan, for
  // naming what is lost or hurt.
  struct ExtentUse {
    BodyId body;
    ChunkIndex chunk = 0;
    Lsn from;
    PieceList pieces;
  };
  Status ForEachChunk(const std::function<Status(const ExtentUse&)>& visit);
  // Inodes that had this body, with the LSN from which on each had it.
  Result<std::vector<std::pair<InodeId, Lsn>>> InodesOfBody(BodyId body);

  // --- Time and history ---
  // Last change at or before `time_ns`; Lsn{0} if none.
  Result<Lsn> LsnAt(TimeNs time_ns);
  Result<std::optional<TimeNs>> TimeOf(Lsn lsn);  // of the last change <= lsn
  // Commits with first <= lsn <= last in the order asked for, until visit answers false.
  enum class Order { kOldestFirst, kNewestFirst };
  Status ForEachCommit(Lsn first, Lsn last, Order order,
                       const std::function<Result<bool>(const CommitRecord&)>& visit);
  Result<std::vector<EntryVersion>> EntryHistory(InodeId parent, std::string_view name);
  Result<std::vector<InodeVersion>> InodeHistory(InodeId inode);
  // A name under which `inode` was linked in `parent` as of `at` (now gone or not); nothing if
  // none.
  Result<std::optional<std::string>> NameOf(InodeId parent, InodeId inode, Lsn at);
  // All names of `inode` as of `at`, those given last first.
  struct Link {
    InodeId parent;
    std::string name;
    bool operator==(const Link&) const = default;
  };
  Result<std::vector<Link>> LinksOf(InodeId inode, Lsn at);
  // One of them, in `likely` if it has one there: what its attributes call its parent is where it
  // was linked last, and says nothing once that name is gone.
  Result<std::optional<Link>> LinkOf(InodeId inode, InodeId likely, Lsn at);

  Result<std::vector<SnapshotRecord>> Snapshots();
  // Inodes with nlink 0 that have not been removed: left by a crash.
  Result<std::vector<InodeId>> Orphans();

  struct Totals {
    std::uint64_t inodes = 0, versions = 0, logical_bytes = 0, stripe_bytes = 0;
  };
  Result<Totals> ComputeTotals();
  // SQLite's integrity check and page checksums over the whole file; one line a problem.
  Result<std::vector<std::string>> CheckIntegrity();
  // An order-independent digest of all rows of history and storage, to compare two catalogs.
  Result<std::uint64_t> ComputeDigest();

 private:
  Status ApplyTogether(std::span<const Change* const> changes);

  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
