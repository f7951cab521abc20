#include "store/catalog/batch.h"
#include "store/catalog/catalog_impl.h"

namespace varve {
namespace {

// Takes back what a transaction did, whatever became of it.
class Rollback {
 public:
  Rollback(Database& database, Latest& latest) : database_(&database), latest_(latest) {}
  ~Rollback() {
    if (database_ == nullptr) return;
    latest_.Forget();
    // SQLite may have rolled back by itself. If rolling back fails, so does everything after it:
    // the disk is gone.
    if (database_->InTransaction()) (void)database_->Run("ROLLBACK");
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  void Dismiss() { database_ = nullptr; }

 private:
  Database* database_;
  Latest& latest_;
};

}  // namespace

Status Catalog::Apply(std::span<const Change* const> changes) {
  std::lock_guard lock(impl_->writer_mutex);
  const Lsn applied = applied_lsn();
  while (!changes.empty() && changes.front()->lsn <= applied) changes = changes.subspan(1);
  while (!changes.empty()) {
    // What is cloned from the past must be in the tables: nothing of it in the same transaction.
    std::uint64_t cloned = ClonedChunks(*changes.front());
    std::size_t count = 1;
    while (count < changes.size() && !ClonesThePast(*changes[count])) {
      cloned += ClonedChunks(*changes[count]);
      if (cloned > kClonedTogether) break;
      ++count;
    }
    RETURN_IF_ERROR(ApplyTogether(changes.first(count)));
    changes = changes.subspan(count);
  }
  return {};
}

Status Catalog::ApplyTogether(std::span<const Change* const> changes) {
  Impl& impl = *impl_;
  Database& database = *impl.writer;
  if (impl.vfs->log_bytes() > kLogLimitBytes) RETURN_IF_ERROR(impl.FoldLogLocked());
  RETURN_IF_ERROR(database.Run("BEGIN IMMEDIATE"));
  Rollback rollback(database, impl.latest);
  Batch batch(database, {applied_lsn(), applied_time_ns(), highest_id()}, impl.orphans,
              impl.latest);
  for (const Change* change : changes) RETURN_IF_ERROR(batch.Add(*change));
  RETURN_IF_ERROR(batch.Write());
  RETURN_IF_ERROR(database.Run("COMMIT"));
  rollback.Dismiss();

  for (const std::uint64_t inode : batch.new_orphans()) impl.orphans.insert(inode);
  for (const std::uint64_t inode : batch.gone_orphans()) impl.orphans.erase(inode);
  batch.TellLatest();
  impl.Publish(batch.progress());
  return {};
}

}  // namespace varve
