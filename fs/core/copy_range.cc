// FileOperations::CopyRange: copy_file_range(2). Where source and destination lie alike in their
// chunks, whole chunks are cloned: they come to point at the same extents. What is left over, at
// the ends or because the two lie differently, is copied byte by byte.
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "fs/core/attributes.h"
#include "fs/core/file_operations.h"

namespace varve {
namespace {

constexpr std::uint64_t kCopyBlockBytes = 1024 * 1024;
// A call that copies more bytes than this ends early; the caller goes on where it ended.
constexpr std::uint64_t kMaxCopiedBytes = 64 * 1024 * 1024;

// How many chunks of a copy of `length` bytes between chunk boundaries can be cloned. The last one
// may be cut short where both files end with it: what lies behind the end is a hole.
std::uint64_t WholeChunks(std::uint64_t length, bool to_both_ends) {
  return length / kChunkBytes + (to_both_ends && length % kChunkBytes != 0 ? 1 : 0);
}

}  // namespace

Result<std::uint64_t> FileOperations::CopyRange(const FileRange& from, const FileRange& to,
                                                std::uint64_t length) {
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> target, files_.Find(to.file));
  if (target->IsPast()) return PastIsReadOnly();
  if (to.offset > kMaxFileBytes || length > kMaxFileBytes - to.offset) {
    return Error(ErrorCode::kTooLarge, "a file ends at 2^63-1 bytes");
  }
  const bool alike = from.offset % kChunkBytes == to.offset % kChunkBytes;
  std::uint64_t done = 0;
  std::uint64_t copied_bytes = 0;
  while (done < length && copied_bytes < kMaxCopiedBytes) {
    const FileRange source{from.file, from.offset + done};
    const FileRange destination{to.file, to.offset + done};
    const std::uint64_t left = length - done;
    const std::uint64_t to_boundary = kChunkBytes - source.offset % kChunkBytes;
    Result<std::uint64_t> step = std::uint64_t{0};
    if (alike && to_boundary == kChunkBytes) step = CloneRange(source, destination, left);
    if (step.ok() && *step == 0) {
      step = CopyBytes(source, destination, std::min(left, alike ? to_boundary : kCopyBlockBytes));
      if (step.ok()) copied_bytes += *step;
    }
    if (!step.ok() && done == 0) return step;
    if (!step.ok() || *step == 0) break;  // what was copied before an error counts
    done += *step;
  }
  if (target->flags & (O_SYNC | O_DSYNC)) RETURN_IF_ERROR(CutAndSync(target->inode));
  return done;
}

Result<std::uint64_t> FileOperations::CopyBytes(const FileRange& from, const FileRange& to,
                                                std::uint64_t length) {
  ByteVector bytes(static_cast<std::size_t>(length));
  ASSIGN_OR_RETURN(const std::size_t count, Read(from.file, from.offset, bytes));
  if (count == 0) return std::uint64_t{0};
  // What the kernel has cached of the target it drops by itself, after the answer.
  ASSIGN_OR_RETURN(const WriteResult written,
                   Write(to.file, to.offset, ByteSpan(bytes).first(count), Caller(), 0));
  RETURN_IF_ERROR(written.status);
  return std::uint64_t{written.count};
}

Result<std::uint64_t> FileOperations::CloneRange(const FileRange& from, const FileRange& to,
                                                 std::uint64_t length) {
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> source, files_.Find(from.file));
  ASSIGN_OR_RETURN(const std::shared_ptr<OpenFile> target, files_.Find(to.file));
  // A clone of the past is made from the catalog, which must have come that far.
  if (source->IsPast()) RETURN_IF_ERROR(core_.volume().At(source->at));
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  RETURN_IF_ERROR(core_.CheckSpace(kBlockBytes));
  const InodeLocks::Exclusive lock(
      core_.locks(), {target->inode, source->IsPast() ? target->inode : source->inode});
  FileState* state = core_.states().Find(target->inode);
  CHECK(state != nullptr, "an open file has a state");
  if (!state->without_capability) RETURN_IF_ERROR(DropCapability(*state));
  InodeAttributes source_attributes = source->past;
  if (!source->IsPast()) {
    FileState* source_state = core_.states().Find(source->inode);
    CHECK(source_state != nullptr, "an open file has a state");
    RETURN_IF_ERROR(core_.CutState(*source_state));
    source_attributes = source_state->attributes;
  }
  if (from.offset >= source_attributes.size) return std::uint64_t{0};
  length = std::min(length, source_attributes.size - from.offset);
  InodeAttributes attributes = state->attributes;
  const bool to_both_ends =
      from.offset + length == source_attributes.size && to.offset + length >= attributes.size;
  const std::uint64_t count = std::min(WholeChunks(length, to_both_ends), kClonedTogether);
  if (count == 0) return std::uint64_t{0};
  if (!source->IsPast()) {
    RETURN_IF_ERROR(
        core_.volume().PrepareClone(source_attributes.body, from.offset / kChunkBytes, count));
  }
  length = std::min(length, count * kChunkBytes);

  attributes.sparse |= source_attributes.sparse || to.offset > attributes.size;
  attributes.size = std::max(attributes.size, to.offset + length);
  attributes.mtime_ns = attributes.ctime_ns = core_.Now();
  Change change;
  change.kind = ChangeKind::kWrite;
  change.operations.push_back(
      CloneChunks{source_attributes.body, source->IsPast() ? source->at : Lsn{},
                  from.offset / kChunkBytes, attributes.body, to.offset / kChunkBytes, count});
  change.operations.push_back(PutInode{target->inode, std::move(attributes)});
  RETURN_IF_ERROR(core_.CommitWithDirty(state, std::move(change)));
  return length;
}

}  // namespace varve
