#include "fs/core/namespace_operations.h"

#include <cerrno>
#include <utility>

#include "fs/core/attributes.h"

namespace varve {
namespace {

Error TooManyLinks(std::string_view name) {
  return Error(ErrorCode::kTooLarge, "'" + std::string(name) + "': too many links", EMLINK);
}

}  // namespace

Status NamespaceOperations::CheckNotReserved(std::string_view name, ErrorCode code) const {
  if (name != kSnapshotsName || core_.options().snapdir == SnapshotDirectory::kOff) return {};
  return Error(code, "the name '.snapshots' is Varve's own",
               code == ErrorCode::kPermission ? EPERM : 0);
}

Result<NamespaceOperations::Made> NamespaceOperations::Make(InodeId parent, std::string_view name,
                                                            const NewNode& node,
                                                            const Caller& caller, Handle handle) {
  RETURN_IF_ERROR(CheckName(name));
  RETURN_IF_ERROR(CheckNotReserved(name, ErrorCode::kExists));
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeId inode(core_.volume().AllocateId());
  const InodeLocks::Exclusive lock(core_.locks(), {parent, inode});
  ASSIGN_OR_RETURN(InodeAttributes directory, core_.LoadDirectory(parent));
  ASSIGN_OR_RETURN(const std::optional<Entry> taken, core_.volume().Now().Lookup(parent, name));
  if (taken) return NameExists(name);
  RETURN_IF_ERROR(core_.volume().CheckSpace(kBlockBytes));

  const bool is_directory = S_ISDIR(node.mode);
  if (is_directory && directory.nlink >= kMaxLinks) return TooManyLinks(name);
  Change change;
  change.kind = node.kind;
  ASSIGN_OR_RETURN(InodeAttributes attributes,
                   NewAttributes({parent, directory}, inode, node, caller, change));
  directory.size += 1;
  if (is_directory) directory.nlink += 1;
  directory.mtime_ns = directory.ctime_ns = attributes.birth_ns;
  change.operations.push_back(PutInode{inode, attributes});
  change.operations.push_back(PutEntry{
      parent, Entry{std::string(name), inode, node.mode & S_IFMT, core_.volume().AllocateId()}});
  change.operations.push_back(PutInode{parent, std::move(directory)});
  ASSIGN_OR_RETURN(const Lsn lsn, core_.Commit(std::move(change)));
  if (handle == Handle::kOpen) {
    FileState& state = core_.states().Make(inode, attributes, lsn);
    state.handles = 1;
    state.cached_opens = 0;
    state.without_capability = true;  // it has inherited access lists at most
  }
  return Made{inode, std::move(attributes)};
}

Result<NamespaceOperations::Made> NamespaceOperations::MakeNameless(InodeId parent,
                                                                    const NewNode& node,
                                                                    const Caller& caller) {
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeId inode(core_.volume().AllocateId());
  const InodeLocks::Exclusive lock(core_.locks(), {parent, inode});
  ASSIGN_OR_RETURN(const InodeAttributes directory, core_.LoadDirectory(parent));
  RETURN_IF_ERROR(core_.volume().CheckSpace(kBlockBytes));
  Change change;
  change.kind = node.kind;
  ASSIGN_OR_RETURN(InodeAttributes attributes,
                   NewAttributes({parent, directory}, inode, node, caller, change));
  attributes.nlink = 0;
  attributes.parent = InodeId{};
  change.operations.push_back(PutInode{inode, attributes});
  ASSIGN_OR_RETURN(const Lsn lsn, core_.Commit(std::move(change)));
  FileState& state = core_.states().Make(inode, attributes, lsn);
  state.handles = 1;
  state.cached_opens = 0;
  state.without_capability = true;
  state.linkable = true;
  return Made{inode, std::move(attributes)};
}

Result<InodeAttributes> NamespaceOperations::NewAttributes(const Made& parent, InodeId inode,
                                                           const NewNode& node,
                                                           const Caller& caller, Change& change) {
  const InodeAttributes& directory = parent.attributes;
  const bool is_directory = S_ISDIR(node.mode);
  InodeAttributes attributes;
  ASSIGN_OR_RETURN(attributes.mode,
                   core_.acls().Inherit(parent.inode, inode, node.mode, caller.umask, change));
  attributes.uid = caller.uid;
  attributes.gid = caller.gid;
  if (directory.mode & S_ISGID) {
    attributes.gid = directory.gid;
    if (is_directory) attributes.mode |= S_ISGID;
  }
  attributes.nlink = is_directory ? 2 : 1;
  attributes.size = node.target.size();
  attributes.rdev = node.rdev;
  attributes.birth_ns = core_.Now();
  attributes.atime_ns = attributes.mtime_ns = attributes.ctime_ns = attributes.birth_ns;
  attributes.parent = parent.inode;
  attributes.target = node.target;
  if (S_ISREG(node.mode)) attributes.body = BodyId(core_.volume().AllocateId());
  return attributes;
}

Result<NamespaceOperations::Made> NamespaceOperations::Link(InodeId inode, InodeId new_parent,
                                                            std::string_view new_name) {
  RETURN_IF_ERROR(CheckName(new_name));
  RETURN_IF_ERROR(CheckNotReserved(new_name, ErrorCode::kExists));
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeLocks::Exclusive lock(core_.locks(), {inode, new_parent});
  ASSIGN_OR_RETURN(InodeAttributes directory, core_.LoadDirectory(new_parent));
  ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
  if (S_ISDIR(attributes.mode)) {
    return Error(ErrorCode::kPermission, "a directory cannot have a second name", EPERM);
  }
  FileState* state = core_.states().Find(inode);
  if (attributes.nlink == 0 && (state == nullptr || !state->linkable)) {
    return Error(ErrorCode::kNotFound, "the file has been removed");
  }
  if (attributes.nlink >= kMaxLinks) return TooManyLinks(new_name);
  ASSIGN_OR_RETURN(const std::optional<Entry> taken,
                   core_.volume().Now().Lookup(new_parent, new_name));
  if (taken) return NameExists(new_name);
  RETURN_IF_ERROR(core_.volume().CheckSpace(kBlockBytes));
  RETURN_IF_ERROR(core_.Cut(inode));

  const TimeNs now = core_.Now();
  attributes.nlink += 1;
  attributes.ctime_ns = now;
  attributes.parent = new_parent;
  directory.size += 1;
  directory.mtime_ns = directory.ctime_ns = now;
  Change change;
  change.kind = ChangeKind::kLink;
  change.operations.push_back(PutInode{inode, attributes});
  change.operations.push_back(PutEntry{
      new_parent,
      Entry{std::string(new_name), inode, attributes.mode & S_IFMT, core_.volume().AllocateId()}});
  change.operations.push_back(PutInode{new_parent, std::move(directory)});
  if (state != nullptr && state->removed) core_.AppendKeptXattrs(*state, change);
  // What is dirty of a file that had no name yet becomes visible together with its name.
  RETURN_IF_ERROR(core_.CommitWithDirty(state, std::move(change)));
  if (state != nullptr) state->linkable = false;
  return Made{inode, std::move(attributes)};
}

void NamespaceOperations::AppendUnlinked(InodeId victim, InodeAttributes attributes, InodeId parent,
                                         TimeNs now, Change& change) {
  const bool last = S_ISDIR(attributes.mode) || attributes.nlink <= 1;
  const FileState* state = core_.states().Find(victim);
  if (last && (state == nullptr || state->handles == 0)) {
    change.operations.push_back(RemoveInode{victim});
    return;
  }
  attributes.nlink = last ? 0 : attributes.nlink - 1;
  // Where its other names are the catalog knows, for those who ask (Volume::LinksOf).
  if (attributes.parent == parent) attributes.parent = InodeId{};
  attributes.ctime_ns = now;
  change.operations.push_back(PutInode{victim, std::move(attributes)});
}

Status NamespaceOperations::Unlink(InodeId parent, std::string_view name) {
  return Remove(parent, name, ChangeKind::kUnlink);
}

Status NamespaceOperations::RemoveDirectory(InodeId parent, std::string_view name) {
  return Remove(parent, name, ChangeKind::kRemoveDirectory);
}

Status NamespaceOperations::Remove(InodeId parent, std::string_view name, ChangeKind kind) {
  RETURN_IF_ERROR(CheckName(name));
  RETURN_IF_ERROR(CheckNotReserved(name, ErrorCode::kPermission));
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<Entry> seen, core_.volume().Now().Lookup(parent, name));
    if (!seen) return NoSuchName(name);
    const InodeLocks::Exclusive lock(core_.locks(), {parent, seen->inode});
    ASSIGN_OR_RETURN(InodeAttributes directory, core_.LoadDirectory(parent));
    ASSIGN_OR_RETURN(const std::optional<Entry> entry, core_.volume().Now().Lookup(parent, name));
    if (!entry) return NoSuchName(name);
    if (entry->inode != seen->inode) continue;  // renamed over before the locks were had

    ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(entry->inode));
    const bool is_directory = S_ISDIR(attributes.mode);
    if (kind == ChangeKind::kUnlink && is_directory) {
      return Error(ErrorCode::kIsDirectory, "'" + std::string(name) + "' is a directory");
    }
    if (kind == ChangeKind::kRemoveDirectory && !is_directory) {
      return Error(ErrorCode::kNotDirectory, "'" + std::string(name) + "' is not a directory");
    }
    if (is_directory) {
      ASSIGN_OR_RETURN(const bool empty, core_.volume().Now().IsEmptyDirectory(entry->inode));
      if (!empty) {
        return Error(ErrorCode::kNotEmpty, "'" + std::string(name) + "' is not empty");
      }
    }
    RETURN_IF_ERROR(core_.Cut(entry->inode));
    const TimeNs now = core_.Now();
    directory.size -= 1;
    if (is_directory) directory.nlink -= 1;
    directory.mtime_ns = directory.ctime_ns = now;
    Change change;
    change.kind = kind;
    change.operations.push_back(RemoveEntry{parent, std::string(name)});
    AppendUnlinked(entry->inode, std::move(attributes), parent, now, change);
    change.operations.push_back(PutInode{parent, std::move(directory)});
    RETURN_IF_ERROR(core_.Commit(std::move(change)));
    if (FileState* state = core_.states().Find(entry->inode)) core_.states().DropIfIdle(*state);
    return {};
  }
}

}  // namespace varve
