#include "store/volume/applier.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "store/volume/placer.h"

namespace varve {
namespace {

// The slot to put a new catalog on: the one it was on, or the roomiest other.
Result<DiskIndex> ChooseCatalogSlot(DiskSet& disks, DiskIndex preferred) {
  if (disks.online(preferred)) return preferred;
  std::optional<DiskIndex> best;
  std::uint64_t best_free = 0;
  for (DiskIndex slot : disks.OnlineSlots()) {
    auto disk = disks.online(slot);
    if (!disk) continue;
    auto space = disk->Space();
    if (!space.ok()) continue;
    if (!best || space->free_bytes > best_free) {
      best = slot;
      best_free = space->free_bytes;
    }
  }
  if (!best) return Error(ErrorCode::kTooFewDisks, "no disk is left to hold the catalog");
  return *best;
}

Status ApplyAll(Catalog& catalog, std::span<const Change> changes) {
  std::vector<const Change*> pointers;
  pointers.reserve(changes.size());
  for (const Change& change : changes) pointers.push_back(&change);
  return pointers.empty() ? Status() : catalog.Apply(pointers);
}

}  // namespace

Result<RebuiltCatalog> RebuildCatalog(DiskSet& disks, const CatalogOptions& options,
                                      const std::optional<CheckpointRef>& head,
                                      std::span<const Change> after_head,
                                      std::optional<DiskIndex>& culprit) {
  const DiskLabel label = disks.label();
  ASSIGN_OR_RETURN(DiskIndex slot, ChooseCatalogSlot(disks, label.catalog_slot));
  auto disk = disks.online(slot);
  if (!disk) return Error(ErrorCode::kDiskLost, "the disk chosen for the catalog has just failed");
  const CatalogIdentity identity{label.volume_uuid, label.catalog_generation + 1};
  auto blame = [&](const auto& result) {
    if (!result.ok() && CatalogKeeper::IsCatalogFailure(result.error())) culprit = slot;
  };
  auto created = Catalog::CreateToFill(disk, identity, options);
  blame(created);
  ASSIGN_OR_RETURN(std::shared_ptr<Catalog> catalog, std::move(created));
  auto apply = [&](std::span<const Change> changes) -> Status {
    Status applied = ApplyAll(*catalog, changes);
    blame(applied);
    return applied;
  };
  if (head) {
    RETURN_IF_ERROR(
        ReplayChain(disks, label.volume_uuid, *head, Lsn{},
                    [&](std::vector<Change>& changes) -> Status { return apply(changes); }));
  }
  RETURN_IF_ERROR(apply(after_head));
  Status finished = catalog->FinishFilling();
  blame(finished);
  RETURN_IF_ERROR(finished);
  RETURN_IF_ERROR(disks.SetCatalogLocation(slot, identity.generation));
  return RebuiltCatalog{std::move(catalog), slot};
}

Applier::Applier(Parts parts, Lsn applied) : parts_(parts), applied_(applied) {}

Applier::~Applier() { Stop(); }

void Applier::Start(Committer& committer) {
  committer_ = &committer;
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "varve-apply");
    Run();
  });
}

void Applier::Enqueue(std::vector<std::shared_ptr<Change>> changes) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (queue_.empty()) oldest_ = std::chrono::steady_clock::now();
    queued_bytes_ += UnplacedBytes(changes);
    queue_is_long_ |= queued_bytes_ > kFewBytes || queue_.size() + changes.size() > kFewChanges ||
                      std::ranges::any_of(changes, [](const std::shared_ptr<Change>& change) {
                        return ClonedChunks(*change) > 0;
                      });
    queue_.insert(queue_.end(), std::make_move_iterator(changes.begin()),
                  std::make_move_iterator(changes.end()));
    wake = queue_is_long_ || !will_look_;
  }
  if (wake) work_.notify_one();
}

Status Applier::WaitApplied(Lsn lsn) {
  std::unique_lock lock(mutex_);
  if (lsn > applied_wanted_) {
    applied_wanted_ = lsn;
    work_.notify_one();
  }
  const std::uint64_t full_before = full_count_;
  applied_changed_.wait(
      lock, [&] { return applied_ >= lsn || failed_ || stop_ || full_count_ != full_before; });
  if (applied_ >= lsn) return {};
  if (failed_) return *failed_;
  if (full_count_ != full_before) return *full_;
  return Error(ErrorCode::kCancelled, "the volume is closed");
}

Status Applier::Checkpoint() {
  std::unique_lock lock(mutex_);
  const std::uint64_t wanted = ++checkpoints_wanted_;
  work_.notify_one();
  applied_changed_.wait(lock, [&] { return checkpoints_done_ >= wanted || failed_ || stop_; });
  if (checkpoints_done_ >= wanted) return {};
  if (failed_) return *failed_;
  return Error(ErrorCode::kCancelled, "the volume is closed");
}

void Applier::Wake() {
  {
    std::lock_guard lock(mutex_);
    wake_ = true;
  }
  work_.notify_one();
}

void Applier::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
  applied_changed_.notify_all();
}

Lsn Applier::applied_lsn() const {
  std::lock_guard lock(mutex_);
  return applied_;
}

void Applier::Fail(const Error& why) {
  parts_.catalog.GiveUp(why);
  committer_->Poison(why);
  {
    std::lock_guard lock(mutex_);
    failed_ = why;
  }
  applied_changed_.notify_all();
}

bool Applier::CheckpointDue() const {
  if (parts_.checkpointer.empty()) return false;
  return parts_.journal.bytes_since_checkpoint() >= parts_.options.checkpoint_journal_bytes ||
         parts_.checkpointer.buffered_bytes() >= kMaxLinkBytes;
}

void Applier::WaitForWork(std::unique_lock<std::mutex>& lock) {
  const auto due = [&] {
    return stop_ || wake_ || checkpoints_wanted_ > checkpoints_done_ ||
           (!queue_.empty() && (queue_is_long_ || applied_wanted_ > applied_));
  };
  while (!due()) {
    if (queue_.empty()) {
      work_.wait(lock);
      continue;
    }
    will_look_ = true;
    const std::cv_status woken = work_.wait_until(lock, oldest_ + kLinger);
    will_look_ = false;
    if (woken == std::cv_status::timeout) return;
  }
}

Applier::Batch Applier::TakeBatch() {
  Batch batch;
  std::uint64_t bytes = 0;
  while (!queue_.empty() && batch.size() < kBatchChanges && bytes < kBatchBytes) {
    bytes += UnplacedBytes(*queue_.front());
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  if (queue_.empty()) {
    queued_bytes_ = 0;
    queue_is_long_ = false;
  }
  return batch;
}

void Applier::Run() {
  std::unique_lock lock(mutex_);
  while (!failed_) {
    WaitForWork(lock);
    wake_ = false;
    Batch batch = TakeBatch();
    const std::uint64_t wanted = checkpoints_wanted_;
    const bool checkpoint = queue_.empty() && wanted > checkpoints_done_;
    if (batch.empty() && !checkpoint && stop_) break;
    lock.unlock();

    Status status;
    if (auto why = parts_.catalog.failure()) status = Rebuild(*why);
    if (status.ok() && !batch.empty()) status = ApplyBatch(batch);
    if (status.ok() && ((checkpoint && !parts_.checkpointer.empty()) || CheckpointDue())) {
      status = WriteCheckpoint();
    }
    const bool full = !status.ok() && status.error().code() == ErrorCode::kNoSpace;
    if (!status.ok() && !full) Fail(status.error());

    lock.lock();
    if (full && !WaitForSpace(lock, std::move(batch), status.error())) break;
    if (status.ok() && checkpoint) checkpoints_done_ = wanted;
    applied_changed_.notify_all();
  }
}

bool Applier::WaitForSpace(std::unique_lock<std::mutex>& lock, Batch batch, const Error& why) {
  // What the batch holds is durable in the journal; it waits there and here.
  if (!batch.empty() && batch.back()->lsn > applied_) {
    queue_.insert(queue_.begin(), std::make_move_iterator(batch.begin()),
                  std::make_move_iterator(batch.end()));
  }
  spdlog::warn("the disks are full, the catalog waits: {}", why.message());
  if (stop_) return false;
  full_ = why;
  ++full_count_;
  // A checkpoint asked for now cannot be had: whoever waits for it must not wait for ever.
  checkpoints_done_ = checkpoints_wanted_;
  applied_changed_.notify_all();
  work_.wait_for(lock, std::chrono::seconds(1), [&] { return stop_; });
  return true;
}

Status Applier::ApplyBatch(const Batch& batch) {
  Status placed = PlaceChanges(batch, parts_.writer, parts_.index);
  if (!placed.ok()) return placed.error().In("packing small data into stripes");
  RETURN_IF_ERROR(ApplyToCatalog(batch));
  {
    std::lock_guard lock(mutex_);
    applied_ = batch.back()->lsn;
  }
  parts_.checkpointer.Add(batch);
  parts_.tail.Trim(batch);
  parts_.index.Applied(batch);
  committer_->Applied(batch, DropPlacedBytes(batch));
  Status prepared = parts_.journal.PrepareNext();
  if (!prepared.ok()) {
    spdlog::warn("the next journal segment could not be prepared ahead: {}",
                 prepared.error().message());
  }
  return {};
}

Status Applier::ApplyToCatalog(const Batch& batch) {
  std::vector<const Change*> changes;
  changes.reserve(batch.size());
  for (const auto& change : batch) changes.push_back(change.get());
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto catalog = parts_.catalog.current();
    Status status = catalog ? catalog->Apply(changes)
                            : Status(Error(ErrorCode::kDiskLost, "the catalog's disk is lost"));
    if (status.ok()) {
      // Not after every batch: an fsync-heavy program makes thousands of small ones a second.
      const auto now = std::chrono::steady_clock::now();
      if (now - last_fold_ < kFoldInterval) return {};
      last_fold_ = now;
      Status folded = catalog->FoldLog();
      if (folded.ok() || !CatalogKeeper::IsCatalogFailure(folded.error())) return {};
      status = folded;
    }
    if (!CatalogKeeper::IsCatalogFailure(status.error())) return status.error().In("the catalog");
    if (catalog) parts_.catalog.Report(catalog, status.error());
    RETURN_IF_ERROR(Rebuild(status.error()));
  }
  return Error(ErrorCode::kIo, "the catalog failed again and again while being rebuilt");
}

Status Applier::Rebuild(const Error& why) {
  spdlog::warn("rebuilding the catalog from checkpoints and journal: {}", why.message());
  parts_.options.findings(Finding{.kind = FindingKind::kCatalogMissing,
                                  .disk = parts_.disks.label().catalog_slot,
                                  .what = "the live catalog is unusable: " + why.message(),
                                  .next_step = "nothing: it is being rebuilt"});
  ASSIGN_OR_RETURN(std::vector<Change> after, parts_.checkpointer.Buffered());
  for (int attempt = 0; attempt < kMaxDisks; ++attempt) {
    std::optional<DiskIndex> culprit;
    auto rebuilt = RebuildCatalog(parts_.disks, parts_.options.catalog, parts_.checkpointer.head(),
                                  after, culprit);
    if (rebuilt.ok()) {
      spdlog::info("the catalog is whole again, on disk {}", rebuilt->slot.value);
      parts_.catalog.Set(std::move(rebuilt->catalog), rebuilt->slot);
      return {};
    }
    spdlog::warn("rebuilding the catalog failed: {}", rebuilt.error().message());
    if (culprit) {
      RETURN_IF_ERROR(parts_.disks.Fail(*culprit, rebuilt.error()));
    } else if (rebuilt.error().code() != ErrorCode::kDiskLost) {
      // The history itself cannot be read: no disk is failed for that.
      return rebuilt.error();
    }
  }
  return Error(ErrorCode::kTooFewDisks, "no disk can hold the catalog");
}

Status Applier::WriteCheckpoint() {
  ASSIGN_OR_RETURN(Checkpointer::Link link, parts_.checkpointer.Write());
  parts_.index.Add(link.placement);
  RETURN_IF_ERROR(parts_.journal.Checkpointed(link.ref));
  parts_.checkpointer.Accept(link.ref);
  // Announced after the fact: until this change is durable the link's stripes are known by the
  // journal's header alone, which is enough to read it.
  Change announce;
  announce.kind = ChangeKind::kMaintenance;
  announce.operations = AnnouncePlacement(link.placement);
  auto committed = committer_->Commit(std::move(announce), Committer::Room::kTake);
  if (!committed.ok()) return committed.error().In("announcing a checkpoint");
  return {};
}

}  // namespace varve
