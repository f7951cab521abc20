#include "fs/core/attributes.h"

namespace varve {
namespace {

timespec ToTimespec(TimeNs time_ns) {
  timespec time{};
  time.tv_sec = time_ns / kNsPerSecond;
  time.tv_nsec = time_ns % kNsPerSecond;
  if (time.tv_nsec < 0) {
    time.tv_nsec += kNsPerSecond;
    --time.tv_sec;
  }
  return time;
}

std::string Quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

}  // namespace

blkcnt_t BlocksOf(std::uint64_t bytes) {
  const std::uint64_t blocks = bytes / kBlockBytes + (bytes % kBlockBytes != 0);
  return static_cast<blkcnt_t>(blocks * (kBlockBytes / 512));
}

struct stat ToStat(InodeId inode, const InodeAttributes& attributes) {
  struct stat out{};
  out.st_ino = inode.value;
  out.st_mode = attributes.mode;
  out.st_nlink = attributes.nlink;
  out.st_uid = attributes.uid;
  out.st_gid = attributes.gid;
  out.st_rdev = attributes.rdev;
  out.st_size = static_cast<off_t>(attributes.size);
  out.st_blksize = kPreferredIoBytes;
  if (S_ISREG(attributes.mode)) {
    out.st_blocks = BlocksOf(attributes.size);
  }
  out.st_atim = ToTimespec(attributes.atime_ns);
  out.st_mtim = ToTimespec(attributes.mtime_ns);
  out.st_ctim = ToTimespec(attributes.ctime_ns);
  return out;
}

NodeAttributes ToNode(InodeId inode, const InodeAttributes& attributes) {
  return {NodeId(inode.value), ToStat(inode, attributes), true};
}

Status CheckName(std::string_view name) {
  if (name.empty()) return Error(ErrorCode::kNotFound, "the empty name");
  if (name.size() > kMaxNameBytes) {
    return Error(ErrorCode::kNameTooLong, "a name of " + std::to_string(name.size()) + " bytes");
  }
  if (name == "." || name == ".." || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return Error(ErrorCode::kInvalidArgument, "the name " + Quoted(name));
  }
  return {};
}

Result<bool> IsInTree(const View& view, InodeId inode, InodeId ancestor) {
  constexpr int kMaxDepth = 1 << 20;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    if (inode == ancestor) return true;
    if (inode == kRootInode) return false;
    ASSIGN_OR_RETURN(const std::optional<InodeAttributes> attributes, view.GetInode(inode));
    if (!attributes || attributes->parent == inode) return false;
    inode = attributes->parent;
  }
  return Error(ErrorCode::kCorrupt,
               "the parents of inode " + std::to_string(inode.value) + " go round in a circle");
}

bool IsInGroup(const Caller& caller, std::uint32_t gid) {
  return caller.gid == gid || caller.in_group(gid);
}

std::uint32_t ModeAfterWriteBy(const Caller& caller, const InodeAttributes& attributes) {
  const std::uint32_t mode = attributes.mode;
  if (caller.uid == 0 || !S_ISREG(mode) || (mode & (S_ISUID | S_ISGID)) == 0) return mode;
  std::uint32_t taken = S_ISUID;
  if ((mode & S_IXGRP) || ((mode & S_ISGID) && !IsInGroup(caller, attributes.gid))) {
    taken |= S_ISGID;
  }
  return mode & ~taken;
}

std::uint32_t ModeAfterChownBy(const Caller& caller, const InodeAttributes& attributes) {
  const std::uint32_t mode = ModeAfterWriteBy(caller, attributes);
  if (S_ISDIR(mode)) return mode;
  const std::uint32_t taken = (mode & S_IXGRP) != 0 ? S_ISUID | S_ISGID : S_ISUID;
  return mode & ~taken;
}

Error NoSuchName(std::string_view name) {
  return Error(ErrorCode::kNotFound, "there is no " + Quoted(name));
}

Error NameExists(std::string_view name) {
  return Error(ErrorCode::kExists, Quoted(name) + " exists");
}

Error PastIsReadOnly() { return Error(ErrorCode::kReadOnly, "the past cannot be changed"); }

}  // namespace varve
