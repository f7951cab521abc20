// Filesystem semantics over a Volume: inodes, open files, write buffers, the past. No FUSE, no SQL.
// fs/fuse translates each call one to one; tests call it directly.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/volume/rollback.h"
#include "store/volume/volume.h"

namespace varve {

// What the kernel calls a node. The present's nodes are their InodeId; nodes of the past and the
// directories of `.snapshots` have ids with bit 62 set, handed out while the kernel knows them.
using NodeId = StrongId<struct NodeIdTag>;
using FileHandle = StrongId<struct FileHandleTag>;

enum class SnapshotDirectory { kHidden, kVisible, kOwner, kOff };  // -o snapdir=

enum class AtimePolicy { kRelative, kNotDirectories, kNever };  // relatime, nodiratime, noatime

struct FilesystemOptions {
  SnapshotDirectory snapdir = SnapshotDirectory::kHidden;
  AtimePolicy atime = AtimePolicy::kRelative;
  std::uint64_t write_buffer_bytes = 128 * 1024 * 1024;  // dirty bytes over all files
  // As the volume's: what has been dirty for half as long is cut in the background.
  std::chrono::milliseconds commit_interval{1000};
  // With kWriteBack the kernel keeps sizes of its own, which nobody but itself can change.
  enum class KernelCache { kWriteThrough, kWriteBack } kernel_cache = KernelCache::kWriteThrough;
  // Whether files opened for writing only, alone, are written past the kernel's cache. Only for a
  // kernel that writes a mapping's dirty pages back before such a write: of one that does not, they
  // would come later and lay their old bytes over it.
  enum class DirectWrites { kNever, kAlone } direct_writes = DirectWrites::kNever;
  Clock* clock = &SystemClock();
};

// Who asks: root, unless said otherwise.
struct Caller {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t umask = 022;
  // Whether that group is among its others; asked only when it matters, for it costs.
  std::function<bool(std::uint32_t gid)> in_group = [](std::uint32_t) { return false; };
};

struct NodeAttributes {
  NodeId node;
  struct stat stat{};
  bool cacheable = true;  // may the kernel keep it for long? (false for .snapshots listings)
  // Another than the kernel knows of this node tells it to forget what it holds and begin anew.
  std::uint64_t generation = 0;
};

// The moment at which the attributes are set, the same for all of them.
inline constexpr TimeNs kTimeNow = std::numeric_limits<TimeNs>::min();

// Which fields of SetAttributes count.
struct SetAttributes {
  std::optional<std::uint32_t> mode;  // permission bits only
  std::optional<std::uint32_t> uid, gid;
  std::optional<std::uint64_t> size;
  std::optional<TimeNs> atime_ns, mtime_ns;  // or kTimeNow
  bool gives_away = false;                   // a chown, though uid and gid stay
};

struct DirectoryEntry {
  std::string name;
  NodeAttributes attributes;  // with List::kPlus; otherwise only node (0 if unknown), st_ino and
                              // st_mode's type
  std::uint64_t next = 0;     // offset to continue after this entry
};
enum class List { kNames, kPlus };

enum class RenameMode { kReplace, kNoReplace, kExchange };
enum class AllocateMode { kAllocate, kKeepSize, kPunchHole, kZeroRange, kZeroRangeKeepSize };
enum class SyncMode { kAll, kDataOnly };
enum class XattrMode { kSet, kCreate, kReplace };

struct OpenResult {
  FileHandle handle;
  bool keep_cache = true;     // what the kernel has cached of it is still true
  bool direct = false;        // the kernel shall pass writes on without putting them into its cache
  bool mode_changed = false;  // truncating took setuid or setgid, behind the kernel's back
};

struct WriteResult {
  std::size_t count = 0;  // bytes, all there were
  // What the kernel may hold of the bytes as they were, because the handle is direct. It must
  // forget them before it is told that they are written.
  enum class Stale {
    kNothing,
    kUnused,  // nobody has the file open who reads or maps it through the cache
    kInUse,   // somebody has: forgetting may wait for reads that wait for an answer
  };
  // Unless it is kNothing, Answered must be called when the kernel has forgotten them.
  Stale stale = Stale::kNothing;
  bool mode_changed = false;  // setuid or setgid went, behind the kernel's back
  // Not ok, with something to tell the kernel: the bytes are there to be read, and could not be
  // made durable. Without, that is the result itself.
  Status status;
};

// What the kernel must forget after a rollback; called without locks held.
struct Invalidations {
  std::vector<NodeId> nodes;
  struct Name {
    NodeId parent;
    std::string name;
  };
  std::vector<Name> names;
};

// A version of a file or a change below a directory.
struct LogRecord {
  Lsn lsn;
  TimeNs time_ns = 0;
  ChangeKind kind{};
  std::string path;        // from the mount's root, as of then
  std::uint64_t size = 0;  // of a file after it
  std::uint32_t mode = 0;
  bool deleted = false;  // the name meant nothing after it
};

// Thread-safe. Each present inode that is open or dirty has a state with its own lock; the order of
// locks is in docs/LOCKS.md. Errors carry the errno's meaning in their code; where that is too
// coarse os_errno() says it exactly, and fs/fuse prefers it when it is not 0: ENODATA (kNotFound of
// an extended attribute), ENXIO (SeekTo past the end), EMLINK, EPERM (a second name for a
// directory), E2BIG and ERANGE (attributes' values and names). A node that is no more is kStale, so
// kNotFound always speaks of a name.
class Filesystem {
 public:
  Filesystem(Volume& volume, const FilesystemOptions& options);
  ~Filesystem();  // flushes nothing: call Flush(all) through Shutdown first
  // Cuts every dirty file into the volume and makes it durable. Further writes fail kReadOnly.
  Status Shutdown();

  // --- Nodes. Lookup, Create, Mkdir, ... and List::kPlus each count one kernel reference. ---
  Result<NodeAttributes> Lookup(NodeId parent, std::string_view name, const Caller& caller);
  void Forget(NodeId node, std::uint64_t count);
  Result<NodeAttributes> GetAttributes(NodeId node);
  Result<NodeAttributes> Set(NodeId node, const SetAttributes& set, const Caller& caller);
  Result<std::string> ReadLink(NodeId node);

  Result<NodeAttributes> MakeNode(NodeId parent, std::string_view name, std::uint32_t mode,
                                  std::uint64_t rdev, const Caller& caller);
  Result<NodeAttributes> MakeDirectory(NodeId parent, std::string_view name, std::uint32_t mode,
                                       const Caller& caller);
  Result<NodeAttributes> Symlink(NodeId parent, std::string_view name, std::string_view target,
                                 const Caller& caller);
  Result<NodeAttributes> Link(NodeId node, NodeId new_parent, std::string_view new_name);
  Status Unlink(NodeId parent, std::string_view name);
  Status RemoveDirectory(NodeId parent, std::string_view name);
  Status Rename(NodeId parent, std::string_view name, NodeId new_parent, std::string_view new_name,
                RenameMode mode);

  // --- Files. open_flags as open(2); O_TRUNC is honoured. ---
  struct CreateResult {
    NodeAttributes attributes;
    OpenResult open;
  };
  Result<CreateResult> Create(NodeId parent, std::string_view name, std::uint32_t mode,
                              int open_flags, const Caller& caller);
  // O_TMPFILE: a file without a name, until Link gives it one. Counts a kernel reference too.
  Result<CreateResult> CreateNameless(NodeId parent, std::uint32_t mode, int open_flags,
                                      const Caller& caller);
  Result<OpenResult> Open(NodeId node, int open_flags, const Caller& caller = {});
  // Fills out; the answer is the bytes read, fewer only at the end of the file.
  Result<std::size_t> Read(FileHandle handle, std::uint64_t offset, MutableByteSpan out);
  // `flags` are those of this call: O_SYNC or O_DSYNC make it durable, as at opening.
  Result<WriteResult> Write(FileHandle handle, std::uint64_t offset, ByteSpan bytes,
                            const Caller& caller = {}, int flags = 0);
  // Pages of a mapping, or of a cache that writes back, which the kernel writes when it likes.
  // Bytes of direct writes that wait for Answered are left out: the pages were filled before.
  Result<WriteResult> WritePages(FileHandle handle, std::uint64_t offset, ByteSpan bytes);
  // The kernel holds nothing old any more of a write of these bytes by this handle.
  void Answered(FileHandle handle, std::uint64_t offset, std::uint64_t length);
  // close(2) of one descriptor: the version cut, if anything was written.
  Status Flush(FileHandle handle);
  void Release(FileHandle handle);
  Status Sync(FileHandle handle, SyncMode mode);
  Status Allocate(FileHandle handle, AllocateMode mode, std::uint64_t offset, std::uint64_t length);
  // copy_file_range(2): the answer is the bytes copied, fewer than `length` at the source's end or
  // after a good part of a long copy. Whole chunks that lie alike in both are cloned, at a cost
  // that does not depend on their number; from a file of the past too.
  struct FileRange {
    FileHandle file;
    std::uint64_t offset = 0;
  };
  Result<std::uint64_t> CopyRange(const FileRange& from, const FileRange& to, std::uint64_t length);
  enum class Seek { kData, kHole };
  Result<std::uint64_t> SeekTo(FileHandle handle, Seek what, std::uint64_t offset);

  // --- Directories ---
  Result<FileHandle> OpenDirectory(NodeId node);
  // Entries after `offset` (0: the beginning, with "." and ".."), until `visit` answers false (the
  // entry refused is not counted as looked up).
  Status ListDirectory(FileHandle handle, std::uint64_t offset, List list,
                       const std::function<bool(const DirectoryEntry&)>& visit);
  void ReleaseDirectory(FileHandle handle);
  Status SyncDirectory(NodeId node);

  // --- Extended attributes: user., trusted. and security. of any value; system.posix_acl_access
  // and system.posix_acl_default, checked, and one with the mode (fs/core/acl.h) ---
  Result<std::string> GetXattr(NodeId node, std::string_view name);
  // Without those that only root may see, for others.
  Result<std::vector<std::string>> ListXattrs(NodeId node, const Caller& caller = {});
  Status SetXattr(NodeId node, std::string_view name, std::string_view value, XattrMode mode,
                  const Caller& caller = {});
  Status RemoveXattr(NodeId node, std::string_view name);

  Result<struct statvfs> StatFs();

  // --- The past, for the command line (paths are relative to the mount's root, "/" separated) ---
  // Resolves any form of WHEN (fs/core/when.h), snapshots' names included.
  Result<Lsn> ResolveWhen(std::string_view when);
  // Rolls back what `path` names now (a file, a directory, "/" for all). All writers are held off
  // and dirty data cut first, so the state before it is a version too. Atomic, durable on return.
  struct RollbackResult {
    Lsn lsn;
    std::uint64_t changed = 0;
    // Paths of files that somebody has open and whose size has become another: the kernel must be
    // made to ask for it, by a look through the mount, when the caller holds nothing.
    std::vector<std::string> open_and_resized;
  };
  Result<RollbackResult> Rollback(std::string_view path, Lsn to);
  Status CreateSnapshot(std::string_view name);
  Status DeleteSnapshot(std::string_view name);
  Result<std::vector<SnapshotRecord>> Snapshots();
  // Versions of a file by that name, newest first, through renames onto it; or, for a directory,
  // the changes at or below it.
  Status Log(std::string_view path, const std::function<bool(const LogRecord&)>& visit);

  // Told to drop kernel caches after a rollback. Set once, before serving.
  void OnInvalidate(std::function<void(const Invalidations&)> callback);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
