// From the disks that were named on the command line to all disks of the volume.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/disk/disk.h"
#include "store/disk/posix_disk.h"

namespace varve {

struct FoundDisks {
  std::vector<std::unique_ptr<Disk>> disks;  // opened and locked
  std::vector<std::string> notes;  // for people: where another disk was looked for, and not found
};

// Opens the directories `given` and, by the paths that their labels remember, the other members of
// their volume. One is enough; a member that has moved must be named. A directory that was given
// and cannot be opened, or a member that is in use (kBusy), is an error; a member that is not where
// it was is left out, for DiskSet::Assemble to judge.
Result<FoundDisks> FindDisks(const std::vector<std::string>& given, DiskAccess access);

}  // namespace varve
