// FileOperations: what sets attributes, sizes and holes.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "fs/core/attributes.h"
#include "fs/core/file_operations.h"

namespace varve {
namespace {

// So many chunks are emptied in one change; a larger hole takes several.
constexpr std::size_t kChunksPerChange = 4096;

Piece Hole(std::uint32_t from, std::uint32_t to) {
  Piece piece;
  piece.chunk_offset = from;
  piece.length = to - from;
  return piece;
}

bool TouchesSize(const InodeAttributes& attributes, const SetAttributes& set) {
  return set.size.has_value() && S_ISREG(attributes.mode);
}

// chown and truncate may cost a file its setuid and setgid bits; so may what sets nothing, for that
// is how the kernel says that a regular file is about to be written to. Of anything else it is a
// chown of nothing, of which the kernel has not asked whether the caller may.
Result<std::uint32_t> ModeWithoutPrivileges(const SetAttributes& set, const Caller& caller,
                                            const InodeAttributes& attributes) {
  if (set.uid || set.gid) return ModeAfterChownBy(caller, attributes);
  const bool sets_nothing = !(set.mode || set.size || set.atime_ns || set.mtime_ns);
  if (set.gives_away || (sets_nothing && !S_ISREG(attributes.mode))) {
    const std::uint32_t mode = ModeAfterChownBy(caller, attributes);
    if (mode == attributes.mode || caller.uid == 0 || caller.uid == attributes.uid) return mode;
    return Error(ErrorCode::kPermission, "only the owner takes setuid and setgid away", EPERM);
  }
  return set.size || sets_nothing ? ModeAfterWriteBy(caller, attributes) : attributes.mode;
}

}  // namespace

Result<InodeAttributes> FileOperations::Set(InodeId inode, const SetAttributes& set,
                                            const Caller& caller) {
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
  if (set.size && S_ISDIR(attributes.mode)) {
    return Error(ErrorCode::kIsDirectory, "a directory cannot be truncated");
  }
  if (set.size && !S_ISREG(attributes.mode)) {
    return Error(ErrorCode::kInvalidArgument, "only a regular file can be truncated");
  }
  if (set.size && *set.size > kMaxFileBytes) {
    return Error(ErrorCode::kTooLarge, "a file ends at 2^63-1 bytes");
  }
  FileState* state = core_.states().Find(inode);
  const TimeNs now = core_.Now();
  Change change;
  change.kind = ChangeKind::kAttributes;
  if (TouchesSize(attributes, set)) {
    RETURN_IF_ERROR(core_.CheckStored(inode));
    if (state != nullptr && !state->without_capability) RETURN_IF_ERROR(DropCapability(*state));
    // What was written before the truncation is a version.
    RETURN_IF_ERROR(core_.Cut(inode));
    change.kind = ChangeKind::kTruncate;
    AppendTruncate(*set.size, now, &attributes, change);
  } else if (state != nullptr && state->IsDirty()) {
    change.kind = ChangeKind::kWrite;  // one version with its final times, as cp -p leaves it
  }
  if (set.mode) {
    attributes.mode = (attributes.mode & S_IFMT) | (*set.mode & 07777);
    // The kernel has seen to it where it is a chmod; where a write takes setuid away it has not.
    if ((attributes.mode & S_ISGID) && caller.uid != 0 &&
        !IsInGroup(caller, set.gid.value_or(attributes.gid))) {
      attributes.mode &= ~S_ISGID;
    }
    RETURN_IF_ERROR(core_.acls().FollowMode(inode, attributes.mode, change));
  }
  ASSIGN_OR_RETURN(attributes.mode, ModeWithoutPrivileges(set, caller, attributes));
  if (set.uid) attributes.uid = *set.uid;
  if (set.gid) attributes.gid = *set.gid;
  if (set.atime_ns) core_.read_times().Forget(inode);
  if (set.atime_ns) attributes.atime_ns = *set.atime_ns == kTimeNow ? now : *set.atime_ns;
  if (set.mtime_ns) attributes.mtime_ns = *set.mtime_ns == kTimeNow ? now : *set.mtime_ns;
  attributes.ctime_ns = now;
  // After AppendTruncate: the dirty bytes of a file without a name are laid down before the cut.
  change.operations.push_back(PutInode{inode, attributes});
  RETURN_IF_ERROR(core_.CommitWithDirty(state, std::move(change)));
  return attributes;
}

void FileOperations::AppendTruncate(std::uint64_t size, TimeNs now, InodeAttributes* attributes,
                                    Change& change) {
  if (size == 0 && attributes->size > 0) {
    attributes->body = BodyId(core_.volume().AllocateId());
  } else if (size < attributes->size) {
    const ChunkIndex chunk = size / kChunkBytes;
    const auto within = static_cast<std::uint32_t>(size % kChunkBytes);
    if (within != 0) {
      change.operations.push_back(WriteChunk{attributes->body, chunk, {Hole(within, kChunkBytes)}});
    }
    change.operations.push_back(CutChunks{attributes->body, within != 0 ? chunk + 1 : chunk});
  }
  attributes->sparse = size != 0 && (attributes->sparse || size > attributes->size);
  attributes->size = size;
  attributes->mtime_ns = attributes->ctime_ns = now;
}

Status FileOperations::Allocate(FileHandle handle, AllocateMode mode, std::uint64_t offset,
                                std::uint64_t length) {
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> file, files_.Find(handle));
  if (file->IsPast()) return PastIsReadOnly();
  if (length == 0) return Error(ErrorCode::kInvalidArgument, "a range of no bytes");
  if (offset > kMaxFileBytes || length > kMaxFileBytes - offset) {
    return Error(ErrorCode::kTooLarge, "a file ends at 2^63-1 bytes");
  }
  const std::uint64_t end = offset + length;
  const bool allocates = mode == AllocateMode::kAllocate || mode == AllocateMode::kKeepSize;
  const bool grows = mode == AllocateMode::kAllocate || mode == AllocateMode::kZeroRange;
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  if (allocates) RETURN_IF_ERROR(core_.CheckSpace(length));
  const InodeLocks::Exclusive lock(core_.locks(), {file->inode});
  FileState* state = core_.states().Find(file->inode);
  CHECK(state != nullptr, "an open file has a state");
  if (!state->without_capability) RETURN_IF_ERROR(DropCapability(*state));
  const bool resizes = grows && end > state->attributes.size;
  if (allocates && !resizes && state->IsDirty()) {
    // Only the times move, and go on their way with what has been written.
    state->attributes.mtime_ns = state->attributes.ctime_ns = core_.Now();
    return {};
  }
  RETURN_IF_ERROR(core_.Cut(file->inode));

  InodeAttributes attributes = state->attributes;
  const std::uint64_t old_size = attributes.size;
  attributes.mtime_ns = attributes.ctime_ns = core_.Now();
  if (resizes) attributes.size = end;
  attributes.sparse |= resizes || !allocates;
  if (!allocates && offset < old_size) {
    return PunchHole(file->inode, attributes, offset, std::min(end, old_size));
  }
  Change change;
  change.kind = resizes ? ChangeKind::kTruncate : ChangeKind::kAttributes;
  change.operations.push_back(PutInode{file->inode, std::move(attributes)});
  RETURN_IF_ERROR(core_.CommitWithDirty(state, std::move(change)));
  return {};
}

Status FileOperations::PunchHole(InodeId inode, const InodeAttributes& attributes,
                                 std::uint64_t from, std::uint64_t to) {
  FileState* state = core_.states().Find(inode);
  // What is dirty of a file without a name was not cut before, but must not lie over the hole.
  RETURN_IF_ERROR(core_.CutState(*state));
  const View now = core_.volume().Now();
  Change change;
  change.kind = ChangeKind::kWrite;
  std::uint64_t at = from;
  while (at < to) {
    ASSIGN_OR_RETURN(at, now.NextData(attributes.body, at, to));
    if (at >= to) break;
    const ChunkIndex chunk = at / kChunkBytes;
    const std::uint64_t chunk_begin = chunk * kChunkBytes;
    const std::uint64_t hole_begin = std::max(from, chunk_begin);
    const std::uint64_t hole_end = std::min(to, chunk_begin + kChunkBytes);
    change.operations.push_back(
        WriteChunk{attributes.body,
                   chunk,
                   {Hole(static_cast<std::uint32_t>(hole_begin - chunk_begin),
                         static_cast<std::uint32_t>(hole_end - chunk_begin))}});
    at = hole_end;
    if (change.operations.size() == kChunksPerChange && at < to) {
      // Each step is a state of its own, with the size as it was.
      InodeAttributes step = attributes;
      step.size = state->attributes.size;
      change.operations.push_back(PutInode{inode, std::move(step)});
      RETURN_IF_ERROR(core_.Commit(std::move(change)));
      change = Change{};
      change.kind = ChangeKind::kWrite;
    }
  }
  change.operations.push_back(PutInode{inode, attributes});
  RETURN_IF_ERROR(core_.Commit(std::move(change)));
  return {};
}

}  // namespace varve
