// History: the log of a directory, from the commits' touch lists.
#include <algorithm>
#include <utility>

#include "fs/core/attributes.h"
#include "fs/core/history.h"

namespace varve {

Status History::LogDirectory(InodeId directory, const Visit& visit) {
  // In batches: describing a commit asks the catalog again, which must not happen while it is being
  // walked, or as many logs at once as it has readers would wait for one another.
  constexpr std::uint64_t kBatch = 256;
  std::uint64_t last = core_.volume().last_lsn().value;
  while (last >= kLsnFirst.value) {
    const std::uint64_t first =
        last >= kBatch + kLsnFirst.value ? last - kBatch + 1 : kLsnFirst.value;
    std::vector<CommitRecord> commits;
    RETURN_IF_ERROR(core_.volume().ForEachCommit(Lsn(first), Lsn(last),
                                                 Catalog::Order::kNewestFirst,
                                                 [&](const CommitRecord& commit) -> Result<bool> {
                                                   commits.push_back(commit);
                                                   return true;
                                                 }));
    for (const CommitRecord& commit : commits) {
      ASSIGN_OR_RETURN(const bool more, LogCommit(commit, directory, visit));
      if (!more) return {};
    }
    last = first - 1;
  }
  return {};
}

// What became of a name; nothing when it lies elsewhere. The inodes it speaks for are added to
// *told, so that they are not told of again.
Result<std::optional<LogRecord>> History::DescribeEntry(const CommitRecord& commit,
                                                        InodeId directory,
                                                        const CommitRecord::TouchedEntry& touched,
                                                        std::vector<InodeId>* told) {
  Volume& volume = core_.volume();
  told->push_back(touched.parent);  // its times and counts follow from the entry
  ASSIGN_OR_RETURN(const View after, volume.At(commit.lsn));
  ASSIGN_OR_RETURN(const std::optional<Entry> entry, after.Lookup(touched.parent, touched.name));
  // A directory removed in the same change had its place the moment before.
  Lsn place_at = commit.lsn;
  ASSIGN_OR_RETURN(bool below, IsInTree(after, touched.parent, directory));
  std::optional<View> before;
  if (commit.lsn > kLsnFirst) {
    ASSIGN_OR_RETURN(before, volume.At(Lsn(commit.lsn.value - 1)));
  }
  if (!below && before) {
    place_at = Lsn(commit.lsn.value - 1);
    ASSIGN_OR_RETURN(below, IsInTree(*before, touched.parent, directory));
  }
  if (!below) return std::optional<LogRecord>();

  LogRecord record;
  record.lsn = commit.lsn;
  record.time_ns = commit.time_ns;
  record.kind = commit.kind;
  record.path = JoinPath(volume.PathOf(touched.parent, place_at), touched.name);
  record.deleted = !entry;
  std::optional<InodeAttributes> attributes;
  if (entry) {
    told->push_back(entry->inode);
    ASSIGN_OR_RETURN(attributes, after.GetInode(entry->inode));
  } else if (before) {
    ASSIGN_OR_RETURN(const std::optional<Entry> old, before->Lookup(touched.parent, touched.name));
    if (old) {
      told->push_back(old->inode);
      ASSIGN_OR_RETURN(attributes, before->GetInode(old->inode));
    }
  }
  if (attributes) {
    record.mode = attributes->mode;
    if (entry) record.size = attributes->size;
  }
  return std::optional<LogRecord>(std::move(record));
}

// A path of the inode that leads through `directory`; nothing if none does.
Result<std::optional<std::string>> History::PathBelow(const View& view, InodeId inode,
                                                      const InodeAttributes& attributes,
                                                      InodeId directory) {
  if (S_ISDIR(attributes.mode)) {
    ASSIGN_OR_RETURN(const bool below, IsInTree(view, inode, directory));
    if (!below) return std::optional<std::string>();
    return std::optional(core_.volume().PathOf(inode, view.at()));
  }
  ASSIGN_OR_RETURN(const auto links, core_.volume().LinksOf(inode, view.at()));
  for (const Catalog::Link& link : links) {
    ASSIGN_OR_RETURN(const bool below, IsInTree(view, link.parent, directory));
    if (!below) continue;
    return std::optional(JoinPath(core_.volume().PathOf(link.parent, view.at()), link.name));
  }
  return std::optional<std::string>();
}

Result<bool> History::LogCommit(const CommitRecord& commit, InodeId directory, const Visit& visit) {
  if (commit.kind == ChangeKind::kMaintenance) return true;  // nobody's doing
  std::vector<InodeId> told;
  for (const CommitRecord::TouchedEntry& touched : commit.entries) {
    ASSIGN_OR_RETURN(const std::optional<LogRecord> record,
                     DescribeEntry(commit, directory, touched, &told));
    if (record && !visit(*record)) return false;
  }
  std::sort(told.begin(), told.end());
  for (const InodeId inode : commit.inodes) {
    if (std::binary_search(told.begin(), told.end(), inode)) continue;
    ASSIGN_OR_RETURN(const View after, core_.volume().At(commit.lsn));
    ASSIGN_OR_RETURN(const std::optional<InodeAttributes> attributes, after.GetInode(inode));
    if (!attributes || attributes->nlink == 0) continue;
    ASSIGN_OR_RETURN(const std::optional<std::string> path,
                     PathBelow(after, inode, *attributes, directory));
    if (!path) continue;
    LogRecord record;
    record.lsn = commit.lsn;
    record.time_ns = commit.time_ns;
    record.kind = commit.kind;
    record.path = *path;
    record.size = attributes->size;
    record.mode = attributes->mode;
    if (!visit(record)) return false;
  }
  return true;
}

}  // namespace varve
