// The checker: reads everything that the catalog says there is and tells what is not as it should
// be. It changes nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/base/finding.h"
#include "store/repair/context.h"
#include "store/repair/damaged_versions.h"

namespace varve {

// Shallow: presence, identity and checksum of every fragment, the catalog's own checks, and that
// every piece of every file points into a stripe that exists. Deep: besides, every extent of every
// version is decompressed, parity is computed anew from data, and what `compare_catalog` does.
enum class CheckDepth { kShallow, kDeep };

struct CheckOptions {
  CheckDepth depth = CheckDepth::kShallow;
  // Compares the catalog with one made anew from the log; given by whoever knows how to make one.
  // Adds its findings; an error means that it could not be done.
  std::function<Status(std::vector<Finding>&)> compare_catalog = {};
  RepairProgressSink progress = [](const RepairProgress&) {};
  // Hears of findings as they are made; the report has them too.
  FindingSink findings = [](const Finding&) {};
  // Set from a signal handler, for one: the check ends soon with CheckReport::cancelled.
  const std::atomic<bool>* cancel = nullptr;
  // At most so many findings are kept and told one by one; the rest is counted.
  std::size_t max_findings = 1000;
  // At most so many versions of files that are hurt but can be mended are named; those that are
  // lost are always named, every one.
  std::size_t max_hurt_files = 10000;
};

// What a disk lacks of what it should hold.
struct SlotDamage {
  DiskIndex slot;
  DiskState state = DiskState::kOnline;
  bool rebuilding = false;  // replaced or rejoined: not yet known to hold its part of everything
  // Absent, or so much is bad that not each fragment is remembered in CheckReport::mendable.
  bool whole = false;
  std::uint64_t bad_fragments = 0;
  std::uint64_t bad_bytes = 0;
};

struct CheckReport {
  std::uint64_t segments = 0;
  std::uint64_t stripes = 0;
  std::uint64_t fragments = 0;
  std::uint64_t checked_bytes = 0;
  std::uint64_t extents = 0;  // checked for their references; deep: read
  std::uint64_t bad_fragments = 0;

  // Stripes with at most m bad columns, but for those that are bad only on disks whose damage is
  // `whole`. Ascending.
  std::vector<BadStripe> mendable;
  // Stripes with more than m bad columns. Ascending.
  std::vector<BadStripe> beyond;
  std::vector<SlotDamage> slots;  // only those with something to say

  std::vector<DamagedVersion> lost;  // bytes of these versions cannot be had
  std::vector<DamagedVersion> hurt;  // whole, but with less redundancy than promised
  std::uint64_t hurt_not_named = 0;  // extents of files beyond CheckOptions::max_hurt_files

  std::vector<Finding> findings;
  std::uint64_t findings_not_kept = 0;
  bool cancelled = false;

  // Anything that is worse than a note.
  bool HasErrors() const;
};

// An error means that the check itself could not be done (the catalog cannot be read, for one);
// damage is no error but a report.
Result<CheckReport> Check(const RepairContext& context, const CheckOptions& options);

}  // namespace varve
