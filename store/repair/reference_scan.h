// The second pass of a check: every chunk of every version, from the catalog's side.
#pragma once

#include "store/repair/check_log.h"
#include "store/repair/checker.h"

namespace varve {

// Holds every piece of every version against the stripes, reads every extent if the check is deep,
// and names the versions of files that the damage in report.mendable and report.beyond touches.
Status ScanReferences(const RepairContext& context, const CheckOptions& options, CheckLog& log,
                      CheckReport& report);

}  // namespace varve
