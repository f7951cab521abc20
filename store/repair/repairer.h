// The repairer: carries a plan out. Data is never removed, and what is good is never written.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "store/repair/plan.h"

namespace varve {

struct RepairOptions {
  RepairProgressSink progress = [](const RepairProgress&) {};
  FindingSink findings = [](const Finding&) {};
  const std::atomic<bool>* cancel = nullptr;
  // Fragments held at once: at most so many, but for one stripe a batch.
  std::uint64_t memory_bytes = 192 * 1024 * 1024;
};

struct RepairOutcome {
  std::uint64_t fragments_written = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t fragments_already_good = 0;
  std::uint64_t fragments_not_mended = 0;  // too few good ones left, or their disk failed
  std::vector<DiskIndex> rebuilt;          // declared whole again
  std::vector<Finding> findings;           // why something could not be mended; bounded
  bool cancelled = false;
};

// Each fragment is read first and left alone if it is good; what is written was computed from k
// verified others, has the checksum that the stripe recorded, and is synced before anything is said
// to be mended. So it can be interrupted anywhere (power loss too) and carried out again. A disk
// that fails while it is written to is failed in the DiskSet, and the others go on.
Result<RepairOutcome> CarryOut(const RepairContext& context, const RepairPlan& plan,
                               const RepairOptions& options);

}  // namespace varve
