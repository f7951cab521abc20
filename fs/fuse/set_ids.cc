#include "fs/fuse/set_ids.h"

#include <algorithm>
#include <vector>

#include "fs/fuse/reply.h"

namespace varve {
namespace {

bool IsInGroup(fuse_req_t req, gid_t gid) {
  if (fuse_req_ctx(req)->gid == gid) return true;
  constexpr int kMaxGroups = 65536;  // as many as the kernel lets a process have
  std::vector<gid_t> groups(64);
  int count = fuse_req_getgroups(req, static_cast<int>(groups.size()), groups.data());
  if (count > static_cast<int>(groups.size())) {
    groups.resize(static_cast<std::size_t>(std::min(count, kMaxGroups)));
    count = fuse_req_getgroups(req, static_cast<int>(groups.size()), groups.data());
  }
  if (count <= 0) return false;  // the caller has gone, or has none
  const auto end = groups.begin() + std::min<std::ptrdiff_t>(count, std::ssize(groups));
  return std::find(groups.begin(), end, gid) != end;
}

}  // namespace

Result<std::optional<std::uint32_t>> ModeWhenTruncated(fuse_req_t req, Filesystem& filesystem,
                                                       NodeId node) {
  constexpr mode_t kSetIds = S_ISUID | S_ISGID;
  if (CallerOf(req).uid == 0) return std::optional<std::uint32_t>();
  ASSIGN_OR_RETURN(const NodeAttributes attributes, filesystem.GetAttributes(node));
  const mode_t mode = attributes.stat.st_mode;
  if (!S_ISREG(mode) || (mode & kSetIds) == 0) return std::optional<std::uint32_t>();
  const bool keeps_setgid = (mode & S_IXGRP) == 0 && IsInGroup(req, attributes.stat.st_gid);
  return std::optional<std::uint32_t>(mode & 07777 & ~(keeps_setgid ? S_ISUID : kSetIds));
}

}  // namespace varve
