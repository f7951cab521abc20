// Filesystem: nodes, directories, extended attributes, the past. Sends each call to the part that
// knows how, for now or for then.
#include "fs/core/filesystem.h"

#include <utility>

#include "fs/core/filesystem_impl.h"

namespace varve {

Filesystem::Filesystem(Volume& volume, const FilesystemOptions& options)
    : impl_(std::make_unique<Impl>(volume, options)) {}

Filesystem::~Filesystem() = default;

Status Filesystem::Shutdown() {
  impl_->cutter.Stop();
  Status cut;
  {
    const Gate::Closure writers_wait(impl_->core.writers());
    cut = impl_->core.CutOlderThan(std::chrono::steady_clock::duration::zero());
    if (cut.ok() && !impl_->core.refusing()) impl_->core.CommitReadTimes();
    impl_->core.RefuseChanges();
  }
  const Status synced = impl_->core.volume().SyncAll();
  return cut.ok() ? synced : cut;
}

Result<NodeAttributes> Filesystem::Lookup(NodeId parent, std::string_view name,
                                          const Caller& caller) {
  if (IsPastNode(parent)) {
    ASSIGN_OR_RETURN(const PastNode node, impl_->past.Find(parent));
    if (name != "..") return impl_->past.Lookup(node, name);
    if (node.kind == PastNode::Kind::kSnapshots) return GetAttributes(NodeId(node.inode.value));
    ASSIGN_OR_RETURN(const PastNode above, impl_->past.ParentOf(node));
    return impl_->past.Lookup(above, ".");
  }
  const InodeId directory(parent.value);
  if (name == kSnapshotsName && impl_->core.options().snapdir != SnapshotDirectory::kOff) {
    return impl_->past.LookupSnapshots(directory, caller);
  }
  InodeId found = directory;
  if (name == "..") {
    ASSIGN_OR_RETURN(const InodeAttributes attributes, impl_->files.GetAttributes(directory));
    found = attributes.parent;
  } else if (name != ".") {
    RETURN_IF_ERROR(CheckName(name));
    const Gate::Visit visit = impl_->core.BeginLook();
    ASSIGN_OR_RETURN(const std::optional<Entry> entry,
                     impl_->core.volume().Now().Lookup(directory, name));
    if (!entry) return NoSuchName(name);
    found = entry->inode;
  }
  const Result<InodeAttributes> attributes = impl_->files.GetAttributes(found);
  if (attributes.ok()) return impl_->core.Describe(found, *attributes);
  // Removed between the two looks: then the name means nothing now.
  return attributes.error().code() == ErrorCode::kStale ? NoSuchName(name) : attributes.error();
}

void Filesystem::Forget(NodeId node, std::uint64_t count) {
  if (IsPastNode(node)) return impl_->past.Forget(node, count);
  impl_->core.Forget(InodeId(node.value));  // it has counted for us and means all of them
}

Result<NodeAttributes> Filesystem::GetAttributes(NodeId node) {
  if (!IsPastNode(node)) {
    const InodeId inode(node.value);
    ASSIGN_OR_RETURN(const InodeAttributes attributes, impl_->files.GetAttributes(inode));
    return impl_->core.Describe(inode, attributes);
  }
  ASSIGN_OR_RETURN(const PastNode past, impl_->past.Find(node));
  ASSIGN_OR_RETURN(const struct stat stat, impl_->past.GetStat(past));
  return NodeAttributes{node, stat, past.kind == PastNode::Kind::kThen};
}

Result<NodeAttributes> Filesystem::Set(NodeId node, const SetAttributes& set,
                                       const Caller& caller) {
  ASSIGN_OR_RETURN(const InodeId inode, impl_->Present(node));
  ASSIGN_OR_RETURN(const InodeAttributes attributes, impl_->files.Set(inode, set, caller));
  return impl_->core.Describe(inode, attributes);
}

Result<std::string> Filesystem::ReadLink(NodeId node) {
  InodeAttributes attributes;
  if (IsPastNode(node)) {
    ASSIGN_OR_RETURN(const PastNode past, impl_->past.Find(node));
    if (past.kind == PastNode::Kind::kThen) {
      ASSIGN_OR_RETURN(attributes, impl_->past.GetInode(past));
    }
  } else {
    ASSIGN_OR_RETURN(attributes, impl_->files.GetAttributes(InodeId(node.value)));
    impl_->core.NoteRead(InodeId(node.value), attributes);
  }
  if (!S_ISLNK(attributes.mode)) {
    return Error(ErrorCode::kInvalidArgument, "not a symbolic link");
  }
  return std::move(attributes.target);
}

Result<NodeAttributes> Filesystem::MakeNode(NodeId parent, std::string_view name,
                                            std::uint32_t mode, std::uint64_t rdev,
                                            const Caller& caller) {
  ASSIGN_OR_RETURN(const InodeId directory, impl_->Present(parent));
  if ((mode & S_IFMT) == 0) mode |= S_IFREG;  // mknod(2) without a type
  switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
      break;
    default:
      return Error(ErrorCode::kInvalidArgument, "no node of that type can be made");
  }
  NamespaceOperations::NewNode node;
  node.kind = S_ISREG(mode) ? ChangeKind::kCreate : ChangeKind::kMakeNode;
  node.mode = mode & (S_IFMT | 07777);
  node.rdev = rdev;
  ASSIGN_OR_RETURN(
      const NamespaceOperations::Made made,
      impl_->names.Make(directory, name, node, caller, NamespaceOperations::Handle::kNone));
  return Impl::ToNode(made);
}

Result<NodeAttributes> Filesystem::MakeDirectory(NodeId parent, std::string_view name,
                                                 std::uint32_t mode, const Caller& caller) {
  if (IsPastNode(parent)) {
    ASSIGN_OR_RETURN(const PastNode past, impl_->past.Find(parent));
    if (past.kind != PastNode::Kind::kSnapshots) return PastIsReadOnly();
    RETURN_IF_ERROR(impl_->history.CreateSnapshot(name));
    return impl_->past.Lookup(past, name);
  }
  NamespaceOperations::NewNode node;
  node.kind = ChangeKind::kMakeDirectory;
  node.mode = S_IFDIR | (mode & 07777);
  ASSIGN_OR_RETURN(const NamespaceOperations::Made made,
                   impl_->names.Make(InodeId(parent.value), name, node, caller,
                                     NamespaceOperations::Handle::kNone));
  return Impl::ToNode(made);
}

Result<NodeAttributes> Filesystem::Symlink(NodeId parent, std::string_view name,
                                           std::string_view target, const Caller& caller) {
  constexpr std::size_t kMaxTargetBytes = 4095;
  ASSIGN_OR_RETURN(const InodeId directory, impl_->Present(parent));
  if (target.empty()) return Error(ErrorCode::kNotFound, "a symbolic link to nothing");
  if (target.size() > kMaxTargetBytes) {
    return Error(ErrorCode::kNameTooLong, "a symbolic link's target has at most 4095 bytes");
  }
  NamespaceOperations::NewNode node;
  node.kind = ChangeKind::kSymlink;
  node.mode = S_IFLNK | 0777;
  node.target = target;
  ASSIGN_OR_RETURN(
      const NamespaceOperations::Made made,
      impl_->names.Make(directory, name, node, caller, NamespaceOperations::Handle::kNone));
  return Impl::ToNode(made);
}

Result<NodeAttributes> Filesystem::Link(NodeId node, NodeId new_parent, std::string_view new_name) {
  ASSIGN_OR_RETURN(const InodeId directory, impl_->Present(new_parent));
  ASSIGN_OR_RETURN(const InodeId inode, impl_->Present(node));
  ASSIGN_OR_RETURN(const NamespaceOperations::Made made,
                   impl_->names.Link(inode, directory, new_name));
  return impl_->core.Describe(made.inode, made.attributes);
}

Status Filesystem::Unlink(NodeId parent, std::string_view name) {
  ASSIGN_OR_RETURN(const InodeId directory, impl_->Present(parent));
  return impl_->names.Unlink(directory, name);
}

Status Filesystem::RemoveDirectory(NodeId parent, std::string_view name) {
  if (!IsPastNode(parent)) return impl_->names.RemoveDirectory(InodeId(parent.value), name);
  ASSIGN_OR_RETURN(const PastNode past, impl_->past.Find(parent));
  if (past.kind != PastNode::Kind::kSnapshots || name == kVersionsName) return PastIsReadOnly();
  return impl_->history.DeleteSnapshot(name);
}

Status Filesystem::Rename(NodeId parent, std::string_view name, NodeId new_parent,
                          std::string_view new_name, RenameMode mode) {
  ASSIGN_OR_RETURN(const InodeId from, impl_->Present(parent));
  ASSIGN_OR_RETURN(const InodeId to, impl_->Present(new_parent));
  return impl_->names.Rename(from, name, to, new_name, mode);
}

Result<FileHandle> Filesystem::OpenDirectory(NodeId node) {
  auto directory = std::make_shared<DirectoryHandle>();
  ASSIGN_OR_RETURN(const NodeAttributes attributes, GetAttributes(node));
  if (!S_ISDIR(attributes.stat.st_mode)) {
    return Error(ErrorCode::kNotDirectory, "node is not a directory");
  }
  if (IsPastNode(node)) {
    ASSIGN_OR_RETURN(directory->past, impl_->past.Find(node));
  } else {
    directory->inode = InodeId(node.value);
    RETURN_IF_ERROR(impl_->files.Hold(directory->inode));
  }
  return impl_->directories.Add(std::move(directory));
}

Status Filesystem::ListDirectory(FileHandle handle, std::uint64_t offset, List list,
                                 const std::function<bool(const DirectoryEntry&)>& visit) {
  ASSIGN_OR_RETURN(const std::shared_ptr<DirectoryHandle> directory,
                   impl_->directories.Find(handle));
  return impl_->listing.ListDirectory(*directory, offset, list, visit);
}

void Filesystem::ReleaseDirectory(FileHandle handle) {
  const std::shared_ptr<DirectoryHandle> directory = impl_->directories.Remove(handle);
  if (directory != nullptr && !directory->past) impl_->files.Unhold(directory->inode);
}

Status Filesystem::SyncDirectory(NodeId node) {
  return IsPastNode(node) ? Status() : impl_->core.volume().SyncAll();
}

Result<std::string> Filesystem::GetXattr(NodeId node, std::string_view name) {
  if (!IsPastNode(node)) return impl_->xattrs.Get(InodeId(node.value), name);
  ASSIGN_OR_RETURN(const PastNode past, impl_->past.Find(node));
  if (past.kind == PastNode::Kind::kThen) return impl_->xattrs.GetThen(past.inode, past.at, name);
  return impl_->past.GetXattr(past, name);
}

Result<std::vector<std::string>> Filesystem::ListXattrs(NodeId node, const Caller& caller) {
  if (!IsPastNode(node)) return impl_->xattrs.ListNames(InodeId(node.value), caller);
  ASSIGN_OR_RETURN(const PastNode past, impl_->past.Find(node));
  if (past.kind != PastNode::Kind::kThen) return std::vector<std::string>();
  return impl_->xattrs.ListNamesThen(past.inode, past.at, caller);
}

Status Filesystem::SetXattr(NodeId node, std::string_view name, std::string_view value,
                            XattrMode mode, const Caller& caller) {
  ASSIGN_OR_RETURN(const InodeId inode, impl_->Present(node));
  if (IsAclName(name)) return impl_->xattrs.SetAcl(inode, name, value, caller);
  return impl_->xattrs.Set(inode, name, value, mode);
}

Status Filesystem::RemoveXattr(NodeId node, std::string_view name) {
  ASSIGN_OR_RETURN(const InodeId inode, impl_->Present(node));
  return impl_->xattrs.Remove(inode, name);
}

Result<struct statvfs> Filesystem::StatFs() {
  constexpr fsfilcnt_t kManyInodes = 1ULL << 40;  // nothing limits them but space
  const VolumeStatus status = impl_->core.volume().status();
  struct statvfs out{};
  out.f_bsize = kPreferredIoBytes;
  out.f_frsize = kBlockBytes;
  out.f_blocks = status.capacity_bytes / kBlockBytes;
  out.f_bfree = out.f_bavail = status.available_bytes / kBlockBytes;
  out.f_files = out.f_ffree = out.f_favail = kManyInodes;
  out.f_namemax = kMaxNameBytes;
  if (status.read_only) out.f_flag |= ST_RDONLY;
  return out;
}

Result<Lsn> Filesystem::ResolveWhen(std::string_view when) { return impl_->history.Resolve(when); }

Result<Filesystem::RollbackResult> Filesystem::Rollback(std::string_view path, Lsn to) {
  ASSIGN_OR_RETURN(const RollbackOperation::Outcome outcome, impl_->rollback.Run(path, to));
  const std::function<void(const Invalidations&)> tell = *impl_->on_invalidate.Lock();
  if (tell) tell(outcome.invalidations);
  return outcome.result;
}

Status Filesystem::CreateSnapshot(std::string_view name) {
  return impl_->history.CreateSnapshot(name);
}

Status Filesystem::DeleteSnapshot(std::string_view name) {
  return impl_->history.DeleteSnapshot(name);
}

Result<std::vector<SnapshotRecord>> Filesystem::Snapshots() {
  return impl_->core.volume().Snapshots();
}

Status Filesystem::Log(std::string_view path, const std::function<bool(const LogRecord&)>& visit) {
  return impl_->history.Log(path, visit);
}

void Filesystem::OnInvalidate(std::function<void(const Invalidations&)> callback) {
  *impl_->on_invalidate.Lock() = std::move(callback);
}

}  // namespace varve
