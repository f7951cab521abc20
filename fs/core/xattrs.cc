#include "fs/core/xattrs.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace varve {
namespace {

constexpr std::size_t kMaxXattrNameBytes = 255;
constexpr std::size_t kMaxXattrValueBytes = 64 * 1024;
constexpr std::string_view kCapability = "security.capability";

Status CheckXattrName(std::string_view name) {
  if (name.size() > kMaxXattrNameBytes) {
    return Error(ErrorCode::kInvalidArgument, "an extended attribute's name has at most 255 bytes",
                 ERANGE);
  }
  for (std::string_view prefix : {"user.", "trusted.", "security."}) {
    if (!name.starts_with(prefix)) continue;
    if (name.size() > prefix.size() && name.find('\0') == std::string_view::npos) return {};
    return Error(ErrorCode::kInvalidArgument, "'" + std::string(name) + "' is no attribute's name");
  }
  return Error(ErrorCode::kUnsupported,
               "'" + std::string(name) + "': only user., trusted. and security. are kept");
}

}  // namespace

Error NoSuchXattr(std::string_view name) {
  return Error(ErrorCode::kNotFound, "there is no attribute '" + std::string(name) + "'", ENODATA);
}

Result<std::string> Xattrs::Get(InodeId inode, std::string_view name) {
  RETURN_IF_ERROR(CheckXattrName(name));
  const Gate::Visit visit = core_.BeginLook();
  ASSIGN_OR_RETURN(std::optional<std::string> value, core_.volume().Now().GetXattr(inode, name));
  if (!value) return NoSuchXattr(name);
  return *std::move(value);
}

Result<std::vector<std::string>> Xattrs::ListNames(InodeId inode) {
  const Gate::Visit visit = core_.BeginLook();
  return core_.volume().Now().ListXattrs(inode);
}

Result<std::string> Xattrs::GetThen(InodeId inode, Lsn at, std::string_view name) {
  RETURN_IF_ERROR(CheckXattrName(name));
  if (name == kCapability) return NoSuchXattr(name);
  ASSIGN_OR_RETURN(const View view, core_.volume().At(at));
  ASSIGN_OR_RETURN(std::optional<std::string> value, view.GetXattr(inode, name));
  if (!value) return NoSuchXattr(name);
  return *std::move(value);
}

Result<std::vector<std::string>> Xattrs::ListNamesThen(InodeId inode, Lsn at) {
  ASSIGN_OR_RETURN(const View view, core_.volume().At(at));
  ASSIGN_OR_RETURN(std::vector<std::string> names, view.ListXattrs(inode));
  names.erase(std::remove(names.begin(), names.end(), kCapability), names.end());
  return names;
}

Status Xattrs::Commit(InodeId inode, Operation operation) {
  ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
  attributes.ctime_ns = core_.Now();
  FileState* state = core_.states().Find(inode);
  Change change;
  change.kind = state != nullptr && state->IsDirty() ? ChangeKind::kWrite : ChangeKind::kXattr;
  change.operations.push_back(std::move(operation));
  change.operations.push_back(PutInode{inode, std::move(attributes)});
  RETURN_IF_ERROR(core_.CommitWithDirty(state, std::move(change)));
  return {};
}

Status Xattrs::Set(InodeId inode, std::string_view name, std::string_view value, XattrMode mode) {
  RETURN_IF_ERROR(CheckXattrName(name));
  if (value.size() > kMaxXattrValueBytes) {
    return Error(ErrorCode::kTooLarge, "an extended attribute has at most 64 KiB", E2BIG);
  }
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  RETURN_IF_ERROR(core_.volume().CheckSpace(value.size()));
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  if (mode != XattrMode::kSet) {
    ASSIGN_OR_RETURN(const std::optional<std::string> old,
                     core_.volume().Now().GetXattr(inode, name));
    if (mode == XattrMode::kCreate && old) {
      return Error(ErrorCode::kExists, "attribute '" + std::string(name) + "' exists");
    }
    if (mode == XattrMode::kReplace && !old) return NoSuchXattr(name);
  }
  return Commit(inode, PutXattr{inode, std::string(name), std::string(value)});
}

Status Xattrs::Remove(InodeId inode, std::string_view name) {
  RETURN_IF_ERROR(CheckXattrName(name));
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  ASSIGN_OR_RETURN(const std::optional<std::string> old,
                   core_.volume().Now().GetXattr(inode, name));
  if (!old) return NoSuchXattr(name);
  return Commit(inode, RemoveXattr{inode, std::string(name)});
}

}  // namespace varve
