// Segments as the disks list them.
#pragma once

#include "store/disk/disk_set.h"
#include "store/log/stripe.h"

namespace varve {

// Highest segment id that has an object on any online disk; 0 when none. Up to m disks that cannot
// be listed are passed over: every segment has objects on at least m+1 disks.
Result<SegmentId> HighestSegmentOnDisks(DiskSet& disks);

}  // namespace varve
