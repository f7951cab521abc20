// The first pass of a check: every fragment of every stripe, all disks at once.
#pragma once

#include "store/repair/check_log.h"
#include "store/repair/checker.h"

namespace varve {

// Fills the report's counts, mendable, beyond and slots. Ends early when the check is cancelled.
Status ScanFragments(const RepairContext& context, CheckLog& log, CheckReport& report);

// Notes segment files on the disks that the catalog knows nothing of.
Status NoteOrphans(const RepairContext& context, CheckLog& log);

}  // namespace varve
