// Decides from the labels found which disks make up the volume. Pure. Private to store/disk.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/disk/disk_label.h"
#include "store/disk/disk_set.h"

namespace varve {

// One disk that was found: where, and its label or why that could not be read.
struct FoundDisk {
  std::string path;
  Result<DiskLabel> label;
};

struct AssembledSlot {
  DiskState state = DiskState::kMissing;
  std::optional<std::size_t> found;  // index into the disks found; none when missing
  std::string reason;                // why it is not online
};

struct Assembly {
  DiskLabel label;  // the newest
  std::vector<AssembledSlot> slots;
  // Some online disk's own label is not yet of the newest epoch: a step was cut short.
  bool labels_differ = false;
};

// Errors as DiskSet::Assemble.
Result<Assembly> AssembleLabels(const std::vector<FoundDisk>& found);

}  // namespace varve
