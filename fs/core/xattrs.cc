#include "fs/core/xattrs.h"

#include <cerrno>
#include <utility>

#include "fs/core/attributes.h"

namespace varve {
namespace {

constexpr std::size_t kMaxXattrNameBytes = 255;
constexpr std::size_t kMaxXattrValueBytes = 64 * 1024;
constexpr std::string_view kTrusted = "trusted.";

Status CheckXattrName(std::string_view name) {
  if (name.size() > kMaxXattrNameBytes) {
    return Error(ErrorCode::kInvalidArgument, "an extended attribute's name has at most 255 bytes",
                 ERANGE);
  }
  if (IsAclName(name)) return {};
  for (std::string_view prefix : {"user.", "trusted.", "security."}) {
    if (!name.starts_with(prefix)) continue;
    if (name.size() > prefix.size() && name.find('\0') == std::string_view::npos) return {};
    return Error(ErrorCode::kInvalidArgument, "'" + std::string(name) + "' is no attribute's name");
  }
  return Error(
      ErrorCode::kUnsupported,
      "'" + std::string(name) + "': only user., trusted., security. and access lists are kept");
}

// What a removed inode is given is kept in memory.
Status CheckRoomToKeep(const FileState& state, const Change& change) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : state.kept_xattrs) {
    bytes += name.size() + (value ? value->size() : 0);
  }
  for (const Operation& operation : change.operations) {
    const auto* put = std::get_if<PutXattr>(&operation);
    if (put != nullptr) bytes += put->name.size() + put->value.size();
  }
  if (bytes <= 2 * kMaxXattrValueBytes) return {};
  return Error(ErrorCode::kNoSpace, "too many attributes of a removed inode");
}

// The kernel asks before it reads or writes one, but shows the names as they come.
void HideFrom(const Caller& caller, std::vector<std::string>& names) {
  if (caller.uid == 0) return;
  std::erase_if(names, [](const std::string& name) { return name.starts_with(kTrusted); });
}

}  // namespace

Error NoSuchXattr(std::string_view name) {
  return Error(ErrorCode::kNotFound, "there is no attribute '" + std::string(name) + "'", ENODATA);
}

Result<std::string> Xattrs::Get(InodeId inode, std::string_view name) {
  RETURN_IF_ERROR(CheckXattrName(name));
  const Gate::Visit visit = core_.BeginLook();
  const InodeLocks::Shared lock(core_.locks(), inode);
  ASSIGN_OR_RETURN(std::optional<std::string> value, core_.GetXattr(inode, name));
  if (!value) return NoSuchXattr(name);
  return *std::move(value);
}

Result<std::vector<std::string>> Xattrs::ListNames(InodeId inode, const Caller& caller) {
  const Gate::Visit visit = core_.BeginLook();
  const InodeLocks::Shared lock(core_.locks(), inode);
  ASSIGN_OR_RETURN(std::vector<std::string> names, core_.volume().Now().ListXattrs(inode));
  if (const FileState* state = core_.states().Find(inode); state != nullptr && state->removed) {
    for (const auto& [name, value] : state->kept_xattrs) {
      std::erase(names, name);
      if (value) names.push_back(name);
    }
  }
  HideFrom(caller, names);
  return names;
}

Result<std::string> Xattrs::GetThen(InodeId inode, Lsn at, std::string_view name) {
  RETURN_IF_ERROR(CheckXattrName(name));
  if (name == kCapabilityName) return NoSuchXattr(name);
  ASSIGN_OR_RETURN(const View view, core_.volume().At(at));
  ASSIGN_OR_RETURN(std::optional<std::string> value, view.GetXattr(inode, name));
  if (!value) return NoSuchXattr(name);
  return *std::move(value);
}

Result<std::vector<std::string>> Xattrs::ListNamesThen(InodeId inode, Lsn at,
                                                       const Caller& caller) {
  ASSIGN_OR_RETURN(const View view, core_.volume().At(at));
  ASSIGN_OR_RETURN(std::vector<std::string> names, view.ListXattrs(inode));
  std::erase(names, kCapabilityName);
  HideFrom(caller, names);
  return names;
}

Status Xattrs::Commit(InodeId inode, InodeAttributes attributes, Change change) {
  attributes.ctime_ns = core_.Now();
  FileState* state = core_.states().Find(inode);
  if (state != nullptr && state->removed) RETURN_IF_ERROR(CheckRoomToKeep(*state, change));
  change.kind = state != nullptr && state->IsDirty() ? ChangeKind::kWrite : ChangeKind::kXattr;
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
  ASSIGN_OR_RETURN(const std::optional<std::string> old, core_.GetXattr(inode, name));
  if (mode == XattrMode::kCreate && old) {
    return Error(ErrorCode::kExists, "attribute '" + std::string(name) + "' exists");
  }
  if (mode == XattrMode::kReplace && !old) return NoSuchXattr(name);
  if (old == value) return {};  // the same again is no change, and no version
  ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
  Change change;
  change.operations.push_back(PutXattr{inode, std::string(name), std::string(value)});
  return Commit(inode, std::move(attributes), std::move(change));
}

Status Xattrs::SetAcl(InodeId inode, std::string_view name, std::string_view value,
                      const Caller& caller) {
  ASSIGN_OR_RETURN(const Acl acl, ParseAcl(value));
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  RETURN_IF_ERROR(core_.volume().CheckSpace(value.size()));
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
  if (S_ISLNK(attributes.mode)) {
    return Error(ErrorCode::kUnsupported, "a symbolic link has no access control list");
  }
  const bool is_default = name == kDefaultAclName;
  if (is_default && !S_ISDIR(attributes.mode)) {
    return Error(ErrorCode::kPermission, "only directories have a default access control list");
  }
  const std::uint32_t mode_before = attributes.mode;
  bool keeps = !acl.empty();
  if (keeps && !is_default) {
    attributes.mode = (attributes.mode & ~0777U) | PermissionsOf(acl);
    if (caller.uid != 0 && !IsInGroup(caller, attributes.gid)) attributes.mode &= ~S_ISGID;
    keeps = !IsMinimal(acl);
  }
  const std::optional<std::string> kept =
      keeps ? std::optional<std::string>(EncodeAcl(acl)) : std::nullopt;
  ASSIGN_OR_RETURN(const std::optional<std::string> old, core_.GetXattr(inode, name));
  if (kept == old && attributes.mode == mode_before) return {};
  Change change;
  if (kept) {
    change.operations.push_back(PutXattr{inode, std::string(name), *kept});
  } else if (old) {
    change.operations.push_back(RemoveXattr{inode, std::string(name)});
  }
  core_.acls().Forget(inode);
  return Commit(inode, std::move(attributes), std::move(change));
}

Status Xattrs::Remove(InodeId inode, std::string_view name) {
  RETURN_IF_ERROR(CheckXattrName(name));
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  const InodeLocks::Exclusive lock(core_.locks(), {inode});
  ASSIGN_OR_RETURN(const std::optional<std::string> old, core_.GetXattr(inode, name));
  if (!old && IsAclName(name)) return {};  // that there shall be none is so already
  if (!old) return NoSuchXattr(name);
  ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
  Change change;
  change.operations.push_back(RemoveXattr{inode, std::string(name)});
  core_.acls().Forget(inode);
  return Commit(inode, std::move(attributes), std::move(change));
}

}  // namespace varve
