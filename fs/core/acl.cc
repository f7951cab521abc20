#include "fs/core/acl.h"

#include <algorithm>

#include "store/base/bytes.h"

namespace varve {
namespace {

using Tag = AclEntry::Tag;

constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kAllPermissions = 07;

Error Invalid(std::string what) {
  return Error(ErrorCode::kInvalidArgument, "access control list: " + std::move(what));
}

bool IsNamed(const AclEntry& entry) { return entry.tag == Tag::kUser || entry.tag == Tag::kGroup; }

bool IsTag(std::uint16_t value) {
  switch (static_cast<Tag>(value)) {
    case Tag::kOwner:
    case Tag::kUser:
    case Tag::kOwningGroup:
    case Tag::kGroup:
    case Tag::kMask:
    case Tag::kOther:
      return true;
  }
  return false;
}

std::size_t Count(const Acl& acl, Tag tag) {
  return static_cast<std::size_t>(
      std::count_if(acl.begin(), acl.end(), [tag](const AclEntry& e) { return e.tag == tag; }));
}

Status Check(const Acl& acl) {
  for (const AclEntry& entry : acl) {
    if ((entry.permissions & ~kAllPermissions) != 0) return Invalid("permissions beyond rwx");
    if (IsNamed(entry) && entry.id == AclEntry::kNoId) return Invalid("an entry without an id");
  }
  if (!std::is_sorted(acl.begin(), acl.end(),
                      [](const AclEntry& a, const AclEntry& b) { return a.tag < b.tag; })) {
    return Invalid("entries out of order");
  }
  if (Count(acl, Tag::kOwner) != 1 || Count(acl, Tag::kOwningGroup) != 1 ||
      Count(acl, Tag::kOther) != 1) {
    return Invalid("one entry each is wanted for owner, group and others");
  }
  const std::size_t masks = Count(acl, Tag::kMask);
  if (masks > 1 || (masks == 0 && std::any_of(acl.begin(), acl.end(), IsNamed))) {
    return Invalid("one mask is wanted where somebody is named");
  }
  return {};
}

// Which digit of the mode the entry is: how far it is shifted. Nothing for those that a mode does
// not show.
std::optional<unsigned> ShiftOf(const AclEntry& entry, bool has_mask) {
  switch (entry.tag) {
    case Tag::kOwner:
      return 6;
    case Tag::kMask:
      return 3;
    case Tag::kOwningGroup:
      return has_mask ? std::nullopt : std::optional<unsigned>(3);
    case Tag::kOther:
      return 0;
    case Tag::kUser:
    case Tag::kGroup:
      break;
  }
  return std::nullopt;
}

}  // namespace

Result<Acl> ParseAcl(std::string_view bytes) {
  Decoder in(AsBytes(bytes));
  const std::uint32_t version = in.U32();
  if (!in.ok()) return Invalid("shorter than its header");
  if (version != kVersion) {
    return Error(ErrorCode::kUnsupported,
                 "access control list of version " + std::to_string(version));
  }
  Acl acl;
  while (in.remaining() > 0) {
    const std::uint16_t tag = in.U16();
    AclEntry entry;
    entry.permissions = in.U16();
    entry.id = in.U32();
    if (!in.ok()) return Invalid("half an entry");
    if (!IsTag(tag)) return Invalid("an unknown tag");
    entry.tag = static_cast<Tag>(tag);
    if (!IsNamed(entry)) entry.id = AclEntry::kNoId;
    acl.push_back(entry);
  }
  if (!acl.empty()) RETURN_IF_ERROR(Check(acl));
  return acl;
}

std::string EncodeAcl(const Acl& acl) {
  Encoder out;
  out.U32(kVersion);
  for (const AclEntry& entry : acl) {
    out.U16(static_cast<std::uint16_t>(entry.tag));
    out.U16(static_cast<std::uint16_t>(entry.permissions));
    out.U32(entry.id);
  }
  return std::string(AsText(out.bytes()));
}

std::uint32_t PermissionsOf(const Acl& acl) {
  const bool has_mask = Count(acl, Tag::kMask) > 0;
  std::uint32_t permissions = 0;
  for (const AclEntry& entry : acl) {
    if (const auto shift = ShiftOf(entry, has_mask)) permissions |= entry.permissions << *shift;
  }
  return permissions;
}

bool IsMinimal(const Acl& acl) {
  return std::none_of(acl.begin(), acl.end(), [](const AclEntry& entry) {
    return IsNamed(entry) || entry.tag == Tag::kMask;
  });
}

Acl WithPermissions(Acl acl, std::uint32_t mode) {
  const bool has_mask = Count(acl, Tag::kMask) > 0;
  for (AclEntry& entry : acl) {
    if (const auto shift = ShiftOf(entry, has_mask)) {
      entry.permissions = mode >> *shift & kAllPermissions;
    }
  }
  return acl;
}

Acl Limited(Acl acl, std::uint32_t permissions) {
  for (AclEntry& entry : acl) entry.permissions &= permissions;
  return acl;
}

InheritedAcl Inherit(const Acl& defaults, std::uint32_t mode) {
  const std::uint32_t permissions = PermissionsOf(defaults) & mode;
  InheritedAcl inherited;
  inherited.mode = (mode & ~0777U) | permissions;
  if (!IsMinimal(defaults)) inherited.access = WithPermissions(defaults, permissions);
  return inherited;
}

}  // namespace varve
