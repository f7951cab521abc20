#include <algorithm>
#include <string>

#include "store/catalog/catalog_impl.h"
#include "store/catalog/fold_note.h"

namespace varve {
namespace {

constexpr int kMaxReaders = 64;
// While a catalog is filled there is nobody else to take memory.
constexpr std::uint64_t kFillingCaches = 2;

Status RemoveIfThere(Disk& disk, std::string_view object) {
  auto removed = disk.Remove(object);
  if (removed.ok() || removed.error().code() == ErrorCode::kNotFound) return {};
  return removed.error().In("removing the catalog that was there");
}

// The writer holds the pages that a batch dirties; readers forget theirs with every batch.
std::uint64_t WriterCacheBytes(const CatalogOptions& options) { return options.cache_bytes / 2; }
std::uint64_t ReaderCacheBytes(const CatalogOptions& options, int readers) {
  return options.cache_bytes / 2 / static_cast<std::uint64_t>(readers);
}

}  // namespace

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Catalog::Impl>> Catalog::Impl::Start(std::shared_ptr<Disk> disk,
                                                            const CatalogIdentity& identity) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->vfs, DiskVfs::Register(disk, kCatalogObject));
  impl->disk = std::move(disk);
  impl->identity = identity;
  return impl;
}

Result<std::unique_ptr<Catalog>> Catalog::Create(std::shared_ptr<Disk> disk,
                                                 const CatalogIdentity& identity,
                                                 const CatalogOptions& options) {
  ASSIGN_OR_RETURN(auto catalog, CreateToFill(std::move(disk), identity, options));
  RETURN_IF_ERROR(catalog->FinishFilling());
  return catalog;
}

Result<std::unique_ptr<Catalog>> Catalog::CreateToFill(std::shared_ptr<Disk> disk,
                                                       const CatalogIdentity& identity,
                                                       const CatalogOptions& options) {
  // First of all the database: without its log it may be a mixture of two states that looks whole.
  RETURN_IF_ERROR(RemoveIfThere(*disk, kCatalogObject));
  RETURN_IF_ERROR(disk->SyncNames());
  for (const char* suffix : {"-wal", "-journal", "-fold"}) {
    RETURN_IF_ERROR(RemoveIfThere(*disk, std::string(kCatalogObject) + suffix));
  }
  RETURN_IF_ERROR(disk->SyncNames());
  ASSIGN_OR_RETURN(auto impl, Impl::Start(std::move(disk), identity));
  ASSIGN_OR_RETURN(impl->writer, Database::Open(*impl->vfs, kCatalogObject, OpenDatabase::kCreate));
  RETURN_IF_ERROR(ConfigureConnection(*impl->writer, kFillingCaches * options.cache_bytes));
  RETURN_IF_ERROR(CreateSchema(*impl->writer, identity));
  impl->filling = options;
  return std::make_unique<Catalog>(std::move(impl));
}

Status Catalog::FinishFilling() {
  Impl& impl = *impl_;
  std::lock_guard lock(impl.writer_mutex);
  CHECK(impl.filling.has_value(), "the catalog is being filled");
  // Nothing that was written so far has been synced.
  ASSIGN_OR_RETURN(const auto file, impl.disk->Open(kCatalogObject, OpenMode::kReadWrite));
  RETURN_IF_ERROR(file->Sync());
  RETURN_IF_ERROR(impl.disk->SyncNames());
  RETURN_IF_ERROR(ConfigureConnection(*impl.writer, WriterCacheBytes(*impl.filling)));
  RETURN_IF_ERROR(BeginLog(*impl.writer));
  impl.writer->TrackLog();
  RETURN_IF_ERROR(impl.OpenReaders(*impl.filling));
  impl.filling.reset();
  return {};
}

Result<std::unique_ptr<Catalog>> Catalog::Open(std::shared_ptr<Disk> disk,
                                               const CatalogIdentity& identity,
                                               const CatalogOptions& options) {
  if (auto file = disk->Open(kCatalogObject, OpenMode::kRead); !file.ok()) return file.error();
  ASSIGN_OR_RETURN(const std::uint64_t frames_noted, ReadFoldNote(*disk));
  ASSIGN_OR_RETURN(auto impl, Impl::Start(std::move(disk), identity));
  ASSIGN_OR_RETURN(impl->writer,
                   Database::Open(*impl->vfs, kCatalogObject, OpenDatabase::kExisting));
  RETURN_IF_ERROR(ConfigureConnection(*impl->writer, WriterCacheBytes(options)));
  RETURN_IF_ERROR(impl->FinishFold(frames_noted));
  impl->writer->TrackLog();
  ASSIGN_OR_RETURN(const CatalogProgress progress, CheckSchema(*impl->writer, identity));
  impl->Publish(progress);
  RETURN_IF_ERROR(impl->LoadOrphans());
  RETURN_IF_ERROR(impl->OpenReaders(options));
  return std::make_unique<Catalog>(std::move(impl));
}

Catalog::~Catalog() {
  if (impl_ == nullptr) return;
  impl_->readers.Close();
  std::lock_guard lock(impl_->writer_mutex);
  if (impl_->filling) return;  // nobody will use it
  if (impl_->abandoned) {
    impl_->writer->LeaveLogOnClose();
    return;
  }
  // A failure costs nothing: the log stays, and the next Open recovers from it.
  const bool folded = impl_->FoldLogLocked().ok();
  impl_->writer.reset();
  if (folded) (void)RemoveFoldNote(*impl_->disk);
}

void Catalog::Abandon() { impl_->abandoned = true; }

Status Catalog::Impl::OpenReaders(const CatalogOptions& options) {
  const int count = std::clamp(options.readers, 1, kMaxReaders);
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(auto reader, Database::Open(*vfs, kCatalogObject, OpenDatabase::kExisting));
    RETURN_IF_ERROR(ConfigureConnection(*reader, ReaderCacheBytes(options, count)));
    RETURN_IF_ERROR(reader->Execute("PRAGMA query_only = on"));
    readers.Add(std::move(reader));
  }
  return {};
}

Status Catalog::Impl::LoadOrphans() {
  ASSIGN_OR_RETURN(const Query query, writer->Ask("SELECT ino FROM orphan"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return {};
    orphans.insert(query->U64(0));
  }
}

void Catalog::Impl::Publish(const CatalogProgress& progress) {
  highest_id.store(progress.highest_id, std::memory_order_release);
  applied_time_ns.store(progress.applied_time_ns, std::memory_order_release);
  applied_lsn.store(progress.applied_lsn.value, std::memory_order_release);
}

Lsn Catalog::applied_lsn() const { return Lsn(impl_->applied_lsn.load(std::memory_order_acquire)); }
TimeNs Catalog::applied_time_ns() const {
  return impl_->applied_time_ns.load(std::memory_order_acquire);
}
std::uint64_t Catalog::highest_id() const {
  return impl_->highest_id.load(std::memory_order_acquire);
}

Status Catalog::FoldLog() {
  std::lock_guard lock(impl_->writer_mutex);
  return impl_->FoldLogLocked();
}

// Ends a fold that was interrupted, if there was one, before anything is read.
Status Catalog::Impl::FinishFold(std::uint64_t frames_noted) {
  if (frames_noted == 0) return {};
  ASSIGN_OR_RETURN(const LogSize recovered, writer->FoldLog(Fold::kPassive));
  if (recovered.frames >= frames_noted) return {};
  return Error(ErrorCode::kCorrupt,
               std::string(kCatalogObject) + "-wal: has lost frames of which some are folded (" +
                   std::to_string(recovered.frames) + " of " + std::to_string(frames_noted) + ")");
}

Status Catalog::Impl::FoldLogLocked() {
  if (writer->log_frames() > 0) RETURN_IF_ERROR(WriteFoldNote(*disk, writer->log_frames()));
  // First what can be moved without keeping anyone out; that leaves little for the second, which
  // waits for readers that still look into the log and then cuts it. If they do not go away in time
  // the log stays as long as it is until the next call.
  ASSIGN_OR_RETURN(const LogSize size, writer->FoldLog(Fold::kPassive));
  if (size.frames == 0 || size.folded < size.frames) return {};
  auto cut = writer->FoldLog(Fold::kTruncate);
  if (!cut.ok() && cut.error().code() != ErrorCode::kBusy) return cut.error();
  return {};
}

}  // namespace varve
