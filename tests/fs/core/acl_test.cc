// Access control lists by themselves: their bytes, and how they go with a mode. What is expected
// is what ext4 answers to setfacl and getfacl.
#include "fs/core/acl.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace varve {
namespace {

using Tag = AclEntry::Tag;

const Acl kMinimal{{Tag::kOwner, 6}, {Tag::kOwningGroup, 4}, {Tag::kOther, 0}};
const Acl kNamed{{Tag::kOwner, 7},      {Tag::kUser, 6, 1000}, {Tag::kOwningGroup, 5},
                 {Tag::kGroup, 4, 200}, {Tag::kMask, 7},       {Tag::kOther, 1}};

Acl Replaced(Acl acl, std::size_t index, const AclEntry& entry) {
  acl.at(index) = entry;
  return acl;
}

std::optional<ErrorCode> CodeOfParsing(std::string_view bytes) {
  const Result<Acl> acl = ParseAcl(bytes);
  return acl.ok() ? std::nullopt : std::optional<ErrorCode>(acl.error().code());
}

constexpr std::optional<ErrorCode> kInvalid = ErrorCode::kInvalidArgument;

TEST(Acl, ComesBackFromItsBytes) {
  for (const Acl& acl : {kMinimal, kNamed}) {
    const Result<Acl> parsed = ParseAcl(EncodeAcl(acl));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, acl);
  }
}

TEST(Acl, HasTheBytesThatTheKernelExpects) {
  using namespace std::string_view_literals;
  EXPECT_EQ(EncodeAcl(kMinimal),
            "\x02\0\0\0"
            "\x01\0\x06\0\xff\xff\xff\xff"
            "\x04\0\x04\0\xff\xff\xff\xff"
            "\x20\0\0\0\xff\xff\xff\xff"sv);
}

TEST(Acl, WithoutEntriesIsNone) {
  const Result<Acl> none = ParseAcl(EncodeAcl({}));
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
}

TEST(Acl, OfAnotherLengthOrVersionIsRefused) {
  const std::string good = EncodeAcl(kMinimal);
  EXPECT_EQ(CodeOfParsing(""), kInvalid);
  EXPECT_EQ(CodeOfParsing(good.substr(0, 3)), kInvalid);
  for (std::size_t length = 5; length < good.size(); ++length) {
    EXPECT_EQ(CodeOfParsing(good.substr(0, length)), kInvalid) << length;
  }
  EXPECT_EQ(CodeOfParsing(good + "x"), kInvalid);
  EXPECT_EQ(CodeOfParsing('\x01' + good.substr(1)), ErrorCode::kUnsupported);
}

TEST(Acl, MustNameEachOfTheThreeOnceAndInOrder) {
  for (std::size_t i = 0; i < kMinimal.size(); ++i) {
    Acl missing = kMinimal;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(CodeOfParsing(EncodeAcl(missing)), kInvalid) << i;
    Acl twice = kMinimal;
    twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), kMinimal[i]);
    EXPECT_EQ(CodeOfParsing(EncodeAcl(twice)), kInvalid) << i;
  }
  EXPECT_EQ(CodeOfParsing(EncodeAcl({kMinimal[1], kMinimal[0], kMinimal[2]})), kInvalid);
}

TEST(Acl, MustHaveAMaskWhereSomebodyIsNamed) {
  Acl unmasked = kNamed;
  unmasked.erase(unmasked.begin() + 4);
  EXPECT_EQ(CodeOfParsing(EncodeAcl(unmasked)), kInvalid);
  Acl masked = kMinimal;
  masked.insert(masked.begin() + 2, {Tag::kMask, 4});
  EXPECT_EQ(CodeOfParsing(EncodeAcl(masked)), std::nullopt) << "nobody need be named for a mask";
  masked.insert(masked.begin() + 2, {Tag::kMask, 4});
  EXPECT_EQ(CodeOfParsing(EncodeAcl(masked)), kInvalid);
}

TEST(Acl, RefusesStrangeTagsPermissionsAndIds) {
  EXPECT_EQ(CodeOfParsing(EncodeAcl(Replaced(kMinimal, 0, {static_cast<Tag>(0x40), 6}))), kInvalid);
  EXPECT_EQ(CodeOfParsing(EncodeAcl(Replaced(kMinimal, 2, {Tag::kOther, 8}))), kInvalid);
  EXPECT_EQ(CodeOfParsing(EncodeAcl(Replaced(kNamed, 1, {Tag::kUser, 6}))), kInvalid);
}

TEST(Acl, ForgetsIdsThatMeanNothing) {
  const Result<Acl> parsed = ParseAcl(EncodeAcl(Replaced(kMinimal, 0, {Tag::kOwner, 6, 17})));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, kMinimal);
}

TEST(Acl, ShowsItsMaskAsTheGroupsPermissions) {
  EXPECT_EQ(PermissionsOf(kMinimal), 0640u);
  EXPECT_EQ(PermissionsOf(kNamed), 0771u);
  EXPECT_TRUE(IsMinimal(kMinimal));
  EXPECT_FALSE(IsMinimal(kNamed));
}

TEST(Acl, FollowsChmodInTheMaskNotInTheOwningGroup) {
  const Acl changed = WithPermissions(kNamed, S_IFREG | 04640);
  EXPECT_EQ(PermissionsOf(changed), 0640u);
  EXPECT_EQ(changed[2], kNamed[2]);
  EXPECT_EQ(changed[1], kNamed[1]);
  EXPECT_EQ(changed[4], (AclEntry{Tag::kMask, 4}));
  EXPECT_EQ(WithPermissions(kMinimal, 0751)[1], (AclEntry{Tag::kOwningGroup, 5}));
}

TEST(Acl, InheritedGivesNoMoreThanIsAskedFor) {
  const InheritedAcl file = Inherit(kNamed, S_IFREG | 0666);
  EXPECT_EQ(file.mode, S_IFREG | 0660u);
  ASSERT_TRUE(file.access.has_value());
  EXPECT_EQ(*file.access, WithPermissions(kNamed, 0660));
  const InheritedAcl directory = Inherit(kNamed, S_IFDIR | S_ISGID | 0700);
  EXPECT_EQ(directory.mode, S_IFDIR | S_ISGID | 0700u);
  EXPECT_EQ(PermissionsOf(*directory.access), 0700u);
}

TEST(Acl, InheritedIsNotKeptWhereTheModeSaysItAll) {
  const InheritedAcl file = Inherit(kMinimal, S_IFREG | 0666);
  EXPECT_EQ(file.mode, S_IFREG | 0640u);
  EXPECT_FALSE(file.access.has_value());
}

TEST(Acl, LimitedLetsNobodyDoMore) {
  for (const AclEntry& entry : Limited(kNamed, 05)) EXPECT_EQ(entry.permissions & ~05u, 0u);
  EXPECT_EQ(PermissionsOf(Limited(kNamed, 05)), 0551u);
}

}  // namespace
}  // namespace varve
