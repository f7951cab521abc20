// The deep check of the catalog: one is made anew from the log, and the two are compared.
#pragma once

#include <vector>

#include "store/base/finding.h"
#include "store/catalog/catalog.h"
#include "store/disk/disk_set.h"

namespace varve {

// Replays checkpoints and journal into a catalog in a scratch directory and compares its digest
// with that of `live`. The volume must be closed: all that the journal holds has its place. An
// error means that the comparison could not be made.
Status CompareCatalogWithLog(DiskSet& disks, Catalog& live, std::vector<Finding>& findings);

}  // namespace varve
