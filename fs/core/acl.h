// POSIX access control lists, as the kernel's extended attributes carry them, and the rules of
// POSIX 1003.1e (draft 17) that tie them to the mode. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace varve {

// The names they are kept under. The kernel checks and enforces them; what follows from them when
// the mode is changed or something is created is the filesystem's work.
inline constexpr std::string_view kAccessAclName = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAclName = "system.posix_acl_default";
inline bool IsAclName(std::string_view name) {
  return name == kAccessAclName || name == kDefaultAclName;
}

struct AclEntry {
  enum class Tag : std::uint16_t {
    kOwner = 0x01,
    kUser = 0x02,
    kOwningGroup = 0x04,
    kGroup = 0x08,
    kMask = 0x10,
    kOther = 0x20,
  };
  static constexpr std::uint32_t kNoId = 0xffffffff;

  Tag tag = Tag::kOther;
  std::uint32_t permissions = 0;  // of rwx, as one digit of a mode
  std::uint32_t id = kNoId;       // kUser and kGroup
  bool operator==(const AclEntry&) const = default;
};

// Sorted by tag; one each of owner, owning group and other; a mask if anybody is named.
using Acl = std::vector<AclEntry>;

// From the value of an attribute: version 2, little-endian, as linux/posix_acl_xattr.h has it. No
// entries are an empty list, which means that there shall be none. kUnsupported for another
// version, kInvalidArgument for everything the kernel does not take.
Result<Acl> ParseAcl(std::string_view bytes);
std::string EncodeAcl(const Acl& acl);

// The nine permission bits of the mode that goes with an access list: its mask, or the owning
// group's entry where there is none, are the middle three.
std::uint32_t PermissionsOf(const Acl& acl);
// It says nothing that a mode does not say, so it need not be kept.
bool IsMinimal(const Acl& acl);
// The access list after chmod to these permissions.
Acl WithPermissions(Acl acl, std::uint32_t mode);
// Nobody may do more than `permissions`, three bits: what a read-only place makes of a list.
Acl Limited(Acl acl, std::uint32_t permissions);

// What something new gets in a directory with the default list `defaults`.
struct InheritedAcl {
  std::uint32_t mode = 0;     // the mode asked for, with fewer permissions
  std::optional<Acl> access;  // unless the mode says it all
};
InheritedAcl Inherit(const Acl& defaults, std::uint32_t mode);

}  // namespace varve
