// FileOperations: writes that pass the kernel's cache by, and what it holds beside them.
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "fs/core/file_operations.h"

namespace varve {
namespace {

// Of a file up to so large the kernel forgets all when it is opened for direct writes; of a larger
// one, what is written.
constexpr std::uint64_t kForgetWholeBytes = 1024 * 1024;

}  // namespace

bool FileOperations::MayWriteDirectly(const FileState& state, int open_flags) {
  if (core_.options().direct_writes == FilesystemOptions::DirectWrites::kNever ||
      (open_flags & O_ACCMODE) != O_WRONLY || state.cached_handles > 0 ||
      (state.attributes.mode & (S_ISUID | S_ISGID)) != 0 ||
      core_.options().kernel_cache == FilesystemOptions::KernelCache::kWriteBack) {
    return false;
  }
  const auto capability = core_.GetXattr(state.inode, kCapabilityName);
  return capability.ok() && !*capability;
}

OpenResult FileOperations::AddHandle(FileState& state, int open_flags) {
  auto file = std::make_shared<OpenFile>();
  file->inode = state.inode;
  file->flags = open_flags;
  file->direct = MayWriteDirectly(state, open_flags);
  OpenResult result;
  result.direct = file->direct;
  if (!file->direct) {
    state.cached_handles += 1;
    state.cached_opens += 1;
  } else if (state.cached_opens == 0 || state.attributes.size <= kForgetWholeBytes) {
    // The kernel forgets all of it before it gives the handle to anybody, and needs not be told of
    // each write.
    result.keep_cache = state.cached_opens == 0;
    file->forgot_at = state.cached_opens;
  }
  result.handle = files_.Add(std::move(file));
  return result;
}

Status FileOperations::DropCapability(FileState& state) {
  ASSIGN_OR_RETURN(const std::optional<std::string> value,
                   core_.GetXattr(state.inode, kCapabilityName));
  if (!value) return {};
  InodeAttributes attributes = state.attributes;
  attributes.ctime_ns = core_.Now();
  Change change;
  change.kind = state.IsDirty() ? ChangeKind::kWrite : ChangeKind::kXattr;
  change.operations.push_back(RemoveXattr{state.inode, std::string(kCapabilityName)});
  change.operations.push_back(PutInode{state.inode, std::move(attributes)});
  RETURN_IF_ERROR(core_.CommitWithDirty(&state, std::move(change)));
  return {};
}

WriteResult::Stale FileOperations::StaleAfter(const OpenFile& file, const FileState& state) {
  using enum WriteResult::Stale;
  if (!file.direct) return kNothing;
  if (state.cached_handles > 0) return kInUse;
  return file.forgot_at == state.cached_opens ? kNothing : kUnused;
}

void FileOperations::AddPages(FileState& state, std::uint64_t offset, ByteSpan bytes) {
  std::vector<FileState::Range> left_out = state.unanswered;
  std::sort(left_out.begin(), left_out.end(),
            [](const auto& a, const auto& b) { return a.from < b.from; });
  const std::uint64_t end = offset + bytes.size();
  std::uint64_t at = offset;
  const auto add_until = [&](std::uint64_t to) {
    if (at < to) core_.AddDirty(state, at, bytes.subspan(at - offset, to - at));
  };
  for (const FileState::Range& range : left_out) {
    add_until(std::min(range.from, end));
    at = std::max(at, range.to);
  }
  add_until(end);
}

void FileOperations::Answered(FileHandle handle, std::uint64_t offset, std::uint64_t length) {
  const Result<std::shared_ptr<OpenFile>> file = files_.Find(handle);
  if (!file.ok()) return;
  const Gate::Visit visit = core_.BeginLook();
  const InodeLocks::Exclusive lock(core_.locks(), {(*file)->inode});
  FileState* state = core_.states().Find((*file)->inode);
  CHECK(state != nullptr, "an open file has a state");
  const auto found = std::find_if(
      state->unanswered.begin(), state->unanswered.end(),
      [&](const auto& range) { return range.from == offset && range.to == offset + length; });
  if (found != state->unanswered.end()) state->unanswered.erase(found);
}

}  // namespace varve
