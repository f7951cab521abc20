// The insides of Catalog, shared by the files that implement it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "store/catalog/catalog.h"
#include "store/catalog/disk_vfs.h"
#include "store/catalog/latest.h"
#include "store/catalog/reader_pool.h"
#include "store/catalog/schema.h"
#include "store/catalog/sqlite.h"

namespace varve {

// SQLite's log is folded by Apply itself when it has grown beyond this; it is to be folded earlier,
// by FoldLog in the background.
inline constexpr std::uint64_t kLogLimitBytes = 96 * 1024 * 1024;

struct Catalog::Impl {
  // Declared before the connections, which must be closed before it goes.
  std::unique_ptr<DiskVfs> vfs;
  std::shared_ptr<Disk> disk;
  CatalogIdentity identity;

  // The writing connection and what goes with it.
  std::mutex writer_mutex;
  std::unique_ptr<Database> writer;           // guarded by writer_mutex
  std::unordered_set<std::uint64_t> orphans;  // as in the table; guarded by writer_mutex
  Latest latest;                              // guarded by writer_mutex

  // Set until FinishFilling: there is neither a log nor a reader.
  std::optional<CatalogOptions> filling;
  std::atomic<bool> abandoned{false};

  ReaderPool readers;

  // Of the last committed transaction.
  std::atomic<std::uint64_t> applied_lsn{0};
  std::atomic<TimeNs> applied_time_ns{0};
  std::atomic<std::uint64_t> highest_id{0};

  static Result<std::unique_ptr<Impl>> Start(std::shared_ptr<Disk> disk,
                                             const CatalogIdentity& identity);
  // After the schema is known to be right.
  Status OpenReaders(const CatalogOptions& options);
  Status LoadOrphans();
  void Publish(const CatalogProgress& progress);
  Status FinishFold(std::uint64_t frames_noted);
  Status FoldLogLocked();

  // The moment to read at: nothing beyond what was applied when the call began, so that a call of
  // several statements sees one state. Rows up to there never change.
  Lsn Clamp(Lsn at) const {
    const Lsn applied(applied_lsn.load(std::memory_order_acquire));
    return at < applied ? at : applied;
  }
};

}  // namespace varve
