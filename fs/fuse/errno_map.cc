#include "fs/fuse/errno_map.h"

#include <cerrno>

namespace varve {

int ErrnoOf(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kNotFound:
      return ENOENT;
    case ErrorCode::kExists:
      return EEXIST;
    case ErrorCode::kInvalidArgument:
      return EINVAL;
    case ErrorCode::kPermission:
      return error.os_errno() == EPERM ? EPERM : EACCES;
    case ErrorCode::kNotDirectory:
      return ENOTDIR;
    case ErrorCode::kIsDirectory:
      return EISDIR;
    case ErrorCode::kNotEmpty:
      return ENOTEMPTY;
    case ErrorCode::kNameTooLong:
      return ENAMETOOLONG;
    case ErrorCode::kTooLarge:
      return error.os_errno() == EMLINK ? EMLINK : EFBIG;
    case ErrorCode::kNoSpace:
      return ENOSPC;
    case ErrorCode::kReadOnly:
      return EROFS;
    case ErrorCode::kUnsupported:
      return EOPNOTSUPP;
    case ErrorCode::kBusy:
      return EBUSY;
    case ErrorCode::kStale:
      return ESTALE;
    // What the disks could not do is one thing to a program: the bytes could not be had or kept.
    case ErrorCode::kIo:
    case ErrorCode::kCorrupt:
    case ErrorCode::kDataLost:
    case ErrorCode::kDiskLost:
    case ErrorCode::kTooFewDisks:
    case ErrorCode::kCancelled:
      return EIO;
  }
  return EIO;
}

int XattrErrnoOf(const Error& error) {
  if (error.code() == ErrorCode::kNotFound) return ENODATA;
  if (error.code() == ErrorCode::kTooLarge) return E2BIG;
  return ErrnoOf(error);
}

}  // namespace varve
