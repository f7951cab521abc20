#include "store/volume/committer.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "store/volume/placer.h"

namespace varve {
namespace {

// A clone is small to say and large to do.
std::size_t WeightOf(const Change& change) {
  const std::uint64_t cloned = ClonedChunks(change);
  return static_cast<std::size_t>(cloned == 0 ? 1 : 16 + cloned / 64);
}

}  // namespace

Committer::Committer(const VolumeOptions& options, Tail& tail, Journal& journal,
                     StripeWriter& writer, StripeIndex& index, Lsn last, TimeNs last_time_ns,
                     DurableCallback on_durable)
    : options_(options),
      tail_(tail),
      journal_(journal),
      writer_(writer),
      index_(index),
      on_durable_(std::move(on_durable)),
      last_(last),
      last_time_ns_(last_time_ns),
      durable_(last) {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "varve-commit");
    Run();
  });
}

Committer::~Committer() { Stop(); }

Result<Lsn> Committer::Commit(Change change, Room room) {
  const std::uint64_t bytes = UnplacedBytes(change);
  std::unique_lock lock(mutex_);
  if (room == Room::kWait) {
    room_changed_.wait(lock, [&] {
      return poison_ || no_space_ || stop_ ||
             (pending_bytes_ < options_.pending_limit_bytes && unapplied_ < kMaxUnapplied);
    });
    if (no_space_ && !poison_ && bytes > 0) return *no_space_;
  }
  if (poison_) {
    return Error(ErrorCode::kReadOnly, "the volume is read-only: " + poison_->message());
  }
  if (stop_) return Error(ErrorCode::kCancelled, "the volume is closed");
  change.lsn = Lsn{last_.value + 1};
  change.time_ns = std::max(options_.clock->Now(), last_time_ns_);
  last_ = change.lsn;
  last_time_ns_ = change.time_ns;
  auto shared = std::make_shared<Change>(std::move(change));
  tail_.Add(*shared);
  if (queue_.empty()) oldest_ = std::chrono::steady_clock::now();
  const bool first = queue_.empty();
  queue_.push_back(std::move(shared));
  unapplied_ += WeightOf(*queue_.back());
  queued_bytes_ += bytes;
  pending_bytes_ += bytes;
  const Lsn lsn = last_;
  // Whoever is busy looks at the queue afterwards, and a thread that will look anyway does so in
  // time.
  const bool full = queued_bytes_ >= options_.batch_bytes;
  if (!busy_ && (full || (first && !will_look_))) work_.notify_one();
  return lsn;
}

Status Committer::Sync(Lsn lsn) {
  std::unique_lock lock(mutex_);
  lsn = std::min(lsn, last_);
  const std::uint64_t no_space_before = no_space_count_;
  const auto refused = [&] { return poison_ || (no_space_ && no_space_count_ != no_space_before); };
  while (durable_ < lsn && !refused()) {
    // Waking the thread, and being woken by it, can take longer than the journal does.
    if (!busy_ && !stop_ && retry_.empty()) {
      CommitBatch(lock);
    } else {
      durable_changed_.wait(lock);
    }
  }
  if (durable_ >= lsn) return {};
  return poison_ ? *poison_ : *no_space_;
}

void Committer::Applied(std::span<const std::shared_ptr<Change>> changes, std::uint64_t bytes) {
  std::size_t weight = 0;
  for (const auto& change : changes) weight += WeightOf(*change);
  {
    std::lock_guard lock(mutex_);
    unapplied_ -= weight;
    pending_bytes_ -= bytes;
  }
  room_changed_.notify_all();
}

void Committer::Poison(const Error& why) {
  {
    std::lock_guard lock(mutex_);
    if (poison_) return;
    poison_ = why;
  }
  spdlog::error("the volume is read-only from now on: {}", why.message());
  work_.notify_all();
  durable_changed_.notify_all();
  room_changed_.notify_all();
}

void Committer::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  room_changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Lsn Committer::last_lsn() const {
  std::lock_guard lock(mutex_);
  return last_;
}

TimeNs Committer::last_time_ns() const {
  std::lock_guard lock(mutex_);
  return last_time_ns_;
}

Lsn Committer::durable_lsn() const {
  std::lock_guard lock(mutex_);
  return durable_;
}

std::optional<Error> Committer::poison() const {
  std::lock_guard lock(mutex_);
  return poison_;
}

bool Committer::IsDue() const {
  if (busy_) return false;
  if (poison_ || stop_) return true;
  if (queue_.empty() && retry_.empty()) return false;
  if (std::chrono::steady_clock::now() >= oldest_ + options_.commit_interval) return true;
  return retry_.empty() && queued_bytes_ >= options_.batch_bytes;
}

void Committer::WaitUntilDue(std::unique_lock<std::mutex>& lock) {
  while (!IsDue()) {
    if (busy_ || (queue_.empty() && retry_.empty())) {
      work_.wait(lock);
      continue;
    }
    will_look_ = true;
    work_.wait_until(lock, oldest_ + options_.commit_interval);
    will_look_ = false;
  }
}

Committer::Batch Committer::TakeBatch() {
  if (!retry_.empty()) return std::exchange(retry_, {});
  Batch batch;
  std::uint64_t bytes = 0;
  // Not more than two batches' worth at once, so that a small fsync is not stuck behind a flood.
  while (!queue_.empty() && bytes < 2 * options_.batch_bytes) {
    bytes += UnplacedBytes(*queue_.front());
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_bytes_ = queue_.empty() ? 0 : queued_bytes_ - std::min(queued_bytes_, bytes);
  oldest_ = std::chrono::steady_clock::now();
  return batch;
}

void Committer::CommitBatch(std::unique_lock<std::mutex>& lock) noexcept {
  busy_ = true;
  Batch batch = TakeBatch();
  lock.unlock();
  const Status status = MakeDurable(batch);
  Finish(std::move(batch), status);
  lock.lock();
  busy_ = false;
  durable_changed_.notify_all();
  room_changed_.notify_all();
  const bool something_waits = !queue_.empty() || !retry_.empty();
  if (IsDue() || (something_waits && !will_look_)) work_.notify_one();
}

void Committer::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    WaitUntilDue(lock);
    if (poison_ || (stop_ && queue_.empty() && retry_.empty())) break;
    CommitBatch(lock);
    if (stop_ && !retry_.empty()) break;  // full disks at the end: Sync has said so
  }
}

Status Committer::MakeDurable(const Batch& batch) {
  if (varve::UnplacedBytes(batch) > options_.inline_limit_bytes) {
    RETURN_IF_ERROR(PlaceChanges(batch, writer_, index_));
  }
  std::vector<const Change*> changes;
  changes.reserve(batch.size());
  for (const auto& change : batch) changes.push_back(change.get());
  return journal_.Append(changes);
}

void Committer::Finish(Batch batch, const Status& status) {
  if (!status.ok() && status.error().code() != ErrorCode::kNoSpace) {
    Poison(status.error());
    return;
  }
  if (!status.ok()) {
    {
      std::lock_guard lock(mutex_);
      no_space_ = status.error();
      ++no_space_count_;
      oldest_ = std::chrono::steady_clock::now();
      retry_ = std::move(batch);
    }
    spdlog::warn("the disks are full, what was written waits in memory: {}",
                 status.error().message());
    return;
  }
  const std::uint64_t dropped = DropPlacedBytes(batch);
  {
    std::lock_guard lock(mutex_);
    durable_ = batch.back()->lsn;
    no_space_.reset();
    pending_bytes_ -= dropped;
  }
  on_durable_(std::move(batch));
}

}  // namespace varve
