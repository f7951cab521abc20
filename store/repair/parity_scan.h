// A pass of the deep check: parity computed anew from the data and compared with what is there.
#pragma once

#include "store/repair/check_log.h"
#include "store/repair/checker.h"

namespace varve {

// Looks at the stripes all of whose fragments are good by themselves; the others are known already.
Status ScanParity(const RepairContext& context, CheckLog& log);

}  // namespace varve
