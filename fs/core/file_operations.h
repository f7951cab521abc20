// Operations on files: open, read, write, cut, truncate, holes. Arguments are inodes of the present
// or open files of now and then.
#pragma once

#include "fs/core/core.h"
#include "fs/core/open_files.h"

namespace varve {

class FileOperations {
 public:
  explicit FileOperations(Core& core) : core_(core) {}

  Result<InodeAttributes> GetAttributes(InodeId inode);
  Result<InodeAttributes> Set(InodeId inode, const SetAttributes& set, const Caller& caller);

  // Honours O_TRUNC.
  Result<OpenResult> Open(InodeId inode, int open_flags, const Caller& caller);
  // Of an inode just made, whose state counts the handle already.
  OpenResult OpenMade(InodeId inode, int open_flags);
  OpenResult OpenPast(InodeId inode, const InodeAttributes& attributes, Lsn at);
  // Counts one more user of a directory, so that it outlives its removal.
  Status Hold(InodeId inode);
  // One user fewer; an inode without names goes with the last.
  void Unhold(InodeId inode);

  Result<std::size_t> Read(FileHandle handle, std::uint64_t offset, MutableByteSpan out);
  Result<WriteResult> Write(FileHandle handle, std::uint64_t offset, ByteSpan bytes,
                            const Caller& caller, int flags);
  Result<WriteResult> WritePages(FileHandle handle, std::uint64_t offset, ByteSpan bytes);
  void Answered(FileHandle handle, std::uint64_t offset, std::uint64_t length);
  Status Flush(FileHandle handle);
  void Release(FileHandle handle);
  Status Sync(FileHandle handle);
  Status Allocate(FileHandle handle, AllocateMode mode, std::uint64_t offset, std::uint64_t length);
  using FileRange = Filesystem::FileRange;
  Result<std::uint64_t> CopyRange(const FileRange& from, const FileRange& to, std::uint64_t length);
  Result<std::uint64_t> SeekTo(FileHandle handle, Filesystem::Seek what, std::uint64_t offset);

 private:
  // Which way the kernel shall go is decided here. Under the exclusive lock.
  OpenResult AddHandle(FileState& state, int open_flags);
  // Whether writes of a new handle may pass the kernel's cache by. Under the exclusive lock.
  bool MayWriteDirectly(const FileState& state, int open_flags);
  enum class Origin { kCall, kPages };
  Result<WriteResult> WriteFrom(Origin origin, FileHandle handle, std::uint64_t offset,
                                ByteSpan bytes, const Caller& caller, int flags);
  // The bytes become dirty, but for those of direct writes that are not answered. Under the
  // exclusive lock.
  void AddPages(FileState& state, std::uint64_t offset, ByteSpan bytes);
  // What the kernel may hold of what a direct handle writes. Under the lock.
  static WriteResult::Stale StaleAfter(const OpenFile& file, const FileState& state);
  // A write or a truncation takes the file's capability. Under the exclusive lock.
  Status DropCapability(FileState& state);
  // Puts back, without a name, what only the kernel still knows, so that it can be opened again
  // (through /proc/self/fd, of a descriptor of O_PATH). It goes with the last close.
  Status Revive(InodeId inode);
  // One user fewer: `file`, or a directory's.
  void LetGo(InodeId inode, const OpenFile* file);
  Result<std::size_t> ReadPresent(const OpenFile& file, std::uint64_t offset, MutableByteSpan out);
  Result<std::size_t> ReadPast(const OpenFile& file, std::uint64_t offset, MutableByteSpan out);
  // Steps of CopyRange: the answer is how far they came, 0 when there is nothing to be done so.
  Result<std::uint64_t> CloneRange(const FileRange& from, const FileRange& to,
                                   std::uint64_t length);
  Result<std::uint64_t> CopyBytes(const FileRange& from, const FileRange& to, std::uint64_t length);
  Status CutAndSync(InodeId inode);
  // Sets *attributes to `size` and appends what that does to the body. Under the exclusive lock,
  // the file being clean.
  void AppendTruncate(std::uint64_t size, TimeNs now, InodeAttributes* attributes, Change& change);
  // Empties [from, to) of the body, in several changes if it is much; *attributes has the new
  // times.
  Status PunchHole(InodeId inode, const InodeAttributes& attributes, std::uint64_t from,
                   std::uint64_t to);

  Core& core_;
  HandleTable<OpenFile> files_;
};

}  // namespace varve
