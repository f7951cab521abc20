// Filesystem: open files.
#include <fcntl.h>

#include <utility>

#include "fs/core/filesystem_impl.h"

namespace varve {

Result<Filesystem::CreateResult> Filesystem::Create(NodeId parent, std::string_view name,
                                                    std::uint32_t mode, int open_flags,
                                                    const Caller& caller) {
  ASSIGN_OR_RETURN(const InodeId directory, impl_->Present(parent));
  NamespaceOperations::NewNode node;
  node.mode = S_IFREG | (mode & 07777);
  const Result<NamespaceOperations::Made> made =
      impl_->names.Make(directory, name, node, caller, NamespaceOperations::Handle::kOpen);
  if (made.ok()) {
    return CreateResult{Impl::ToNode(*made),
                        impl_->files.OpenMade(made->inode, open_flags & ~O_TRUNC)};
  }
  const bool wanted_new = (open_flags & O_EXCL) != 0 || name == kSnapshotsName;
  if (made.error().code() != ErrorCode::kExists || wanted_new) return made.error();
  // Somebody else made it first, or a rollback brought it back. Whether the caller may open it is
  // for the kernel to say: it looks again and opens what it finds.
  return Error(ErrorCode::kStale, made.error().message());
}

Result<Filesystem::CreateResult> Filesystem::CreateNameless(NodeId parent, std::uint32_t mode,
                                                            int open_flags, const Caller& caller) {
  ASSIGN_OR_RETURN(const InodeId directory, impl_->Present(parent));
  NamespaceOperations::NewNode node;
  node.mode = S_IFREG | (mode & 07777);
  ASSIGN_OR_RETURN(const NamespaceOperations::Made made,
                   impl_->names.MakeNameless(directory, node, caller));
  return CreateResult{Impl::ToNode(made), impl_->files.OpenMade(made.inode, open_flags)};
}

Result<OpenResult> Filesystem::Open(NodeId node, int open_flags, const Caller& caller) {
  if (!IsPastNode(node)) return impl_->files.Open(InodeId(node.value), open_flags, caller);
  ASSIGN_OR_RETURN(const PastNode past, impl_->past.Find(node));
  if ((open_flags & O_ACCMODE) != O_RDONLY || (open_flags & O_TRUNC)) return PastIsReadOnly();
  if (past.kind != PastNode::Kind::kThen) {
    return Error(ErrorCode::kIsDirectory, "a directory of .snapshots");
  }
  ASSIGN_OR_RETURN(const InodeAttributes attributes, impl_->past.GetInode(past));
  if (!S_ISREG(attributes.mode)) {
    return Error(S_ISDIR(attributes.mode) ? ErrorCode::kIsDirectory : ErrorCode::kInvalidArgument,
                 "not a regular file");
  }
  return impl_->files.OpenPast(past.inode, attributes, past.at);
}

Result<std::size_t> Filesystem::Read(FileHandle handle, std::uint64_t offset, MutableByteSpan out) {
  return impl_->files.Read(handle, offset, out);
}

Result<WriteResult> Filesystem::Write(FileHandle handle, std::uint64_t offset, ByteSpan bytes,
                                      const Caller& caller, int flags) {
  return impl_->files.Write(handle, offset, bytes, caller, flags);
}

Result<WriteResult> Filesystem::WritePages(FileHandle handle, std::uint64_t offset,
                                           ByteSpan bytes) {
  return impl_->files.WritePages(handle, offset, bytes);
}

void Filesystem::Answered(FileHandle handle, std::uint64_t offset, std::uint64_t length) {
  impl_->files.Answered(handle, offset, length);
}

Status Filesystem::Flush(FileHandle handle) { return impl_->files.Flush(handle); }

void Filesystem::Release(FileHandle handle) { impl_->files.Release(handle); }

Status Filesystem::Sync(FileHandle handle, SyncMode) { return impl_->files.Sync(handle); }

Status Filesystem::Allocate(FileHandle handle, AllocateMode mode, std::uint64_t offset,
                            std::uint64_t length) {
  return impl_->files.Allocate(handle, mode, offset, length);
}

Result<std::uint64_t> Filesystem::CopyRange(const FileRange& from, const FileRange& to,
                                            std::uint64_t length) {
  return impl_->files.CopyRange(from, to, length);
}

Result<std::uint64_t> Filesystem::SeekTo(FileHandle handle, Seek what, std::uint64_t offset) {
  return impl_->files.SeekTo(handle, what, offset);
}

}  // namespace varve
