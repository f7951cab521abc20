// What has been touched since a moment: where a rollback must look, and where it need not.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_set>

#include "store/volume/rollback_budget.h"
#include "store/volume/volume.h"

namespace varve {

struct Touched {
  std::set<InodeId> inodes;
  std::map<InodeId, std::set<std::string>> entries;
  std::map<BodyId, std::set<ChunkIndex>> chunks;
  std::map<BodyId, ChunkIndex> cuts;  // emptied from here on, the lowest
  std::map<InodeId, std::set<std::string>> xattrs;
};

// The touch lists of all changes after `since`, united: of the whole volume, so that they say
// nothing of how large a rollback is.
Result<Touched> CollectTouched(Volume& volume, Lsn since);

// The directories on the ways from the root to what was touched, by any of its names, in `then` and
// in the present; and what was touched itself.
Result<std::unordered_set<InodeId>> MarkWays(Volume& volume, const View& then,
                                             const Touched& touched);

// Operations below are taken from the budget, and kTooLarge is answered when it is used up.

// Operations that make the body's map in the present what it was in `then`, looking only at the
// chunks that were touched.
Result<std::vector<Operation>> RestoreChunks(const View& then, const View& now, BodyId body,
                                             const Touched& touched, RollbackBudget& budget);
// Operations that give `copy` everything that `body` had in `then`; the extents are shared.
Result<std::vector<Operation>> CopyChunks(const View& then, BodyId body, BodyId copy,
                                          RollbackBudget& budget);

// Operations that make the touched xattrs of `inode` what they were.
Result<std::vector<Operation>> RestoreXattrs(const View& then, const View& now, InodeId inode,
                                             const Touched& touched, RollbackBudget& budget);
Result<std::vector<Operation>> CopyXattrs(const View& then, InodeId inode, InodeId copy,
                                          RollbackBudget& budget);

void Append(std::vector<Operation>& to, std::vector<Operation> from);

}  // namespace varve
