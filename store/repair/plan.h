// A plan: what is to be done about a check's report. Printed, it is the dry run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/repair/checker.h"

namespace varve {

struct RepairPlan {
  // A disk that is online but lacks (much of) what it should hold; when it has that, it is declared
  // whole.
  struct Rebuild {
    // The bad fragments are among `mends`, or too many for that: then every fragment of the disk is
    // looked at anew.
    enum class Scope { kListed, kEverything };
    DiskIndex slot;
    std::string path;
    Scope scope = Scope::kListed;
    std::uint64_t fragments = 0;  // known to be bad
    std::uint64_t bytes = 0;
  };
  std::vector<Rebuild> rebuilds;

  // Fragments to be written anew, by stripe; only columns on disks that are online.
  std::vector<BadStripe> mends;
  // How many of them are on disks that are not rebuilt.
  std::uint64_t mend_fragments = 0;
  std::uint64_t mend_bytes = 0;

  // What this plan cannot do anything about, with the next step to take.
  std::vector<Finding> left;

  bool IsEmpty() const { return rebuilds.empty() && mends.empty(); }
  // For people, one action a line.
  std::vector<std::string> Lines() const;
};

// Pure but for looking up the geometry of the stripes to mend.
Result<RepairPlan> MakePlan(const RepairContext& context, const CheckReport& report);

}  // namespace varve
