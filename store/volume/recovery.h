// From disks to a volume that can serve: what runs before the first operation.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "store/catalog/catalog.h"
#include "store/disk/disk_set.h"
#include "store/log/journal.h"
#include "store/log/stripe_writer.h"
#include "store/volume/applier.h"
#include "store/volume/checkpointer.h"
#include "store/volume/volume.h"

namespace varve {

// What recovery works with and hands over.
struct RecoveryParts {
  DiskSet& disks;
  const VolumeOptions& options;
  CatalogKeeper& catalog;
  StripeIndex& index;
  StripeWriter& pack_writer;
  StripeWriter& checkpoint_writer;
  std::atomic<std::uint64_t>& next_segment;
  std::function<void(const std::string&)> progress;
  // What an earlier attempt found wrong with the catalog: it is made anew, not opened.
  std::optional<Error> catalog_failure;
};

struct Recovered {
  std::unique_ptr<Journal> journal;
  std::unique_ptr<Checkpointer> checkpointer;
  // To be committed first of all: announces the stripes of the checkpoint taken by recovery.
  std::vector<Operation> announce;
  Lsn last;
  TimeNs last_time_ns = 0;
  std::uint64_t highest_id = 0;
};

// Reads the journal, opens the catalog or rebuilds it, replays what the catalog lacks, then lays a
// checkpoint over everything and starts a fresh journal, so that nothing is served that is not
// on m+1 disks: an unacknowledged tail found on one replica becomes history here. Idempotent: cut
// short anywhere, the next run ends in the same state. If it fails and the keeper has a failure, it
// was the catalog: another attempt, with parts of its own (the writers of these have begun segments
// that nothing has announced), can do without.
Result<Recovered> Recover(const RecoveryParts& parts);

// Highest number used as inode, body or cookie in the change.
std::uint64_t HighestId(const Change& change);

}  // namespace varve
