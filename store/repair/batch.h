// Stripes that are mended together, and how their fragments come from the disks and go back.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "store/log/stripe_images.h"
#include "store/repair/context.h"

namespace varve {

// A stripe in the middle of being mended. In the masks, bit c is column c.
struct Work {
  StripeLocation location;
  std::uint64_t suspects = 0;  // columns to be looked at and written if bad
  StripeImage image;           // fragments of the columns asked for; which are what, the masks say
  std::uint64_t good = 0;      // read and verified
  std::uint64_t bad = 0;       // read and found bad, or its disk is gone
  std::uint64_t mended = 0;    // computed and verified
};

struct Batch {
  std::vector<Work> works;
  std::uint64_t held_bytes = 0;
};

// Fragments of a batch on their way, each on its disk's own thread; what is started later comes
// later there. Whoever destroys it waits for it.
class Transfer {
 public:
  // Of works in the batch, and their columns.
  using Fragments = std::vector<std::pair<std::size_t, int>>;
  using Choice = std::function<std::uint64_t(const Work&)>;

  // Reads the columns that `choose` names and sorts them into good and bad: what does not come is
  // bad, a disk that is gone with all that it holds.
  static std::unique_ptr<Transfer> Read(const RepairContext& context, std::shared_ptr<Batch> batch,
                                        const Choice& choose);
  // Writes what has been mended, and syncs it. No object that the reader had open before is read
  // on, for it may have been replaced.
  static std::unique_ptr<Transfer> Write(const RepairContext& context,
                                         std::shared_ptr<Batch> batch);

  bool IsEmpty() const { return by_disk_.empty(); }
  const std::shared_ptr<Batch>& batch() const { return batch_; }
  // Only then may the works be touched. Answers, by disk, what came of it.
  std::map<DiskIndex, Status> Wait();
  const Fragments& On(DiskIndex disk) const { return by_disk_.at(disk); }

 private:
  Transfer(const RepairContext& context, std::shared_ptr<Batch> batch);
  void Choose(const Choice& choose);
  void Start(DiskSet::Task task);
  Status ReadFrom(DiskIndex disk);
  Status WriteTo(DiskIndex disk);

  const RepairContext& context_;
  const std::shared_ptr<Batch> batch_;
  std::map<DiskIndex, Fragments> by_disk_;
  std::vector<DiskIndex> slots_;
  std::mutex mutex_;            // of the works' masks while they are read
  DiskSet::Running running_{};  // last: it waits for those who use the others
};

}  // namespace varve
