// Small pure helpers: names, attributes as stat, errors said the same way everywhere.
#pragma once

#include <string>
#include <string_view>

#include "fs/core/filesystem.h"

namespace varve {

inline constexpr std::string_view kSnapshotsName = ".snapshots";
inline constexpr std::string_view kVersionsName = "versions";
inline constexpr std::uint64_t kMaxFileBytes = (1ULL << 63) - 1;
inline constexpr std::uint32_t kMaxLinks = 0x7fffffff;
inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::uint32_t kBlockBytes = 4096;  // what st_blocks is rounded up to
inline constexpr std::uint32_t kPreferredIoBytes = 64 * 1024;

// Of so many bytes, in units of 512.
blkcnt_t BlocksOf(std::uint64_t bytes);
// The blocks are those of a file without holes.
struct stat ToStat(InodeId inode, const InodeAttributes& attributes);
// Attributes of a node of the present.
NodeAttributes ToNode(InodeId inode, const InodeAttributes& attributes);

// kNotFound (empty), kNameTooLong, kInvalidArgument ('/', NUL, "." and "..").
Status CheckName(std::string_view name);

// Is `inode` the directory `ancestor` or somewhere below it, by the way its parents go? kCorrupt
// when they go round in a circle.
Result<bool> IsInTree(const View& view, InodeId inode, InodeId ancestor);

// The mode after `caller` has written to a file with these attributes: whoever is not root takes
// setuid and setgid from it. A setgid bit without the group's x survives in the hands of the group.
std::uint32_t ModeAfterWriteBy(const Caller& caller, const InodeAttributes& attributes);
// The same after it was given away, which takes them even if it was root's doing.
std::uint32_t ModeAfterChownBy(const Caller& caller, const InodeAttributes& attributes);
bool IsInGroup(const Caller& caller, std::uint32_t gid);

Error NoSuchName(std::string_view name);
Error NameExists(std::string_view name);
Error PastIsReadOnly();

}  // namespace varve
