// The table of callbacks, and what Varve and the kernel agree on.
#include "fs/fuse/operations.h"

#include <fuse_lowlevel.h>

#include <algorithm>

#include "fs/fuse/reply.h"

namespace varve {
namespace {

constexpr unsigned kMaxWriteBytes = 1024 * 1024;
constexpr unsigned kMaxReadaheadBytes = 4 * 1024 * 1024;
constexpr unsigned kMaxBackground = 64;

// All wishes are stated here, for libfuse's defaults differ between versions. Left out on purpose:
//   AUTO_INVAL_DATA     nobody writes behind Varve's back; it says what to forget (Invalidate)
//   POSIX_LOCKS, FLOCK_LOCKS   one kernel, one mount: it keeps the locks itself
//   HANDLE_KILLPRIV     of an older kind: root's writes would cost a file its setuid bit as well.
//                       HANDLE_KILLPRIV_V2 is asked for with a writeback cache, see
//                       CompleteGreeting
//   ASYNC_DIO           after a direct write by AIO or io_uring the kernel would not drop what a
//                       buffered reader has put into its cache meanwhile: stale bytes, for good
//   SPLICE_*            slower than copying, for what comes from memory
unsigned Wishes(const OperationsContext& context) {
  unsigned wishes = FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_DONT_MASK |
                    FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                    FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_POSIX_ACL | FUSE_CAP_EXPORT_SUPPORT;
  if (!context.writeback) return wishes;
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
  wishes |= FUSE_CAP_HANDLE_KILLPRIV_V2;
#endif
  wishes |= FUSE_CAP_WRITEBACK_CACHE;
  return wishes;
}

void Init(void* userdata, fuse_conn_info* connection) {
  auto& context = *static_cast<OperationsContext*>(userdata);
  connection->want = Wishes(context) & connection->capable;
  connection->max_write = kMaxWriteBytes;
  connection->max_readahead = std::min(connection->max_readahead, kMaxReadaheadBytes);
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kMaxBackground * 3 / 4;
  connection->time_gran = 1;
  try {
    if ((connection->capable & FUSE_CAP_WRITEBACK_CACHE) == 0 && context.writeback) {
      context.log("the kernel has no writeback cache; writing through");
    }
    context.on_ready();
  } catch (...) {
    LogEscaped(context, "init", "the kernel's greeting could not be passed on");
  }
}

fuse_lowlevel_ops MakeTable() {
  fuse_lowlevel_ops ops{};
  ops.init = Init;
  ops.lookup = fuse_ops::Lookup;
  ops.forget = fuse_ops::Forget;
  ops.forget_multi = fuse_ops::ForgetMulti;
  ops.getattr = fuse_ops::GetAttr;
  ops.setattr = fuse_ops::SetAttr;
  ops.readlink = fuse_ops::ReadLink;
  ops.mknod = fuse_ops::MakeNode;
  ops.mkdir = fuse_ops::MakeDirectory;
  ops.unlink = fuse_ops::Unlink;
  ops.rmdir = fuse_ops::RemoveDirectory;
  ops.symlink = fuse_ops::Symlink;
  ops.rename = fuse_ops::Rename;
  ops.link = fuse_ops::Link;
  ops.statfs = fuse_ops::StatFs;
  ops.setxattr = fuse_ops::SetXattr;
  ops.getxattr = fuse_ops::GetXattr;
  ops.listxattr = fuse_ops::ListXattr;
  ops.removexattr = fuse_ops::RemoveXattr;
  ops.create = fuse_ops::Create;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
  ops.tmpfile = fuse_ops::CreateNameless;  // O_TMPFILE; libfuse before does not know it
#endif
  ops.open = fuse_ops::Open;
  ops.read = fuse_ops::Read;
  ops.write = fuse_ops::Write;
  ops.flush = fuse_ops::Flush;
  ops.release = fuse_ops::Release;
  ops.fsync = fuse_ops::Fsync;
  ops.fallocate = fuse_ops::Allocate;
  ops.copy_file_range = fuse_ops::CopyRange;
  ops.lseek = fuse_ops::Seek;
  ops.opendir = fuse_ops::OpenDirectory;
  ops.readdir = fuse_ops::ReadDirectory;
  ops.readdirplus = fuse_ops::ReadDirectoryPlus;
  ops.releasedir = fuse_ops::ReleaseDirectory;
  ops.fsyncdir = fuse_ops::FsyncDirectory;
  return ops;
}

}  // namespace

const fuse_lowlevel_ops& FuseOperations() {
  static const fuse_lowlevel_ops table = MakeTable();
  return table;
}

}  // namespace varve
