#include "fs/core/rollback_operation.h"

#include <sys/stat.h>

#include <set>
#include <utility>

namespace varve {

Result<RollbackOperation::Outcome> RollbackOperation::Run(std::string_view path, Lsn to) {
  Volume& volume = core_.volume();
  Outcome outcome;
  std::vector<Resized> resized;
  {
    const Gate::Closure writers_wait(core_.writers());
    if (core_.refusing()) return Error(ErrorCode::kReadOnly, "the filesystem is shutting down");
    if (to == kLsnNow || to < kLsnFirst || to > volume.last_lsn()) {
      return Error(ErrorCode::kInvalidArgument,
                   "there is no moment @" + std::to_string(to.value) + " to go back to");
    }
    ASSIGN_OR_RETURN(const History::Place place, history_.Locate(path, History::Directories::kNow));
    if (!place.inode) {
      return Error(ErrorCode::kNotFound, "'" + std::string(path) + "' does not exist now");
    }
    RETURN_IF_ERROR(core_.CutDownTo(0));
    ASSIGN_OR_RETURN(RollbackPlan plan, place.is_directory
                                            ? PlanTreeRollback(volume, place.inode, to)
                                            : PlanFileRollback(volume, place.inode, to));
    outcome.result.lsn = volume.last_lsn();
    if (plan.change.operations.empty()) return outcome;
    // In the journal and in the catalog.
    RETURN_IF_ERROR(volume.CheckSpaceOfChange(2 * plan.bytes));
    for (const InodeId inode : plan.inodes) outcome.invalidations.nodes.emplace_back(inode.value);
    for (const CommitRecord::TouchedEntry& entry : plan.entries) {
      outcome.invalidations.names.push_back({NodeId(entry.parent.value), entry.name});
    }
    outcome.result.changed = plan.inodes.size();
    ASSIGN_OR_RETURN(resized, FilesOfNewSize(plan));
    const Gate::Closure readers_wait(core_.readers());
    ASSIGN_OR_RETURN(outcome.result.lsn, Commit(std::move(plan)));
    if (WritesBack()) {
      for (const Resized& file : resized) core_.StartAnew(file.inode);
    }
  }
  RETURN_IF_ERROR(volume.Sync(outcome.result.lsn));
  RETURN_IF_ERROR(TellOfNewSizes(resized, outcome));
  return outcome;
}

Result<std::vector<RollbackOperation::Resized>> RollbackOperation::FilesOfNewSize(
    const RollbackPlan& plan) {
  std::vector<Resized> files;
  for (const Operation& operation : plan.change.operations) {
    const auto* put = std::get_if<PutInode>(&operation);
    if (put == nullptr || !S_ISREG(put->attributes.mode)) continue;
    ASSIGN_OR_RETURN(const auto now, core_.volume().Now().GetInode(put->inode));
    if (!now || now->size == put->attributes.size) continue;
    const InodeLocks::Shared lock(core_.locks(), put->inode);
    const FileState* state = core_.states().Find(put->inode);
    files.push_back({put->inode, state != nullptr && state->handles > 0});
  }
  return files;
}

Status RollbackOperation::TellOfNewSizes(const std::vector<Resized>& files, Outcome& outcome) {
  Volume& volume = core_.volume();
  for (const Resized& file : files) {
    ASSIGN_OR_RETURN(const auto links, volume.LinksOf(file.inode, outcome.result.lsn));
    if (!file.is_open || WritesBack()) {
      for (const Catalog::Link& link : links) {
        outcome.invalidations.names.push_back({NodeId(link.parent.value), link.name});
      }
    } else if (!links.empty()) {
      std::string path = volume.PathOf(links.front().parent, outcome.result.lsn);
      if (path != "/") path += "/";
      outcome.result.open_and_resized.push_back(path + links.front().name);
    }
  }
  return {};
}

Result<Lsn> RollbackOperation::Commit(RollbackPlan plan) {
  // Both gates are closed: no inode lock is held by anybody, and the states are ours alone.
  FileStates& states = core_.states();
  const auto is_open = [&](InodeId inode) {
    const FileState* state = states.Find(inode);
    return state != nullptr && state->handles > 0;
  };
  Change change;
  change.kind = plan.change.kind;
  change.operations.reserve(plan.change.operations.size());
  std::set<InodeId> removed;
  for (Operation& operation : plan.change.operations) {
    // A file that somebody has open outlives its last name, here as with unlink.
    if (const auto* remove = std::get_if<RemoveInode>(&operation);
        remove != nullptr && is_open(remove->inode)) {
      ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(remove->inode));
      attributes.nlink = 0;
      change.operations.push_back(PutInode{remove->inode, std::move(attributes)});
      continue;
    }
    if (const auto* put = std::get_if<PutInode>(&operation)) core_.read_times().Forget(put->inode);
    if (const auto* put = std::get_if<PutInode>(&operation);
        put != nullptr && put->attributes.nlink == 0 && !is_open(put->inode)) {
      removed.insert(put->inode);
    }
    if (const auto* remove = std::get_if<RemoveInode>(&operation)) removed.erase(remove->inode);
    change.operations.push_back(std::move(operation));
  }
  for (const InodeId inode : removed) change.operations.push_back(RemoveInode{inode});
  core_.acls().ForgetAll();
  return core_.Commit(std::move(change));
}

}  // namespace varve
