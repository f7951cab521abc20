// The parts of a Volume. Private to store/volume.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "store/volume/applier.h"
#include "store/volume/catalog_keeper.h"
#include "store/volume/checkpointer.h"
#include "store/volume/committer.h"
#include "store/volume/recovery.h"
#include "store/volume/space_gauge.h"
#include "store/volume/stripe_index.h"
#include "store/volume/tail.h"
#include "store/volume/volume.h"

namespace varve {

// Members in the order in which they depend on one another; destroyed in reverse.
struct Volume::Impl {
  Impl(std::unique_ptr<DiskSet> disk_set, const VolumeOptions& volume_options);

  VolumeOptions options;
  std::unique_ptr<DiskSet> disks;
  Uuid uuid;
  std::atomic<std::uint64_t> next_segment{1};
  std::atomic<std::uint64_t> next_id{2};
  Tail tail;
  CatalogKeeper keeper;
  StripeIndex index;
  StripeReader reader;
  // Each used by one thread at a time: whoever commits, the applier for packing, the applier for
  // checkpoints.
  StripeWriter hot_writer;
  StripeWriter pack_writer;
  StripeWriter checkpoint_writer;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<Checkpointer> checkpointer;
  std::unique_ptr<Applier> applier;
  std::unique_ptr<Committer> committer;
  TimeNs first_time_ns = 0;

  // "varve-health": probes disks, looks for space.
  std::mutex health_mutex;
  std::condition_variable health_wake;
  bool health_stop = false;  // under health_mutex
  std::thread health;
  SpaceGauge space;

  bool closed = false;  // by the one thread that closes
  Status close_status;

  // See recovery.h; progress is never empty. After an error there is nothing but to go, and disks
  // may be taken along.
  Result<Recovered> Recover(const std::function<void(const std::string&)>& progress,
                            const std::optional<Error>& catalog_failure);
  void RunHealth();
  void LookForSpace();
  Status RemoveOrphans();
  Status Settle(Lsn lsn);  // durable and applied
};

}  // namespace varve
