#include <utility>

#include "store/volume/rollback.h"
#include "store/volume/rollback_touched.h"

namespace varve {

Result<RollbackPlan> PlanFileRollback(Volume& volume, InodeId file, Lsn to) {
  ASSIGN_OR_RETURN(View then, volume.At(to));
  const View now = volume.Now();
  RollbackBudget budget(volume.max_rollback_bytes());
  ASSIGN_OR_RETURN(Touched touched, CollectTouched(volume, to));
  ASSIGN_OR_RETURN(auto want, then.GetInode(file));
  ASSIGN_OR_RETURN(auto have, now.GetInode(file));
  if (!have) return Error(ErrorCode::kNotFound, "the file does not exist now");
  if (!want || want->nlink == 0) {
    return Error(ErrorCode::kNotFound, "the file did not exist at that time");
  }
  RollbackPlan plan;
  plan.change.kind = ChangeKind::kRollback;
  want->nlink = have->nlink;
  want->parent = have->parent;
  if (want->body) {
    ASSIGN_OR_RETURN(auto chunks, RestoreChunks(then, now, want->body, touched, budget));
    Append(plan.change.operations, std::move(chunks));
  }
  ASSIGN_OR_RETURN(auto xattrs, RestoreXattrs(then, now, file, touched, budget));
  Append(plan.change.operations, std::move(xattrs));
  InodeAttributes compared = *want;
  compared.ctime_ns = have->ctime_ns;
  if (plan.change.operations.empty() && compared == *have) return plan;
  want->ctime_ns = volume.NextTime();
  plan.change.operations.emplace_back(PutInode{file, *want});
  RETURN_IF_ERROR(budget.Take(plan.change.operations.back()));
  plan.inodes.push_back(file);
  plan.bytes = budget.taken_bytes();
  return plan;
}

}  // namespace varve
