#include "fs/core/past_tree.h"

#include <utility>

#include "fs/core/attributes.h"
#include "fs/core/when.h"
#include "fs/core/xattrs.h"

namespace varve {
namespace {

// Set-uid programs of the past must not run with their owner's power: their holes may be mended
// now.
constexpr std::uint32_t kStrippedBits = S_ISUID | S_ISGID;

PastNode Then(InodeId inode, Lsn at, std::uint64_t origin) {
  PastNode node;
  node.kind = PastNode::Kind::kThen;
  node.inode = inode;
  node.at = at;
  node.origin = origin;
  return node;
}

PastNode Virtual(PastNode::Kind kind, InodeId directory, std::string_view name = {}) {
  PastNode node;
  node.kind = kind;
  node.inode = directory;
  node.name = name;
  return node;
}

std::uint64_t VersionsOrigin(const PastNode& versions_of) {
  return PastOrigin(versions_of.inode, std::string(kVersionsName) + "/" + versions_of.name);
}

// What cannot be resolved does not exist, to those who look for a file.
Error AsNotFound(const Error& error) {
  if (error.code() != ErrorCode::kInvalidArgument) return error;
  return Error(ErrorCode::kNotFound, error.message());
}

}  // namespace

NodeAttributes PastTree::Acquire(const PastNode& node, const struct stat& stat) {
  // What `.snapshots` and `versions` list changes; "2h-ago" means something else each time; and
  // with kOwner it depends on who asks.
  const bool fixed = node.kind == PastNode::Kind::kThen;
  return {nodes_.Acquire(node), stat, fixed, nodes_.generation()};
}

Result<NodeAttributes> PastTree::LookupSnapshots(InodeId directory, const Caller& caller) {
  const PastNode node = Virtual(PastNode::Kind::kSnapshots, directory);
  ASSIGN_OR_RETURN(const struct stat stat, GetStat(node));
  if (core_.options().snapdir == SnapshotDirectory::kOwner && caller.uid != 0 &&
      caller.uid != stat.st_uid) {
    return NoSuchName(kSnapshotsName);
  }
  return Acquire(node, stat);
}

Result<InodeAttributes> PastTree::GetInode(const PastNode& node) {
  ASSIGN_OR_RETURN(const View view, core_.volume().At(node.at));
  ASSIGN_OR_RETURN(std::optional<InodeAttributes> attributes, view.GetInode(node.inode));
  if (!attributes) {
    return Error(ErrorCode::kStale, "inode " + std::to_string(node.inode.value) +
                                        " did not exist at @" + std::to_string(node.at.value));
  }
  return *std::move(attributes);
}

Result<struct stat> PastTree::GetStat(const PastNode& node) {
  if (node.kind == PastNode::Kind::kThen) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, GetInode(node));
    attributes.mode &= ~kStrippedBits;
    struct stat stat = ToStat(InodeId(PastInodeNumber(node)), attributes);
    if (attributes.sparse) {
      ASSIGN_OR_RETURN(const View view, core_.volume().At(node.at));
      RETURN_IF_ERROR(core_.CountBlocks(view, attributes, stat));
    }
    return stat;
  }
  InodeAttributes attributes;
  {
    const Gate::Visit visit = core_.BeginLook();
    const InodeLocks::Shared lock(core_.locks(), node.inode);
    ASSIGN_OR_RETURN(attributes, core_.Load(node.inode));
  }
  if (!S_ISDIR(attributes.mode)) {
    return Error(ErrorCode::kNotDirectory, "only directories have .snapshots");
  }
  // Who may read the directory may look at its past; who owns it may take snapshots.
  const bool owner_only = core_.options().snapdir == SnapshotDirectory::kOwner;
  attributes.mode = S_IFDIR | (attributes.mode & (owner_only ? 0500U : 0555U));
  if (node.kind == PastNode::Kind::kSnapshots) attributes.mode |= S_IWUSR;
  attributes.nlink = 2;
  attributes.size = 0;
  return ToStat(InodeId(PastInodeNumber(node)), attributes);
}

Result<std::string> PastTree::GetXattr(const PastNode& node, std::string_view name) {
  const bool owner_only = core_.options().snapdir == SnapshotDirectory::kOwner;
  if (name != kAccessAclName || owner_only) return NoSuchXattr(name);
  ASSIGN_OR_RETURN(const std::string value, Xattrs(core_).Get(node.inode, name));
  ASSIGN_OR_RETURN(const Acl acl, ParseAcl(value));
  ASSIGN_OR_RETURN(const struct stat stat, GetStat(node));
  return EncodeAcl(WithPermissions(Limited(acl, S_IROTH | S_IXOTH), stat.st_mode));
}

Result<NodeAttributes> PastTree::Lookup(const PastNode& parent, std::string_view name) {
  if (name == ".") {
    ASSIGN_OR_RETURN(const struct stat stat, GetStat(parent));
    return Acquire(parent, stat);
  }
  RETURN_IF_ERROR(CheckName(name));
  ASSIGN_OR_RETURN(const PastNode node, Resolve(parent, name));
  ASSIGN_OR_RETURN(const struct stat stat, GetStat(node));
  NodeAttributes found = Acquire(node, stat);
  // Its own attributes never change, but what the name means may.
  if (parent.kind == PastNode::Kind::kSnapshots) found.cacheable = false;
  return found;
}

Result<PastNode> PastTree::Resolve(const PastNode& parent, std::string_view name) {
  switch (parent.kind) {
    case PastNode::Kind::kSnapshots:
      if (name == kVersionsName) return Virtual(PastNode::Kind::kVersions, parent.inode);
      return ResolveMoment(parent.inode, name);
    case PastNode::Kind::kVersions: {
      PastNode node = Virtual(PastNode::Kind::kVersionsOf, parent.inode, name);
      if (lists_.HasListOf(parent.inode, name)) return node;
      ASSIGN_OR_RETURN(const std::vector<Item> items, ListVersions(node));
      if (items.empty()) return NoSuchName(name);
      return node;
    }
    case PastNode::Kind::kVersionsOf: {
      if (const auto known = lists_.Find(parent.inode, parent.name, name)) {
        return Then(known->inode, known->lsn, VersionsOrigin(parent));
      }
      ASSIGN_OR_RETURN(const std::vector<Item> items, ListVersions(parent));
      for (const Item& item : items) {
        if (item.name == name) return item.node;
      }
      return NoSuchName(name);
    }
    case PastNode::Kind::kThen:
      break;
  }
  ASSIGN_OR_RETURN(const View view, core_.volume().At(parent.at));
  ASSIGN_OR_RETURN(const std::optional<Entry> entry, view.Lookup(parent.inode, name));
  if (!entry) return NoSuchName(name);
  return Then(entry->inode, parent.at, parent.origin);
}

Result<PastNode> PastTree::ResolveMoment(InodeId directory, std::string_view when) {
  const Result<Lsn> lsn = history_.Resolve(when);
  if (!lsn.ok()) return AsNotFound(lsn.error());
  const Result<View> view = core_.volume().At(*lsn);
  if (!view.ok()) return AsNotFound(view.error());
  ASSIGN_OR_RETURN(const std::optional<InodeAttributes> then, view->GetInode(directory));
  if (!then || !S_ISDIR(then->mode) || then->nlink == 0) {
    return Error(ErrorCode::kNotFound, "the directory did not exist at " + std::string(when));
  }
  return Then(directory, *lsn, PastOrigin(directory, when));
}

Result<PastNode> PastTree::ParentOf(const PastNode& node) {
  switch (node.kind) {
    case PastNode::Kind::kSnapshots: {
      // The present directory itself; its number is its inode's.
      return node;
    }
    case PastNode::Kind::kVersions:
      return Virtual(PastNode::Kind::kSnapshots, node.inode);
    case PastNode::Kind::kVersionsOf:
      return Virtual(PastNode::Kind::kVersions, node.inode);
    case PastNode::Kind::kThen:
      break;
  }
  ASSIGN_OR_RETURN(const InodeAttributes attributes, GetInode(node));
  return Then(attributes.parent, node.at, node.origin);
}

Result<PastTree::Page> PastTree::ListThen(const PastNode& directory, Cookie position,
                                          std::string_view name) {
  ASSIGN_OR_RETURN(const View view, core_.volume().At(directory.at));
  ASSIGN_OR_RETURN(std::vector<Entry> entries, view.ListThen(directory.inode, name, kPageItems));
  Page page;
  page.after = position;
  page.items.reserve(entries.size());
  for (Entry& entry : entries) {
    page.items.push_back({std::move(entry.name), Then(entry.inode, directory.at, directory.origin),
                          entry.type, ++position});
  }
  if (entries.size() == kPageItems) page.upto = position;
  return page;
}

Result<PastTree::Page> PastTree::List(const PastNode& directory, Cookie after) {
  Page page;
  page.after = 0;
  switch (directory.kind) {
    case PastNode::Kind::kSnapshots: {
      ASSIGN_OR_RETURN(page.items, ListMoments(directory.inode));
      return page;
    }
    case PastNode::Kind::kVersions:
      return ListNames(directory.inode, after);
    case PastNode::Kind::kVersionsOf: {
      ASSIGN_OR_RETURN(page.items, ListVersions(directory));
      return page;
    }
    case PastNode::Kind::kThen:
      break;
  }
  return ListThen(directory, 0, {});
}

Result<std::vector<PastTree::Item>> PastTree::ListMoments(InodeId directory) {
  std::vector<Item> items;
  items.push_back(
      {std::string(kVersionsName), Virtual(PastNode::Kind::kVersions, directory), S_IFDIR, 1});
  ASSIGN_OR_RETURN(const std::vector<SnapshotRecord> snapshots, core_.volume().Snapshots());
  for (const SnapshotRecord& snapshot : snapshots) {
    ASSIGN_OR_RETURN(const View view, core_.volume().At(snapshot.lsn));
    ASSIGN_OR_RETURN(const std::optional<InodeAttributes> then, view.GetInode(directory));
    if (!then || then->nlink == 0) continue;
    items.push_back({snapshot.name,
                     Then(directory, snapshot.lsn, PastOrigin(directory, snapshot.name)), S_IFDIR,
                     items.size() + 1});
  }
  return items;
}

Result<PastTree::Page> PastTree::ListNames(InodeId directory, Cookie after) {
  ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                   core_.volume().Now().List(directory, after, kPageItems));
  Page page;
  page.after = after;
  if (entries.size() == kPageItems) page.upto = entries.back().cookie;
  for (const Entry& entry : entries) {
    if (!S_ISREG(entry.type)) continue;
    page.items.push_back({entry.name, Virtual(PastNode::Kind::kVersionsOf, directory, entry.name),
                          S_IFDIR, entry.cookie});
  }
  return page;
}

Result<std::vector<PastTree::Item>> PastTree::ListVersions(const PastNode& node) {
  ASSIGN_OR_RETURN(const std::vector<FileVersion> versions,
                   history_.VersionsOf(node.inode, node.name));
  const std::uint64_t origin = VersionsOrigin(node);
  VersionLists::List list;
  std::vector<Item> items;
  items.reserve(versions.size());
  for (const FileVersion& version : versions) {
    list[version.file_name] = {version.inode, version.lsn};
    items.push_back(
        {version.file_name, Then(version.inode, version.lsn, origin), S_IFREG, items.size() + 1});
  }
  lists_.Keep(node.inode, node.name, std::move(list));
  return items;
}

}  // namespace varve
