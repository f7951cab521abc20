#include "fs/core/acls.h"

#include <sys/stat.h>

#include <string>

namespace varve {

Result<std::optional<Acl>> Acls::Find(InodeId inode, std::string_view name) {
  std::optional<std::optional<std::string>> value = states_.KeptXattr(inode, name);
  if (!value) {
    ASSIGN_OR_RETURN(value, volume_.Now().GetXattr(inode, name));
  }
  if (!*value) return std::optional<Acl>();
  ASSIGN_OR_RETURN(Acl acl, ParseAcl(**value));
  return std::optional<Acl>(std::move(acl));
}

Result<std::uint32_t> Acls::Inherit(InodeId directory, InodeId inode, std::uint32_t mode,
                                    std::uint32_t umask, Change& change) {
  if (S_ISLNK(mode)) return mode;
  const std::uint32_t masked = mode & ~(umask & 0777);
  std::unordered_set<InodeId>& known = ShardOf(directory);
  if (known.contains(directory)) return masked;
  ASSIGN_OR_RETURN(const std::optional<Acl> defaults, Find(directory, kDefaultAclName));
  if (!defaults) {
    if (known.size() >= kMaxKnown) known.clear();
    known.insert(directory);
    return masked;
  }
  const InheritedAcl inherited = varve::Inherit(*defaults, mode);
  if (inherited.access) {
    change.operations.push_back(
        PutXattr{inode, std::string(kAccessAclName), EncodeAcl(*inherited.access)});
  }
  if (S_ISDIR(mode)) {
    change.operations.push_back(
        PutXattr{inode, std::string(kDefaultAclName), EncodeAcl(*defaults)});
  }
  return inherited.mode;
}

Status Acls::FollowMode(InodeId inode, std::uint32_t mode, Change& change) {
  ASSIGN_OR_RETURN(const std::optional<Acl> acl, Find(inode, kAccessAclName));
  if (!acl) return {};
  change.operations.push_back(
      PutXattr{inode, std::string(kAccessAclName), EncodeAcl(WithPermissions(*acl, mode))});
  return {};
}

void Acls::Forget(InodeId inode) { ShardOf(inode).erase(inode); }

void Acls::ForgetAll() {
  for (std::unordered_set<InodeId>& shard : without_default_) shard.clear();
}

}  // namespace varve
