#include "store/base/result.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace varve {

std::string_view ToString(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kExists:
      return "exists";
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kPermission:
      return "permission denied";
    case ErrorCode::kNotDirectory:
      return "not a directory";
    case ErrorCode::kIsDirectory:
      return "is a directory";
    case ErrorCode::kNotEmpty:
      return "directory not empty";
    case ErrorCode::kNameTooLong:
      return "name too long";
    case ErrorCode::kTooLarge:
      return "too large";
    case ErrorCode::kNoSpace:
      return "no space left";
    case ErrorCode::kReadOnly:
      return "read-only";
    case ErrorCode::kUnsupported:
      return "not supported";
    case ErrorCode::kBusy:
      return "busy";
    case ErrorCode::kIo:
      return "input/output error";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kDataLost:
      return "data lost";
    case ErrorCode::kStale:
      return "stale";
    case ErrorCode::kDiskLost:
      return "disk lost";
    case ErrorCode::kTooFewDisks:
      return "too few disks";
    case ErrorCode::kCancelled:
      return "cancelled";
  }
  return "unknown error";
}

namespace {

ErrorCode CodeFromErrno(int os_errno) {
  switch (os_errno) {
    case ENOENT:
      return ErrorCode::kNotFound;
    case EEXIST:
      return ErrorCode::kExists;
    case EINVAL:
      return ErrorCode::kInvalidArgument;
    case EACCES:
    case EPERM:
      return ErrorCode::kPermission;
    case ENOTDIR:
      return ErrorCode::kNotDirectory;
    case EISDIR:
      return ErrorCode::kIsDirectory;
    case ENOTEMPTY:
      return ErrorCode::kNotEmpty;
    case ENAMETOOLONG:
      return ErrorCode::kNameTooLong;
    case EFBIG:
    case EOVERFLOW:
      return ErrorCode::kTooLarge;
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::kNoSpace;
    case EROFS:
      return ErrorCode::kReadOnly;
    case ENOTSUP:
      return ErrorCode::kUnsupported;
    case EBUSY:
    case EAGAIN:
      return ErrorCode::kBusy;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

Error Error::FromErrno(int os_errno, std::string what) {
  what += ": ";
  what += std::generic_category().message(os_errno);
  return Error(CodeFromErrno(os_errno), std::move(what), os_errno);
}

Error Error::In(std::string_view context) const {
  std::string text(context);
  text += ": ";
  text += message_;
  return Error(code_, std::move(text), os_errno_);
}

}  // namespace varve
