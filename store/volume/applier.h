// Brings durable changes into the catalog, packs inline data into stripes, lays down checkpoints
// and rebuilds a lost catalog: everything behind the acknowledgement.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "store/volume/catalog_keeper.h"
#include "store/volume/checkpointer.h"
#include "store/volume/committer.h"
#include "store/volume/stripe_index.h"
#include "store/volume/tail.h"

namespace varve {

// Makes an empty catalog on `slot`'s disk (or, if that is not online, the online disk with the most
// free space), brings it up to `head` by the chain, and says so in the labels when it is complete.
struct RebuiltCatalog {
  std::shared_ptr<Catalog> catalog;
  DiskIndex slot;
};
// `culprit` is set when it was the disk chosen for the catalog that failed, and not what is read to
// make it: only then is there a disk to blame.
Result<RebuiltCatalog> RebuildCatalog(DiskSet& disks, const CatalogOptions& options,
                                      const std::optional<CheckpointRef>& head,
                                      std::span<const Change> after_head,
                                      std::optional<DiskIndex>& culprit);

// Thread-safe but for construction. Owns the thread "varve-apply".
class Applier {
 public:
  struct Parts {
    const VolumeOptions& options;
    DiskSet& disks;
    CatalogKeeper& catalog;
    Checkpointer& checkpointer;
    StripeWriter& writer;  // for packing; the applier's own
    StripeIndex& index;
    Tail& tail;
    Journal& journal;
  };
  Applier(Parts parts, Lsn applied);
  ~Applier();

  // Before the first Enqueue.
  void Start(Committer& committer);
  // Durable changes, in LSN order. A few of them are applied only after kLinger: a program that
  // syncs all the time makes thousands of small batches a second.
  void Enqueue(std::vector<std::shared_ptr<Change>> changes);
  // Waits until `lsn` is in the catalog, without lingering; kNoSpace when the disks are found too
  // full for it, though it will be tried again.
  Status WaitApplied(Lsn lsn);
  // Lays a checkpoint after what is queued now.
  Status Checkpoint();
  // The catalog has been reported broken.
  void Wake();
  // Applies what is queued, then ends the thread.
  void Stop();
  Lsn applied_lsn() const;

 private:
  using Batch = std::vector<std::shared_ptr<Change>>;
  static constexpr std::size_t kBatchChanges = 4096;
  static constexpr std::uint64_t kBatchBytes = 32 * 1024 * 1024;
  static constexpr std::chrono::milliseconds kLinger{100};
  // More than these do not linger.
  static constexpr std::size_t kFewChanges = 1024;
  static constexpr std::uint64_t kFewBytes = 4 * 1024 * 1024;
  // SQLite's own log is folded into its database this often.
  static constexpr std::chrono::milliseconds kFoldInterval{1000};
  static constexpr std::uint64_t kMaxLinkBytes = 8 * 1024 * 1024;

  void Run();
  void WaitForWork(std::unique_lock<std::mutex>& lock);
  Batch TakeBatch();
  Status ApplyBatch(const Batch& batch);
  Status ApplyToCatalog(const Batch& batch);
  Status Rebuild(const Error& why);
  Status WriteCheckpoint();
  bool CheckpointDue() const;
  void Fail(const Error& why);
  // Puts an unapplied batch back and pauses; false when the thread should end instead.
  bool WaitForSpace(std::unique_lock<std::mutex>& lock, Batch batch, const Error& why);

  Parts parts_;
  Committer* committer_ = nullptr;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable applied_changed_;
  // Under mutex_.
  std::deque<std::shared_ptr<Change>> queue_;
  std::uint64_t queued_bytes_ = 0;                  // not yet placed
  std::chrono::steady_clock::time_point oldest_{};  // when the queue stopped being empty
  bool queue_is_long_ = false;                      // or holds what is much to do
  bool will_look_ = false;                          // the thread wakes by itself soon enough
  Lsn applied_;
  Lsn applied_wanted_;  // somebody waits for it
  std::uint64_t checkpoints_wanted_ = 0;
  std::uint64_t checkpoints_done_ = 0;
  std::optional<Error> failed_;
  std::optional<Error> full_;  // how the last attempt that found no space ended
  std::uint64_t full_count_ = 0;
  bool wake_ = false;
  bool stop_ = false;
  // The thread's own.
  std::chrono::steady_clock::time_point last_fold_{};
  std::thread thread_;
};

}  // namespace varve
