#include "fs/core/file_operations.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "fs/core/attributes.h"

namespace varve {
namespace {

// A file with this many bytes in full dirty chunks is streaming: they may go on their way.
constexpr std::uint64_t kStreamBytes = 4 * 1024 * 1024;

// A file up to so large that nobody has read since it was written is read anew when it is opened:
// what the kernel's cache answers, Varve does not hear of, and this is one request.
constexpr std::uint64_t kReadAnewBytes = 128 * 1024;

bool WantsToRead(int open_flags) {
  return (open_flags & O_ACCMODE) != O_WRONLY && (open_flags & O_NOATIME) == 0;
}
bool WantsToWrite(int open_flags) { return (open_flags & O_ACCMODE) != O_RDONLY; }

}  // namespace

Result<InodeAttributes> FileOperations::GetAttributes(InodeId inode) {
  const Gate::Visit visit = core_.BeginLook();
  const InodeLocks::Shared lock(core_.locks(), inode);
  return core_.Load(inode);
}

Status FileOperations::Revive(InodeId inode) {
  {
    const Gate::Visit look = core_.BeginLook();
    const InodeLocks::Shared lock(core_.locks(), inode);
    if (core_.CheckStored(inode).ok()) return {};
  }
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  FileState* state = core_.states().Find(inode);
  if (state == nullptr || !state->removed) return {};
  state->removed = false;
  Change change;
  change.operations.push_back(PutInode{inode, state->attributes});
  core_.AppendKeptXattrs(*state, change);
  const Result<Lsn> committed = core_.Commit(std::move(change));
  if (committed.ok()) {
    state->kept_xattrs.clear();
    return {};
  }
  state->removed = true;
  return committed.error();
}

Result<OpenResult> FileOperations::Open(InodeId inode, int open_flags, const Caller& caller) {
  RETURN_IF_ERROR(Revive(inode));
  const bool truncates = (open_flags & O_TRUNC) != 0;
  std::optional<Gate::Visit> visit;
  if (truncates) {
    ASSIGN_OR_RETURN(Gate::Visit change_visit, core_.BeginChange());
    visit.emplace(std::move(change_visit));
  } else {
    visit.emplace(core_.BeginLook());
  }
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
  if (S_ISDIR(attributes.mode) && (WantsToWrite(open_flags) || truncates)) {
    return Error(ErrorCode::kIsDirectory, "a directory cannot be opened for writing");
  }
  if (!S_ISREG(attributes.mode)) {
    return Error(S_ISDIR(attributes.mode) ? ErrorCode::kIsDirectory : ErrorCode::kInvalidArgument,
                 "inode " + std::to_string(inode.value) + " is not a regular file");
  }
  RETURN_IF_ERROR(core_.CheckStored(inode));
  const std::uint32_t mode = attributes.mode;
  if (truncates) {
    RETURN_IF_ERROR(core_.Cut(inode));
    Change change;
    change.kind = ChangeKind::kTruncate;
    AppendTruncate(0, core_.Now(), &attributes, change);
    attributes.mode = ModeAfterWriteBy(caller, attributes);
    change.operations.push_back(PutInode{inode, attributes});
    RETURN_IF_ERROR(core_.CommitWithDirty(core_.states().Find(inode), std::move(change)));
  }
  FileState* state = core_.states().Find(inode);
  if (state == nullptr) {
    state = &core_.states().Make(inode, std::move(attributes), core_.volume().last_lsn());
  }
  state->handles += 1;
  const InodeAttributes& now = state->attributes;
  OpenResult result = AddHandle(*state, open_flags);
  result.mode_changed = now.mode != mode;
  if (!WantsToRead(open_flags)) return result;
  result.keep_cache = now.size == 0 || now.size > kReadAnewBytes || !core_.IsReadDue(inode, now);
  return result;
}

OpenResult FileOperations::OpenMade(InodeId inode, int open_flags) {
  const Gate::Visit visit = core_.BeginLook();
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  FileState* state = core_.states().Find(inode);
  CHECK(state != nullptr && state->handles > 0, "what was made open has a state");
  return AddHandle(*state, open_flags);
}

OpenResult FileOperations::OpenPast(InodeId inode, const InodeAttributes& attributes, Lsn at) {
  auto file = std::make_shared<OpenFile>();
  file->inode = inode;
  file->at = at;
  file->past = attributes;
  return {.handle = files_.Add(std::move(file))};
}

Status FileOperations::Hold(InodeId inode) {
  const Gate::Visit visit = core_.BeginLook();
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  FileState* state = core_.states().Find(inode);
  if (state == nullptr) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
    state = &core_.states().Make(inode, std::move(attributes), core_.volume().last_lsn());
  }
  state->handles += 1;
  return {};
}

void FileOperations::Unhold(InodeId inode) { LetGo(inode, nullptr); }

void FileOperations::LetGo(InodeId inode, const OpenFile* file) {
  const Gate::Visit visit(core_.writers());
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  FileState* state = core_.states().Find(inode);
  CHECK(state != nullptr && state->handles > 0, "released more often than opened");
  state->handles -= 1;
  if (file != nullptr && !file->direct) state->cached_handles -= 1;
  if (state->handles != 0) return;
  if (state->removed) return core_.states().DropIfIdle(*state);
  if (state->attributes.nlink == 0) {
    // Until the kernel forgets it, it can be opened anew, with what has been written to it.
    if (state->forgotten) core_.DropDirty(*state);
    if (!core_.refusing()) {
      Change change;
      change.operations.push_back(RemoveInode{inode});
      // A volume that cannot take this any more removes the orphan when it is next opened.
      const Status removed = [&]() -> Status {
        RETURN_IF_ERROR(core_.Commit(std::move(change)));
        return {};
      }();
      static_cast<void>(removed);
    }
    state->removed = true;
  } else if (!core_.refusing()) {
    // Pages of a mapping may be written after the last close. If the volume refuses them they stay
    // dirty, and the cutting thread tries again.
    static_cast<void>(core_.Cut(inode));
  }
  core_.states().DropIfIdle(*state);
}

void FileOperations::Release(FileHandle handle) {
  const std::shared_ptr<OpenFile> file = files_.Remove(handle);
  if (file != nullptr && !file->IsPast()) LetGo(file->inode, file.get());
}

Result<std::size_t> FileOperations::Read(FileHandle handle, std::uint64_t offset,
                                         MutableByteSpan out) {
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> file, files_.Find(handle));
  return file->IsPast() ? ReadPast(*file, offset, out) : ReadPresent(*file, offset, out);
}

Result<std::size_t> FileOperations::ReadPresent(const OpenFile& file, std::uint64_t offset,
                                                MutableByteSpan out) {
  const Gate::Visit visit = core_.BeginLook();
  const InodeLocks::Shared lock(core_.locks(), file.inode);
  const FileState* state = core_.states().Find(file.inode);
  CHECK(state != nullptr, "an open file has a state");
  if (WantsToRead(file.flags)) core_.NoteRead(file.inode, state->attributes);
  const std::uint64_t size = state->attributes.size;
  if (offset >= size) return std::size_t{0};
  out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size - offset)));
  if (!state->buffer.Covers(offset, out.size())) {
    RETURN_IF_ERROR(core_.volume().Now().Read(state->attributes.body, offset, out));
  }
  state->buffer.Overlay(offset, out);
  return out.size();
}

Result<std::size_t> FileOperations::ReadPast(const OpenFile& file, std::uint64_t offset,
                                             MutableByteSpan out) {
  if (offset >= file.past.size) return std::size_t{0};
  const std::uint64_t length = std::min<std::uint64_t>(out.size(), file.past.size - offset);
  out = out.first(static_cast<std::size_t>(length));
  ASSIGN_OR_RETURN(const View view, core_.volume().At(file.at));
  RETURN_IF_ERROR(view.Read(file.past.body, offset, out));
  return out.size();
}

Result<WriteResult> FileOperations::Write(FileHandle handle, std::uint64_t offset, ByteSpan bytes,
                                          const Caller& caller, int flags) {
  return WriteFrom(Origin::kCall, handle, offset, bytes, caller, flags);
}

Result<WriteResult> FileOperations::WritePages(FileHandle handle, std::uint64_t offset,
                                               ByteSpan bytes) {
  return WriteFrom(Origin::kPages, handle, offset, bytes, Caller(), 0);
}

Result<WriteResult> FileOperations::WriteFrom(Origin origin, FileHandle handle,
                                              std::uint64_t offset, ByteSpan bytes,
                                              const Caller& caller, int flags) {
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> file, files_.Find(handle));
  if (file->IsPast()) return PastIsReadOnly();
  WriteResult result;
  result.count = bytes.size();
  if (bytes.empty()) return result;
  if (offset > kMaxFileBytes || bytes.size() > kMaxFileBytes - offset) {
    return Error(ErrorCode::kTooLarge, "a file ends at 2^63-1 bytes");
  }
  {
    ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
    const std::uint64_t limit = core_.options().write_buffer_bytes;
    if (core_.dirty_bytes() + bytes.size() > limit) {
      RETURN_IF_ERROR(core_.CutDownTo(limit / 2));  // before, so that the limit holds on errors too
    }
    RETURN_IF_ERROR(core_.CheckSpace(bytes.size()));
    const InodeLocks::Exclusive lock(core_.locks(), {file->inode});
    FileState* state = core_.states().Find(file->inode);
    CHECK(state != nullptr, "an open file has a state");
    // Pages are nobody's; what they cost the file was seen to before.
    if (origin == Origin::kCall && !state->without_capability) {
      RETURN_IF_ERROR(DropCapability(*state));
    }
    result.stale = StaleAfter(*file, *state);
    if (origin == Origin::kPages) {
      AddPages(*state, offset, bytes);
    } else {
      core_.AddDirty(*state, offset, bytes);
    }
    state->attributes.sparse |= offset > state->attributes.size;
    state->attributes.size = std::max(state->attributes.size, offset + bytes.size());
    state->attributes.mtime_ns = state->attributes.ctime_ns = core_.Now();
    const std::uint32_t mode = ModeAfterWriteBy(caller, state->attributes);
    result.mode_changed = mode != state->attributes.mode;
    state->attributes.mode = mode;
    if (result.stale != WriteResult::Stale::kNothing) {
      state->unanswered.push_back({offset, offset + bytes.size()});
    }
    if (state->buffer.full_chunk_bytes() >= kStreamBytes) result.status = core_.Cut(file->inode);
  }
  if (result.status.ok() && ((file->flags | flags) & (O_SYNC | O_DSYNC)) != 0) {
    result.status = CutAndSync(file->inode);
  }
  const bool nothing_to_tell = result.stale == WriteResult::Stale::kNothing && !result.mode_changed;
  if (!result.status.ok() && nothing_to_tell) return result.status.error();
  return result;
}

Status FileOperations::Flush(FileHandle handle) {
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> file, files_.Find(handle));
  if (file->IsPast()) return {};
  {
    // Most closes find nothing to cut; they must not wait for those that write.
    const Gate::Visit visit = core_.BeginLook();
    const InodeLocks::Shared lock(core_.locks(), file->inode);
    const FileState* state = core_.states().Find(file->inode);
    if (state == nullptr || !state->IsDirty()) return {};
  }
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeLocks::Exclusive lock(core_.locks(), {file->inode});
  return core_.Cut(file->inode);
}

Status FileOperations::CutAndSync(InodeId inode) {
  Lsn lsn;
  {
    ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
    const InodeLocks::Exclusive lock(core_.locks(), {inode});
    RETURN_IF_ERROR(core_.Cut(inode));
    const FileState* state = core_.states().Find(inode);
    CHECK(state != nullptr, "an open file has a state");
    lsn = state->last_change;
  }
  return core_.volume().Sync(lsn);
}

Status FileOperations::Sync(FileHandle handle) {
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> file, files_.Find(handle));
  if (file->IsPast()) return {};
  return CutAndSync(file->inode);
}

Result<std::uint64_t> FileOperations::SeekTo(FileHandle handle, Filesystem::Seek what,
                                             std::uint64_t offset) {
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> file, files_.Find(handle));
  const auto seek = [&](const View& view,
                        const InodeAttributes& attributes) -> Result<std::uint64_t> {
    const Error beyond(ErrorCode::kInvalidArgument, "there is nothing at or after that offset",
                       ENXIO);
    if (offset >= attributes.size) return beyond;
    if (what == Filesystem::Seek::kHole) {
      return view.NextHole(attributes.body, offset, attributes.size);
    }
    ASSIGN_OR_RETURN(const std::uint64_t data,
                     view.NextData(attributes.body, offset, attributes.size));
    if (data >= attributes.size) return beyond;
    return data;
  };
  if (file->IsPast()) {
    ASSIGN_OR_RETURN(const View view, core_.volume().At(file->at));
    return seek(view, file->past);
  }
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeLocks::Exclusive lock(core_.locks(), {file->inode});
  FileState* state = core_.states().Find(file->inode);
  CHECK(state != nullptr, "an open file has a state");
  RETURN_IF_ERROR(core_.CutState(*state));
  return seek(core_.volume().Now(), state->attributes);
}

}  // namespace varve
