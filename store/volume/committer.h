// Group commit: gives changes their place in history and makes them durable in batches.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "store/log/journal.h"
#include "store/log/stripe_writer.h"
#include "store/volume/stripe_index.h"
#include "store/volume/tail.h"
#include "store/volume/volume.h"

namespace varve {

// Thread-safe. Owns the thread "varve-commit", which commits what nobody waits for. Who waits
// commits what is queued himself, as soon as nobody else does.
//
// A batch is made durable in this order, which INV-2 rests on: stripes (written, synced), then the
// journal frame that refers to them (written, synced on m+1 disks), then the acknowledgement, then
// the applier.
class Committer {
 public:
  using DurableCallback = std::function<void(std::vector<std::shared_ptr<Change>>)>;

  Committer(const VolumeOptions& options, Tail& tail, Journal& journal, StripeWriter& writer,
            StripeIndex& index, Lsn last, TimeNs last_time_ns, DurableCallback on_durable);
  ~Committer();

  // See Volume. `Room::kTake` never waits for room: for the volume's own small changes, made by the
  // very thread that makes room.
  enum class Room { kWait, kTake };
  Result<Lsn> Commit(Change change, Room room = Room::kWait);
  Status Sync(Lsn lsn);
  // The applier is done with these changes and has dropped this many bytes.
  void Applied(std::span<const std::shared_ptr<Change>> changes, std::uint64_t bytes);
  // From now on nothing can be written: `why` answers every Commit and every Sync of what is not
  // durable yet. The first reason stays.
  void Poison(const Error& why);
  // Commits what is queued, then ends the thread.
  void Stop();

  Lsn last_lsn() const;
  TimeNs last_time_ns() const;
  Lsn durable_lsn() const;
  std::uint64_t pending_bytes() const { return pending_bytes_.load(); }
  std::optional<Error> poison() const;

 private:
  using Batch = std::vector<std::shared_ptr<Change>>;
  // Most changes that may wait for the applier before Commit blocks; one that clones counts for
  // what it makes the applier do.
  static constexpr std::size_t kMaxUnapplied = 65536;

  void Run();
  bool IsDue() const;
  void WaitUntilDue(std::unique_lock<std::mutex>& lock);
  // Makes what is queued durable, or a part of it if that is much. Not while busy_; the lock is let
  // go meanwhile. There is no way back from a batch half committed, so it does not throw.
  void CommitBatch(std::unique_lock<std::mutex>& lock) noexcept;
  Batch TakeBatch();
  Status MakeDurable(const Batch& batch);
  void Finish(Batch batch, const Status& status);

  const VolumeOptions& options_;
  Tail& tail_;
  Journal& journal_;
  StripeWriter& writer_;
  StripeIndex& index_;
  const DurableCallback on_durable_;

  std::atomic<std::uint64_t> pending_bytes_{0};  // not yet placed
  mutable std::mutex mutex_;
  std::condition_variable work_;  // for the thread
  std::condition_variable durable_changed_;
  std::condition_variable room_changed_;
  // Under mutex_.
  std::deque<std::shared_ptr<Change>> queue_;
  std::uint64_t queued_bytes_ = 0;
  std::chrono::steady_clock::time_point oldest_{};  // when the queue stopped being empty
  std::size_t unapplied_ = 0;
  Lsn last_;
  TimeNs last_time_ns_;
  Lsn durable_;
  std::optional<Error> poison_;
  std::optional<Error> no_space_;  // the last attempt found the disks full
  std::uint64_t no_space_count_ = 0;
  bool stop_ = false;
  bool busy_ = false;       // somebody is committing a batch
  bool will_look_ = false;  // the thread wakes by itself before what comes now is due
  Batch retry_;             // found no space, to be tried again first
  std::thread thread_;
};

}  // namespace varve
