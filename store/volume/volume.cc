#include "store/volume/volume.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "store/volume/volume_impl.h"

namespace varve {
namespace {

Error NoSpaceLeft() { return Error(ErrorCode::kNoSpace, "no space left on the volume's disks"); }

// Pieces that a small disk has room for: the journal's segments, how far it grows before a
// checkpoint, and the segments of stripes, which go round where there are more disks than a stripe
// is wide, are all a part of the smallest disk.
VolumeOptions FitTo(DiskSet& disks, VolumeOptions options) {
  constexpr std::uint64_t kLeastSegmentBytes = std::uint64_t{1} << 20;
  std::uint64_t smallest = ~0ULL;
  for (const DiskIndex slot : disks.OnlineSlots()) {
    const auto disk = disks.online(slot);
    if (!disk) continue;
    if (const auto space = disk->Space(); space.ok()) {
      smallest = std::min(smallest, space->total_bytes);
    }
  }
  std::uint64_t& segment_bytes = options.journal.segment_bytes;
  segment_bytes = std::min(
      segment_bytes,
      std::max(kLeastSegmentBytes, smallest / 64 / kLeastSegmentBytes * kLeastSegmentBytes));
  options.stripes.segment_column_bytes = std::min(options.stripes.segment_column_bytes,
                                                  std::max(4 * kLeastSegmentBytes, smallest / 64));
  options.checkpoint_journal_bytes =
      std::min(options.checkpoint_journal_bytes, std::max(8 * segment_bytes, smallest / 16));
  return options;
}

}  // namespace

Volume::Impl::Impl(std::unique_ptr<DiskSet> disk_set, const VolumeOptions& volume_options)
    : options(FitTo(*disk_set, volume_options)),
      disks(std::move(disk_set)),
      uuid(disks->label().volume_uuid),
      index(keeper),
      reader(
          *disks, uuid, [this](StripeId id) { return index.Find(id); }, options.findings),
      hot_writer(*disks, uuid, next_segment, options.stripes),
      pack_writer(*disks, uuid, next_segment, options.stripes),
      checkpoint_writer(*disks, uuid, next_segment, options.stripes) {}

Volume::Volume() = default;

Volume::~Volume() {
  if (!impl_) return;
  Status closed = Close();
  if (!closed.ok()) spdlog::error("closing the volume: {}", closed.error().message());
}

Status Volume::Format(std::vector<std::unique_ptr<Disk>> disks, const FormatOptions& format,
                      const RootOwner& owner, const VolumeOptions& options) {
  RETURN_IF_ERROR(FormatDisks(disks, format));
  ASSIGN_OR_RETURN(auto set, DiskSet::Assemble(std::move(disks)));
  ASSIGN_OR_RETURN(auto journal, Journal::Start(*set, set->label().volume_uuid, 1, std::nullopt,
                                                options.journal));
  Change first;
  first.lsn = kLsnFirst;
  first.time_ns = options.clock->Now();
  first.kind = ChangeKind::kFormat;
  InodeAttributes root;
  root.mode = S_IFDIR | 0755;
  root.uid = owner.uid;
  root.gid = owner.gid;
  root.nlink = 2;
  root.atime_ns = root.mtime_ns = root.ctime_ns = root.birth_ns = first.time_ns;
  root.parent = kRootInode;
  first.operations.emplace_back(PutInode{kRootInode, root});
  const Change* changes[] = {&first};
  return journal->Append(changes);
}

Result<std::unique_ptr<Volume>> Volume::Open(std::unique_ptr<DiskSet> disks,
                                             const VolumeOptions& options,
                                             std::function<void(const std::string&)> progress) {
  if (!progress) progress = [](const std::string&) {};
  RETURN_IF_ERROR(disks->BeginEpoch());
  std::unique_ptr<Volume> volume(new Volume());
  volume->impl_ = std::make_unique<Impl>(std::move(disks), options);
  auto recovered = volume->impl_->Recover(progress, std::nullopt);
  // A catalog can open well and have a bad page further on. Journal and checkpoints know all that
  // it knows; when they are what fails, it is kept.
  if (!recovered.ok()) {
    if (const auto why = volume->impl_->keeper.failure()) {
      volume->impl_ = std::make_unique<Impl>(std::move(volume->impl_->disks), options);
      recovered = volume->impl_->Recover(progress, why);
    }
  }
  if (!recovered.ok()) return recovered.error();
  Impl& impl = *volume->impl_;
  impl.journal = std::move(recovered->journal);
  impl.checkpointer = std::move(recovered->checkpointer);
  impl.next_id = recovered->highest_id + 1;
  impl.applier = std::make_unique<Applier>(
      Applier::Parts{impl.options, *impl.disks, impl.keeper, *impl.checkpointer, impl.pack_writer,
                     impl.index, impl.tail, *impl.journal},
      recovered->last);
  impl.committer = std::make_unique<Committer>(
      impl.options, impl.tail, *impl.journal, impl.hot_writer, impl.index, recovered->last,
      recovered->last_time_ns, [&impl](std::vector<std::shared_ptr<Change>> batch) {
        impl.applier->Enqueue(std::move(batch));
      });
  impl.keeper.OnReport([&impl] { impl.applier->Wake(); });
  impl.applier->Start(*impl.committer);
  impl.disks->OnFailure([&impl](DiskIndex slot, const Error& why) {
    spdlog::error("disk {} has failed: {}", slot.value, why.message());
    impl.reader.Forget(slot);
    impl.keeper.ReportDisk(slot, why);
    if (!impl.disks->writable()) {
      impl.committer->Poison(Error(ErrorCode::kTooFewDisks,
                                   "fewer disks are left than redundancy needs: " + why.message()));
    }
  });
  if (!recovered->announce.empty()) {
    Change announce;
    announce.operations = std::move(recovered->announce);
    RETURN_IF_ERROR(volume->Commit(std::move(announce)));
  }
  RETURN_IF_ERROR(impl.RemoveOrphans());
  ASSIGN_OR_RETURN(auto first_time,
                   impl.keeper.With([](Catalog& c) { return c.TimeOf(kLsnFirst); }));
  impl.first_time_ns = first_time.value_or(0);
  impl.LookForSpace();
  impl.health = std::thread([&impl] {
    pthread_setname_np(pthread_self(), "varve-health");
    impl.RunHealth();
  });
  return volume;
}

Result<Recovered> Volume::Impl::Recover(const std::function<void(const std::string&)>& progress,
                                        const std::optional<Error>& catalog_failure) {
  auto recovered = varve::Recover({*disks, options, keeper, index, pack_writer, checkpoint_writer,
                                   next_segment, progress, catalog_failure});
  if (!recovered.ok()) {
    closed = true;
    keeper.Close();
  }
  return recovered;
}

Status Volume::Close() {
  Impl& impl = *impl_;
  if (impl.closed) return impl.close_status;
  impl.closed = true;
  {
    std::lock_guard lock(impl.health_mutex);
    impl.health_stop = true;
  }
  impl.health_wake.notify_all();
  if (impl.health.joinable()) impl.health.join();
  if (!impl.committer) return {};
  Status status = impl.committer->Sync(impl.committer->last_lsn());
  if (status.ok()) {
    Status applied = impl.applier->WaitApplied(impl.committer->last_lsn());
    if (applied.ok()) applied = impl.applier->Checkpoint();
    // The checkpoint's announcement is a change too.
    if (applied.ok()) applied = impl.Settle(impl.committer->last_lsn());
    if (!applied.ok() && applied.error().code() == ErrorCode::kNoSpace) {
      spdlog::warn("the catalog is behind, and will be brought up to date from the journal: {}",
                   applied.error().message());
    } else {
      status = std::move(applied);
    }
  }
  impl.committer->Stop();
  impl.applier->Stop();
  impl.keeper.Close();
  impl.close_status = status;
  return status;
}

Status Volume::PrepareClone(BodyId body, ChunkIndex first, std::uint64_t count) {
  constexpr std::size_t kLittle = 256;
  if (impl_->tail.CloneCost(body, first, count) <= kLittle) return {};
  return impl_->Settle(last_lsn());
}

Status Volume::Impl::Settle(Lsn lsn) {
  RETURN_IF_ERROR(committer->Sync(lsn));
  return applier->WaitApplied(lsn);
}

Status Volume::Impl::RemoveOrphans() {
  ASSIGN_OR_RETURN(std::vector<InodeId> orphans,
                   keeper.With([](Catalog& catalog) { return catalog.Orphans(); }));
  if (orphans.empty()) return {};
  Change change;
  change.kind = ChangeKind::kMaintenance;
  for (InodeId inode : orphans) change.operations.emplace_back(RemoveInode{inode});
  auto committed = committer->Commit(std::move(change));
  return committed.ok() ? Status() : Status(committed.error());
}

void Volume::Impl::LookForSpace() {
  space.Look(*disks, [this] {
    SpaceGauge::Underway underway;
    underway.data_bytes = committer->pending_bytes();
    const Lsn last = committer->last_lsn();
    underway.changes = last.value - std::min(last, applier->applied_lsn()).value;
    const std::uint64_t most = options.checkpoint_journal_bytes + options.journal.segment_bytes;
    underway.journal_bytes = most - std::min(most, journal->bytes_since_checkpoint());
    return underway;
  });
}

void Volume::Impl::RunHealth() {
  std::unique_lock lock(health_mutex);
  while (!health_wake.wait_for(lock, options.probe_interval, [&] { return health_stop; })) {
    lock.unlock();
    disks->ProbeAll();
    LookForSpace();
    lock.lock();
  }
}

Result<Lsn> Volume::Commit(Change change) {
  // Data has been asked for by CheckSpace, and is not refused any more.
  const std::uint64_t data_bytes = UnplacedBytes(change);
  if (impl_->space.IsStale()) impl_->LookForSpace();
  if (data_bytes == 0) RETURN_IF_ERROR(CheckSpaceOfChange(0));
  const Result<Lsn> committed = impl_->committer->Commit(std::move(change));
  if (committed.ok()) impl_->space.Committed(data_bytes);
  return committed;
}

Status Volume::Sync(Lsn lsn) { return impl_->committer->Sync(lsn); }

std::uint64_t Volume::AllocateId() { return impl_->next_id.fetch_add(1); }

std::uint64_t Volume::NextId() const { return impl_->next_id.load(); }

Status Volume::CheckSpace(std::uint64_t bytes) {
  if (impl_->space.AvailableBytes() >= std::max<std::uint64_t>(bytes, 1)) return {};
  // Before anybody is refused: what is under way may turn out to need less than it seems.
  RETURN_IF_ERROR(impl_->Settle(last_lsn()));
  impl_->LookForSpace();
  if (impl_->space.AvailableBytes() >= std::max<std::uint64_t>(bytes, 1)) return {};
  return NoSpaceLeft();
}

Status Volume::CheckSpaceOfChange(std::uint64_t bytes) {
  if (impl_->space.TakesChange(bytes)) return {};
  RETURN_IF_ERROR(impl_->Settle(last_lsn()));
  impl_->LookForSpace();
  if (impl_->space.TakesChange(bytes)) return {};
  return NoSpaceLeft();
}

std::uint64_t Volume::max_rollback_bytes() const { return impl_->options.max_rollback_bytes; }

Result<View> Volume::At(Lsn lsn) {
  if (lsn == kLsnNow) return Now();
  if (lsn < kLsnFirst || lsn > last_lsn()) {
    return Error(ErrorCode::kInvalidArgument, "there is no change " + std::to_string(lsn.value) +
                                                  ": history goes from 1 to " +
                                                  std::to_string(last_lsn().value));
  }
  if (impl_->applier->applied_lsn() < lsn) RETURN_IF_ERROR(impl_->Settle(lsn));
  return View(this, lsn);
}

Lsn Volume::last_lsn() const { return impl_->committer->last_lsn(); }
TimeNs Volume::last_time_ns() const { return impl_->committer->last_time_ns(); }

VolumeStatus Volume::status() const {
  const Impl& impl = *impl_;
  VolumeStatus status;
  status.label = impl.disks->label();
  status.disks = impl.disks->Report();
  if (auto poison = impl.committer->poison()) {
    status.read_only = true;
    status.read_only_reason = poison->message();
  }
  status.rebuilding_catalog = impl.keeper.failure().has_value();
  status.last = impl.committer->last_lsn();
  status.durable = impl.committer->durable_lsn();
  status.applied = impl.applier->applied_lsn();
  status.first_time_ns = impl.first_time_ns;
  status.last_time_ns = impl.committer->last_time_ns();
  status.pending_bytes = impl.committer->pending_bytes();
  status.capacity_bytes = impl.space.capacity_bytes();
  status.available_bytes = impl.space.AvailableBytes();
  return status;
}

DiskSet& Volume::disks() { return *impl_->disks; }
std::shared_ptr<Catalog> Volume::catalog() { return impl_->keeper.current(); }
StripeReader& Volume::reader() { return impl_->reader; }

}  // namespace varve
