// Callbacks about nodes: names, attributes, extended attributes.
#include <fuse_lowlevel.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "fs/fuse/reply.h"

// Flags of renameat2(2), for a libc that does not show them.

namespace varve::fuse_ops {
namespace {

constexpr std::string_view kSnapshotsName = ".snapshots";

// The nearest time that Varve can keep: the years 1677 to 2262.
TimeNs ToNs(const timespec& time) {
  constexpr TimeNs kMaxSeconds = std::numeric_limits<TimeNs>::max() / kNsPerSecond - 1;
  const TimeNs seconds = std::clamp<TimeNs>(time.tv_sec, -kMaxSeconds, kMaxSeconds);
  return seconds * kNsPerSecond + (seconds == time.tv_sec ? time.tv_nsec : 0);
}

constexpr int kSettable = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
                          FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
                          FUSE_SET_ATTR_CTIME;

SetAttributes ToSetAttributes(const struct stat& attr, int to_set) {
  SetAttributes set;
  if (to_set & FUSE_SET_ATTR_MODE) set.mode = attr.st_mode & 07777;
  if (to_set & FUSE_SET_ATTR_UID) set.uid = attr.st_uid;
  if (to_set & FUSE_SET_ATTR_GID) set.gid = attr.st_gid;
  // With a writeback cache chown of nothing, chown(path, -1, -1), sets the time of change alone.
  set.gives_away = (to_set & kSettable) == FUSE_SET_ATTR_CTIME;
  if (to_set & FUSE_SET_ATTR_SIZE) set.size = static_cast<std::uint64_t>(attr.st_size);
  if (to_set & FUSE_SET_ATTR_ATIME_NOW) set.atime_ns = kTimeNow;
  if (to_set & FUSE_SET_ATTR_MTIME_NOW) set.mtime_ns = kTimeNow;
  if ((to_set & FUSE_SET_ATTR_ATIME) && !set.atime_ns) set.atime_ns = ToNs(attr.st_atim);
  if ((to_set & FUSE_SET_ATTR_MTIME) && !set.mtime_ns) set.mtime_ns = ToNs(attr.st_mtim);
  return set;
}

// An answer of extended attributes: the length if `size` is 0, else the bytes or ERANGE.
void ReplyXattrBytes(fuse_req_t req, std::string_view bytes, std::size_t size) {
  if (size == 0) {
    fuse_reply_xattr(req, bytes.size());
  } else if (bytes.size() > size) {
    fuse_reply_err(req, ERANGE);
  } else {
    fuse_reply_buf(req, bytes.data(), bytes.size());
  }
}

}  // namespace

void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  AnswerLook(req, "lookup", [&](Filesystem& filesystem) {
    const NodeId parent_node(parent);
    auto result = filesystem.Lookup(parent_node, name, CallerOf(req));
    if (!result.ok() && result.error().code() == ErrorCode::kNotFound && !IsPast(parent_node) &&
        name != kSnapshotsName) {
      // That a name of the present means nothing is true until somebody creates it, through this
      // kernel or by a rollback that says so. What the past has no name for may be given one (a
      // snapshot), so there the answer is not kept.
      fuse_entry_param nothing{};
      nothing.entry_timeout = kCacheableSeconds;
      fuse_reply_entry(req, &nothing);
      return;
    }
    ReplyEntry(req, result);
  });
}

void Forget(fuse_req_t req, fuse_ino_t node, std::uint64_t count) {
  RequestScope scope;
  OperationsContext& context = ContextOf(req);
  try {
    context.filesystem->Forget(NodeId(node), count);
  } catch (const std::exception& exception) {
    LogEscaped(context, "forget", exception.what());
  }
  fuse_reply_none(req);
}

void ForgetMulti(fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
  RequestScope scope;
  OperationsContext& context = ContextOf(req);
  try {
    for (std::size_t i = 0; i < count; ++i) {
      context.filesystem->Forget(NodeId(forgets[i].ino), forgets[i].nlookup);
    }
  } catch (const std::exception& exception) {
    LogEscaped(context, "forget", exception.what());
  }
  fuse_reply_none(req);
}

void GetAttr(fuse_req_t req, fuse_ino_t node, fuse_file_info* /*file*/) {
  AnswerLook(req, "getattr", [&](Filesystem& filesystem) {
    ReplyAttributes(req, filesystem.GetAttributes(NodeId(node)));
  });
}

void SetAttr(fuse_req_t req, fuse_ino_t node, struct stat* attr, int to_set,
             fuse_file_info* /*file*/) {
  AnswerLook(req, "setattr", [&](Filesystem& filesystem) {
    ReplyAttributes(req,
                    filesystem.Set(NodeId(node), ToSetAttributes(*attr, to_set), CallerOf(req)));
  });
}

void ReadLink(fuse_req_t req, fuse_ino_t node) {
  AnswerLook(req, "readlink", [&](Filesystem& filesystem) {
    const auto target = filesystem.ReadLink(NodeId(node));
    if (!target.ok()) return ReplyError(req, target.error());
    fuse_reply_readlink(req, target->c_str());
  });
}

void MakeNode(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  AnswerLook(req, "mknod", [&](Filesystem& filesystem) {
    ReplyEntry(req, filesystem.MakeNode(NodeId(parent), name, mode, rdev, CallerOf(req)));
  });
}

void MakeDirectory(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  AnswerLook(req, "mkdir", [&](Filesystem& filesystem) {
    ReplyEntry(req, filesystem.MakeDirectory(NodeId(parent), name, mode, CallerOf(req)));
  });
}

void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Answer(req, "unlink", [&](Filesystem& filesystem) {
    ReplyStatus(req, filesystem.Unlink(NodeId(parent), name));
  });
}

void RemoveDirectory(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Answer(req, "rmdir", [&](Filesystem& filesystem) {
    ReplyStatus(req, filesystem.RemoveDirectory(NodeId(parent), name));
  });
}

void Symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  AnswerLook(req, "symlink", [&](Filesystem& filesystem) {
    ReplyEntry(req, filesystem.Symlink(NodeId(parent), name, target, CallerOf(req)));
  });
}

void Rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned int flags) {
  Answer(req, "rename", [&](Filesystem& filesystem) {
    RenameMode mode = RenameMode::kReplace;
    switch (flags) {
      case 0:
        break;
      case RENAME_NOREPLACE:
        mode = RenameMode::kNoReplace;
        break;
      case RENAME_EXCHANGE:
        mode = RenameMode::kExchange;
        break;
      default:
        fuse_reply_err(req, EINVAL);
        return;  // RENAME_WHITEOUT, or one yet to come
    }
    ReplyStatus(req, filesystem.Rename(NodeId(parent), name, NodeId(new_parent), new_name, mode));
  });
}

void Link(fuse_req_t req, fuse_ino_t node, fuse_ino_t new_parent, const char* new_name) {
  AnswerLook(req, "link", [&](Filesystem& filesystem) {
    ReplyEntry(req, filesystem.Link(NodeId(node), NodeId(new_parent), new_name));
  });
}

void StatFs(fuse_req_t req, fuse_ino_t /*node*/) {
  Answer(req, "statfs", [&](Filesystem& filesystem) {
    const auto result = filesystem.StatFs();
    if (!result.ok()) return ReplyError(req, result.error());
    fuse_reply_statfs(req, &*result);
  });
}

void SetXattr(fuse_req_t req, fuse_ino_t node, const char* name, const char* value,
              std::size_t size, int flags) {
  AnswerLook(req, "setxattr", [&](Filesystem& filesystem) {
    if ((flags & XATTR_CREATE) && (flags & XATTR_REPLACE)) {
      // It is there or it is not: one of the two wishes always fails.
      const auto old = filesystem.GetXattr(NodeId(node), name);
      fuse_reply_err(req, old.ok() ? EEXIST : XattrErrnoOf(old.error()));
      return;
    }
    XattrMode mode = XattrMode::kSet;
    if (flags & XATTR_CREATE) mode = XattrMode::kCreate;
    if (flags & XATTR_REPLACE) mode = XattrMode::kReplace;
    const Status status =
        filesystem.SetXattr(NodeId(node), name, {value, size}, mode, CallerOf(req));
    fuse_reply_err(req, status.ok() ? 0 : XattrErrnoOf(status.error()));
  });
}

void GetXattr(fuse_req_t req, fuse_ino_t node, const char* name, std::size_t size) {
  AnswerLook(req, "getxattr", [&](Filesystem& filesystem) {
    const auto value = filesystem.GetXattr(NodeId(node), name);
    if (!value.ok()) {
      fuse_reply_err(req, XattrErrnoOf(value.error()));
      return;
    }
    ReplyXattrBytes(req, *value, size);
  });
}

void ListXattr(fuse_req_t req, fuse_ino_t node, std::size_t size) {
  Answer(req, "listxattr", [&](Filesystem& filesystem) {
    const auto names = filesystem.ListXattrs(NodeId(node), CallerOf(req));
    if (!names.ok()) return ReplyError(req, names.error());
    std::string list;
    for (const std::string& name : *names) {
      list += name;
      list += '\0';
    }
    ReplyXattrBytes(req, list, size);
  });
}

void RemoveXattr(fuse_req_t req, fuse_ino_t node, const char* name) {
  Answer(req, "removexattr", [&](Filesystem& filesystem) {
    const Status status = filesystem.RemoveXattr(NodeId(node), name);
    fuse_reply_err(req, status.ok() ? 0 : XattrErrnoOf(status.error()));
  });
}

}  // namespace varve::fuse_ops
