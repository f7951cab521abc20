// Volume's questions about time and history: all answered by the catalog, once it has everything.
#include <algorithm>
#include <string>

#include "store/volume/volume.h"
#include "store/volume/volume_impl.h"

namespace varve {

TimeNs Volume::NextTime() const { return std::max(impl_->options.clock->Now(), last_time_ns()); }

Result<Lsn> Volume::LsnAtTime(TimeNs time_ns) {
  if (time_ns < impl_->first_time_ns) {
    return Error(ErrorCode::kInvalidArgument, "that is before the volume existed");
  }
  if (time_ns > NextTime()) {
    return Error(ErrorCode::kInvalidArgument, "that is in the future");
  }
  const Lsn last = last_lsn();
  if (time_ns >= last_time_ns()) return last;
  RETURN_IF_ERROR(impl_->Settle(last));
  return impl_->keeper.With([&](Catalog& catalog) { return catalog.LsnAt(time_ns); });
}

Result<TimeNs> Volume::TimeOf(Lsn lsn) {
  lsn = std::min(lsn, last_lsn());
  RETURN_IF_ERROR(impl_->Settle(lsn));
  ASSIGN_OR_RETURN(auto time,
                   impl_->keeper.With([&](Catalog& catalog) { return catalog.TimeOf(lsn); }));
  if (!time) return Error(ErrorCode::kNotFound, "no change " + std::to_string(lsn.value));
  return *time;
}

Status Volume::ForEachCommit(Lsn first, Lsn last, Catalog::Order order,
                             const std::function<Result<bool>(const CommitRecord&)>& visit) {
  last = std::min(last, last_lsn());
  RETURN_IF_ERROR(impl_->Settle(last));
  ASSIGN_OR_RETURN(auto catalog, impl_->keeper.Wait());
  return catalog->ForEachCommit(first, last, order, visit);
}

Result<std::vector<EntryVersion>> Volume::EntryHistory(InodeId parent, std::string_view name) {
  RETURN_IF_ERROR(impl_->Settle(last_lsn()));
  return impl_->keeper.With([&](Catalog& catalog) { return catalog.EntryHistory(parent, name); });
}

Result<std::vector<InodeVersion>> Volume::InodeHistory(InodeId inode) {
  RETURN_IF_ERROR(impl_->Settle(last_lsn()));
  return impl_->keeper.With([&](Catalog& catalog) { return catalog.InodeHistory(inode); });
}

Result<std::vector<SnapshotRecord>> Volume::Snapshots() {
  RETURN_IF_ERROR(impl_->Settle(last_lsn()));
  return impl_->keeper.With([](Catalog& catalog) { return catalog.Snapshots(); });
}

Result<std::vector<Catalog::Link>> Volume::LinksOf(InodeId inode, Lsn lsn) {
  lsn = std::min(lsn, last_lsn());
  RETURN_IF_ERROR(impl_->Settle(lsn));
  return impl_->keeper.With([&](Catalog& catalog) { return catalog.LinksOf(inode, lsn); });
}

std::string Volume::PathOf(InodeId inode, Lsn lsn) {
  const std::string unknown = "inode " + std::to_string(inode.value);
  auto view = At(std::min(lsn, last_lsn()));
  if (!view.ok()) return unknown;
  std::string path;
  InodeId at = inode;
  // Deeper than any path can be: a cycle in what was read from disk.
  for (int depth = 0; at != kRootInode; ++depth) {
    if (depth > 4096) return unknown;
    auto attributes = view->GetInode(at);
    if (!attributes.ok() || !attributes->has_value()) return unknown;
    auto link = impl_->keeper.With(
        [&](Catalog& catalog) { return catalog.LinkOf(at, (*attributes)->parent, view->at()); });
    if (!link.ok() || !link->has_value()) return unknown;
    path.insert(0, "/" + (*link)->name);
    at = (*link)->parent;
  }
  return path.empty() ? "/" : path;
}

}  // namespace varve
