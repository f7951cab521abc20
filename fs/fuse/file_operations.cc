// Callbacks about open files.
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "fs/fuse/reply.h"
#include "store/base/aligned_bytes.h"

namespace varve::fuse_ops {
namespace {

// The answer has 32 bits for what was copied, and not every kernel asks for less.
constexpr std::size_t kMostCopied = std::size_t{1} << 30;
constexpr std::size_t kReadBufferBytes = 1024 * 1024;

// Where replies to READ are put together: one buffer a thread, kept, for allocating a MiB anew each
// time costs more than filling it. The kernel never asks for more than that, but may one day.
MutableByteSpan ReadBuffer(std::size_t size, AlignedBytes& oversized) {
  if (size > kReadBufferBytes) {
    oversized = MakeAlignedBytes(size);
    return {oversized.get(), size};
  }
  thread_local const AlignedBytes buffer = MakeAlignedBytes(kReadBufferBytes);
  return {buffer.get(), size};
}

// With a writeback cache the kernel reads around what is written to a file opened for writing only,
// and finds the end for O_APPEND itself.
int OpenFlags(fuse_req_t req, const fuse_file_info& file) {
  int flags = file.flags;
  if (ContextOf(req).writeback) {
    if ((flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
    flags &= ~O_APPEND;
  }
  return flags;
}

void FillFileInfo(const OpenResult& open, fuse_file_info* file) {
  file->fh = open.handle.value;
  file->keep_cache = open.keep_cache ? 1 : 0;
  file->direct_io = open.direct ? 1 : 0;
  // Closing it can have nothing to cut: a round trip less for every file that is read.
  file->noflush = (file->flags & O_ACCMODE) == O_RDONLY ? 1 : 0;
}

void ReplyCreated(fuse_req_t req, Filesystem& filesystem,
                  const Result<Filesystem::CreateResult>& result, fuse_file_info* file) {
  if (!result.ok()) return ReplyError(req, result.error());
  FillFileInfo(result->open, file);
  const fuse_entry_param entry = ToEntry(result->attributes);
  if (fuse_reply_create(req, &entry, file) == -ENOENT) {
    filesystem.Release(result->open.handle);
    filesystem.Forget(result->attributes.node, 1);
  }
}

std::optional<AllocateMode> ToAllocateMode(int mode) {
  switch (mode) {
    case 0:
      return AllocateMode::kAllocate;
    case FALLOC_FL_KEEP_SIZE:
      return AllocateMode::kKeepSize;
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
      return AllocateMode::kPunchHole;
    case FALLOC_FL_ZERO_RANGE:
      return AllocateMode::kZeroRange;
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
      return AllocateMode::kZeroRangeKeepSize;
    default:
      return std::nullopt;
  }
}

}  // namespace

void Create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* file) {
  AnswerLook(req, "create", [&](Filesystem& filesystem) {
    ReplyCreated(
        req, filesystem,
        filesystem.Create(NodeId(parent), name, mode, OpenFlags(req, *file), CallerOf(req)), file);
  });
}

void CreateNameless(fuse_req_t req, fuse_ino_t parent, mode_t mode, fuse_file_info* file) {
  AnswerLook(req, "tmpfile", [&](Filesystem& filesystem) {
    ReplyCreated(
        req, filesystem,
        filesystem.CreateNameless(NodeId(parent), mode, OpenFlags(req, *file), CallerOf(req)),
        file);
  });
}

void Open(fuse_req_t req, fuse_ino_t node, fuse_file_info* file) {
  AnswerLook(req, "open", [&](Filesystem& filesystem) {
    const auto result = filesystem.Open(NodeId(node), OpenFlags(req, *file), CallerOf(req));
    if (!result.ok()) return ReplyError(req, result.error());
    FillFileInfo(*result, file);
    const auto answer = [&] {
      if (fuse_reply_open(req, file) == -ENOENT) filesystem.Release(result->handle);
    };
    if (!result->mode_changed) return answer();
    if (ContextOf(req).forget({.node = NodeId(node), .offset = -1}, answer)) return;
    filesystem.Release(result->handle);
    fuse_reply_none(req);
  });
}

void Read(fuse_req_t req, fuse_ino_t /*node*/, std::size_t size, off_t offset,
          fuse_file_info* file) {
  Answer(req, "read", [&](Filesystem& filesystem) {
    AlignedBytes oversized;
    const MutableByteSpan buffer = ReadBuffer(size, oversized);
    const auto count =
        filesystem.Read(FileHandle(file->fh), static_cast<std::uint64_t>(offset), buffer);
    if (!count.ok()) {
      ContextOf(req).log("read: " + count.error().message());
      return ReplyError(req, count.error());
    }
    fuse_reply_buf(req, reinterpret_cast<const char*>(buffer.data()), *count);
  });
}

void Write(fuse_req_t req, fuse_ino_t node, const char* bytes, std::size_t size, off_t offset,
           fuse_file_info* file) {
  Answer(req, "write", [&](Filesystem& filesystem) {
    // Pages that the kernel writes back are nobody's: setuid was seen to when they became dirty.
    const FileHandle handle(file->fh);
    const auto at = static_cast<std::uint64_t>(offset);
    const auto written = file->writepage ? filesystem.WritePages(handle, at, AsBytes({bytes, size}))
                                         : filesystem.Write(handle, at, AsBytes({bytes, size}),
                                                            CallerOf(req), file->flags);
    if (!written.ok()) return ReplyError(req, written.error());
    OperationsContext& context = ContextOf(req);
    // If only the mode is, the writer may hold the bytes locked in the kernel's cache.
    const bool bytes_fit = written->stale == WriteResult::Stale::kNothing;
    const StaleBytes stale{NodeId(node), bytes_fit ? -1 : offset, written->count};
    if (bytes_fit && !written->mode_changed) {
      fuse_reply_write(req, written->count);
      return;
    }
    const int failed = written->status.ok() ? 0 : ErrnoOf(written->status.error());
    const auto answer = [req, handle, at, stale, failed, &context] {
      const bool connected = context.forget(stale, [&] {
        context.filesystem->Answered(handle, at, stale.length);
        if (failed != 0) {
          fuse_reply_err(req, failed);
        } else {
          fuse_reply_write(req, stale.length);
        }
      });
      if (!connected) fuse_reply_none(req);
    };
    // A reader may come between, so one request at most waits here, and the others serve his.
    if (written->stale != WriteResult::Stale::kInUse && !context.forgets_here.test_and_set()) {
      answer();
      context.forgets_here.clear();
      return;
    }
    try {
      context.later(answer);
    } catch (...) {  // no memory: the caller hears EIO
      filesystem.Answered(handle, at, stale.length);
      throw;
    }
  });
}

void Flush(fuse_req_t req, fuse_ino_t /*node*/, fuse_file_info* file) {
  Answer(req, "flush",
         [&](Filesystem& filesystem) { ReplyStatus(req, filesystem.Flush(FileHandle(file->fh))); });
}

void Release(fuse_req_t req, fuse_ino_t /*node*/, fuse_file_info* file) {
  Answer(req, "release", [&](Filesystem& filesystem) {
    filesystem.Release(FileHandle(file->fh));
    fuse_reply_err(req, 0);
  });
}

void Fsync(fuse_req_t req, fuse_ino_t /*node*/, int data_only, fuse_file_info* file) {
  Answer(req, "fsync", [&](Filesystem& filesystem) {
    const SyncMode mode = data_only != 0 ? SyncMode::kDataOnly : SyncMode::kAll;
    ReplyStatus(req, filesystem.Sync(FileHandle(file->fh), mode));
  });
}

void Allocate(fuse_req_t req, fuse_ino_t /*node*/, int mode, off_t offset, off_t length,
              fuse_file_info* file) {
  Answer(req, "fallocate", [&](Filesystem& filesystem) {
    const auto allocate_mode = ToAllocateMode(mode);
    if (!allocate_mode) {
      fuse_reply_err(req, EOPNOTSUPP);
      return;
    }
    ReplyStatus(req, filesystem.Allocate(FileHandle(file->fh), *allocate_mode,
                                         static_cast<std::uint64_t>(offset),
                                         static_cast<std::uint64_t>(length)));
  });
}

void CopyRange(fuse_req_t req, fuse_ino_t /*from*/, off_t from_offset, fuse_file_info* from_file,
               fuse_ino_t /*to*/, off_t to_offset, fuse_file_info* to_file, std::size_t length,
               int flags) {
  Answer(req, "copy_file_range", [&](Filesystem& filesystem) {
    if (flags != 0) {
      fuse_reply_err(req, EINVAL);
      return;
    }
    const auto count =
        filesystem.CopyRange({FileHandle(from_file->fh), static_cast<std::uint64_t>(from_offset)},
                             {FileHandle(to_file->fh), static_cast<std::uint64_t>(to_offset)},
                             std::min(length, kMostCopied));
    if (!count.ok()) return ReplyError(req, count.error());
    fuse_reply_write(req, *count);
  });
}

void Seek(fuse_req_t req, fuse_ino_t /*node*/, off_t offset, int whence, fuse_file_info* file) {
  Answer(req, "lseek", [&](Filesystem& filesystem) {
    if (whence != SEEK_DATA && whence != SEEK_HOLE) {
      fuse_reply_err(req, EINVAL);  // the kernel does the others itself
      return;
    }
    const auto what = whence == SEEK_DATA ? Filesystem::Seek::kData : Filesystem::Seek::kHole;
    const auto found =
        filesystem.SeekTo(FileHandle(file->fh), what, static_cast<std::uint64_t>(offset));
    if (!found.ok()) {
      // Nothing there, or an offset at or past the end: lseek(2) has one errno for both.
      const bool beyond = found.error().os_errno() == ENXIO;
      fuse_reply_err(req, beyond ? ENXIO : ErrnoOf(found.error()));
      return;
    }
    fuse_reply_lseek(req, static_cast<off_t>(*found));
  });
}

}  // namespace varve::fuse_ops
