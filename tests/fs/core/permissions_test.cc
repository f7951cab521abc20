// Modes, access control lists and what writing does to privileges.
#include <cerrno>
#include <tuple>

#include "fs/core/acl.h"
#include "fs/core/core.h"
#include "tests/fs/core/filesystem_fixture.h"

namespace varve {
namespace {

using Tag = AclEntry::Tag;

class Permissions : public FilesystemFixture {
 protected:
  static Acl Named(std::uint32_t owner, std::uint32_t user, std::uint32_t mask,
                   std::uint32_t other) {
    return {{Tag::kOwner, owner},
            {Tag::kUser, user, 1000},
            {Tag::kOwningGroup, 5},
            {Tag::kMask, mask},
            {Tag::kOther, other}};
  }
  Status SetAcl(std::string_view path, std::string_view name, const Acl& acl) {
    return fs().SetXattr(Node(path), name, EncodeAcl(acl), XattrMode::kSet, caller_);
  }
  // Nothing if there is none.
  std::optional<Acl> AclOf(std::string_view path, std::string_view name = kAccessAclName) {
    const Result<std::string> value = fs().GetXattr(Node(path), name);
    if (!value.ok()) {
      EXPECT_EQ(value.error().os_errno(), ENODATA) << value.error().message();
      return std::nullopt;
    }
    const Result<Acl> acl = ParseAcl(*value);
    EXPECT_TRUE(acl.ok());
    return acl.ok() ? std::optional<Acl>(*acl) : std::nullopt;
  }
  Status Chmod(std::string_view path, std::uint32_t mode) {
    SetAttributes set;
    set.mode = mode;
    return AsStatus(fs().Set(Node(path), set, caller_));
  }
  Status Chown(std::string_view path, std::uint32_t uid, std::uint32_t gid) {
    SetAttributes set;
    set.uid = uid;
    set.gid = gid;
    return AsStatus(fs().Set(Node(path), set, caller_));
  }
  mode_t ModeOf(std::string_view path) { return Stat(path).st_mode & 07777; }
};

TEST_F(Permissions, TheCapabilityOfAnOpenFileIsAlwaysTheNewest) {
  const FileHandle handle = CreateOpen("f");
  const auto capability = [&] {
    const auto value = fs().GetXattr(Node("f"), kCapabilityName);
    return value.ok() ? *value : "none";
  };
  EXPECT_EQ(capability(), "none");
  VARVE_ASSERT_OK(fs().SetXattr(Node("f"), kCapabilityName, "first", XattrMode::kSet));
  EXPECT_EQ(capability(), "first");
  const Lsn then = Last();
  VARVE_ASSERT_OK(fs().RemoveXattr(Node("f"), kCapabilityName));
  EXPECT_EQ(capability(), "none");
  EXPECT_EQ(capability(), "none") << "remembered";
  VARVE_ASSERT_OK(fs().Rollback("f", then));
  EXPECT_EQ(capability(), "first");
  VARVE_ASSERT_OK(fs().RemoveXattr(Node("f"), kCapabilityName));
  EXPECT_EQ(capability(), "none");
  VARVE_ASSERT_OK(fs().Rollback("/", then));
  EXPECT_EQ(capability(), "first");
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Permissions, AnAccessListIsOneWithTheMode) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(SetAcl("f", kAccessAclName, Named(6, 7, 6, 4)));
  EXPECT_EQ(ModeOf("f"), 0664u);
  VARVE_ASSERT_OK(Chmod("f", 0751));
  EXPECT_EQ(AclOf("f"), Named(7, 7, 5, 1));
  EXPECT_EQ(ModeOf("f"), 0751u);
  VARVE_ASSERT_OK(fs().RemoveXattr(Node("f"), kAccessAclName));
  EXPECT_EQ(AclOf("f"), std::nullopt);
  EXPECT_EQ(ModeOf("f"), 0751u);
}

TEST_F(Permissions, AnAccessListThatTheModeSaysIsNotKept) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(SetAcl("f", kAccessAclName, Named(6, 7, 6, 4)));
  VARVE_ASSERT_OK(
      SetAcl("f", kAccessAclName, {{Tag::kOwner, 7}, {Tag::kOwningGroup, 1}, {Tag::kOther, 2}}));
  EXPECT_EQ(ModeOf("f"), 0712u);
  EXPECT_EQ(AclOf("f"), std::nullopt);
}

TEST_F(Permissions, AnEmptyListIsNone) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(SetAcl("f", kAccessAclName, Named(6, 7, 6, 4)));
  VARVE_ASSERT_OK(SetAcl("f", kAccessAclName, {}));
  EXPECT_EQ(AclOf("f"), std::nullopt);
  EXPECT_EQ(ModeOf("f"), 0664u);
  VARVE_EXPECT_OK(SetAcl("f", kAccessAclName, {}));
  VARVE_EXPECT_OK(fs().RemoveXattr(Node("f"), kAccessAclName));
}

TEST_F(Permissions, WhatChangesNothingIsNoVersion) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(SetAcl("f", kAccessAclName, Named(6, 7, 6, 4)));
  VARVE_ASSERT_OK(fs().SetXattr(Node("f"), "user.a", "1", XattrMode::kSet));
  const Lsn before = Last();
  VARVE_EXPECT_OK(SetAcl("f", kAccessAclName, Named(6, 7, 6, 4)));
  VARVE_EXPECT_OK(fs().SetXattr(Node("f"), "user.a", "1", XattrMode::kReplace));
  EXPECT_EQ(Last(), before);
}

TEST_F(Permissions, WhatIsMadeInheritsTheDefaultListInsteadOfTheUmask) {
  caller_.umask = 077;
  VARVE_ASSERT_OK(MakeDirectory("d", 0755));
  VARVE_ASSERT_OK(Write("d/before", "x"));
  EXPECT_EQ(ModeOf("d/before"), 0600u);
  VARVE_ASSERT_OK(SetAcl("d", kDefaultAclName, Named(7, 7, 7, 5)));
  EXPECT_EQ(ModeOf("d"), 0700u) << "a default list is not the directory's own";
  VARVE_ASSERT_OK(Write("d/f", "x"));
  EXPECT_EQ(ModeOf("d/f"), 0664u);
  EXPECT_EQ(AclOf("d/f"), Named(6, 7, 6, 4));
  EXPECT_EQ(AclOf("d/f", kDefaultAclName), std::nullopt);
  VARVE_ASSERT_OK(MakeDirectory("d/e", 0770));
  EXPECT_EQ(ModeOf("d/e"), 0770u);
  EXPECT_EQ(AclOf("d/e"), Named(7, 7, 7, 0));
  EXPECT_EQ(AclOf("d/e", kDefaultAclName), Named(7, 7, 7, 5));
  VARVE_ASSERT_OK(fs().Symlink(Node("d"), "l", "f", caller_));
  EXPECT_TRUE(fs().ListXattrs(Node("d/l"))->empty());

  VARVE_ASSERT_OK(SetAcl("d", kDefaultAclName, {}));
  VARVE_ASSERT_OK(Write("d/after", "x"));
  EXPECT_EQ(ModeOf("d/after"), 0600u);
  EXPECT_EQ(AclOf("d/after"), std::nullopt);
}

TEST_F(Permissions, ADefaultListCountsAfterARollbackAndARemount) {
  caller_.umask = 077;
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(SetAcl("d", kDefaultAclName, Named(7, 7, 7, 5)));
  const Lsn then = Last();
  VARVE_ASSERT_OK(SetAcl("d", kDefaultAclName, {}));
  VARVE_ASSERT_OK(Write("d/plain", "x"));  // now it is known to have none
  EXPECT_EQ(ModeOf("d/plain"), 0600u);
  VARVE_ASSERT_OK(fs().Rollback("d", then));
  VARVE_ASSERT_OK(Write("d/f", "x"));
  EXPECT_EQ(AclOf("d/f"), Named(6, 7, 6, 4));
  Remount();
  VARVE_ASSERT_OK(Write("d/g", "x"));
  EXPECT_EQ(AclOf("d/g"), Named(6, 7, 6, 4));
}

TEST_F(Permissions, ListsAreRefusedWhereTheyHaveNoPlace) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(fs().Symlink(NodeId(kRootInode.value), "l", "f", caller_));
  EXPECT_EQ(CodeOf(SetAcl("f", kDefaultAclName, Named(7, 7, 7, 5))), ErrorCode::kPermission);
  EXPECT_EQ(CodeOf(SetAcl("l", kAccessAclName, Named(7, 7, 7, 5))), ErrorCode::kUnsupported);
  EXPECT_EQ(CodeOf(fs().SetXattr(Node("f"), kAccessAclName, "nonsense", XattrMode::kSet)),
            ErrorCode::kUnsupported);
  EXPECT_EQ(CodeOf(fs().SetXattr(Node("f"), "system.other", "x", XattrMode::kSet)),
            ErrorCode::kUnsupported);
}

TEST_F(Permissions, AStrangersAccessListCostsTheSetgidBit) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(Chown("f", 1000, 50));
  VARVE_ASSERT_OK(Chmod("f", 02775));
  VARVE_ASSERT_OK(SetAcl("f", kAccessAclName, Named(7, 7, 7, 5)));
  EXPECT_EQ(ModeOf("f"), 02775u) << "root keeps it";
  caller_ = {1000, 1000, 022, [](std::uint32_t gid) { return gid == 50; }};
  VARVE_ASSERT_OK(SetAcl("f", kAccessAclName, Named(7, 6, 7, 5)));
  EXPECT_EQ(ModeOf("f"), 02775u) << "so does the group";
  caller_ = {1000, 1000, 022};
  VARVE_ASSERT_OK(SetAcl("f", kAccessAclName, Named(7, 5, 7, 5)));
  EXPECT_EQ(ModeOf("f"), 0775u);
}

TEST_F(Permissions, ThePastShowsTheListsOfThen) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/f", "x"));
  VARVE_ASSERT_OK(SetAcl("d/f", kAccessAclName, Named(6, 4, 4, 0)));
  const Lsn then = Last();
  VARVE_ASSERT_OK(SetAcl("d/f", kAccessAclName, {}));
  EXPECT_EQ(AclOf("d/.snapshots/" + AtLsn(then) + "/f"), Named(6, 4, 4, 0));
  EXPECT_EQ(CodeOf(SetAcl("d/.snapshots/" + AtLsn(then) + "/f", kAccessAclName, {})),
            ErrorCode::kReadOnly);
}

TEST_F(Permissions, WhoMayReadADirectoryByItsListMayLookAtItsPast) {
  VARVE_ASSERT_OK(MakeDirectory("d", 0700));
  EXPECT_EQ(AclOf("d/.snapshots"), std::nullopt);
  VARVE_ASSERT_OK(SetAcl("d", kAccessAclName, Named(7, 7, 7, 0)));
  EXPECT_EQ(ModeOf("d/.snapshots"), 0750u);
  EXPECT_EQ(AclOf("d/.snapshots"), Named(7, 5, 5, 0));
  EXPECT_EQ(AclOf("d/.snapshots/versions"), Named(5, 5, 5, 0));
}

TEST_F(Permissions, AnothersWritingTakesSetuidAndSetgidAway) {
  const auto ready = [&](std::uint32_t mode) {
    caller_ = {};
    VARVE_EXPECT_OK(Write("f", "x"));
    VARVE_EXPECT_OK(Chown("f", 1000, 50));
    VARVE_EXPECT_OK(Chmod("f", mode));
  };
  const auto open_truncated = [&](bool takes) {
    const Result<OpenResult> open = fs().Open(Node("f"), O_WRONLY | O_TRUNC, caller_);
    ASSERT_TRUE(open.ok());
    EXPECT_EQ(open->mode_changed, takes);
    VARVE_EXPECT_OK(CloseFile(open->handle));
  };
  const Caller stranger{2000, 2000, 022};
  const Caller member{2000, 2000, 022, [](std::uint32_t gid) { return gid == 50; }};
  struct Case {
    Caller caller;
    mode_t before, after;
  };
  for (const Case& one :
       {Case{{}, 06777, 06777}, Case{stranger, 06777, 0777}, Case{member, 06777, 0777},
        Case{stranger, 02766, 0766}, Case{member, 02766, 02766}, Case{member, 06766, 02766}}) {
    SCOPED_TRACE(testing::Message() << std::oct << one.before << " by " << one.caller.uid);
    ready(one.before);
    caller_ = one.caller;
    const FileHandle handle = Open("f", O_WRONLY);
    VARVE_ASSERT_OK(fs().Write(handle, 0, AsBytes(std::string_view("y")), caller_));
    EXPECT_EQ(ModeOf("f"), one.after);
    VARVE_EXPECT_OK(CloseFile(handle));

    ready(one.before);
    caller_ = one.caller;
    open_truncated(one.after != one.before);
    EXPECT_EQ(ModeOf("f"), one.after);

    ready(one.before);
    caller_ = one.caller;
    VARVE_ASSERT_OK(Truncate("f", 7));
    EXPECT_EQ(ModeOf("f"), one.after);

    ready(one.before);
    caller_ = one.caller;
    VARVE_ASSERT_OK(fs().Set(Node("f"), {}, caller_));
    EXPECT_EQ(ModeOf("f"), one.after) << "what sets nothing announces a write";
  }
}

TEST_F(Permissions, GivingAwayTakesSetuidAndSetgidEvenIfRootDoesIt) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(MakeDirectory("d"));
  for (const Caller& caller : {Caller{}, Caller{1000, 1000, 022}}) {
    SCOPED_TRACE(caller.uid);
    for (const auto& [path, before, after] :
         {std::tuple{"f", 06777U, 0777U}, {"f", 04766U, 0766U}, {"d", 02775U, 02775U}}) {
      SCOPED_TRACE(testing::Message() << path << std::oct << before);
      caller_ = {};
      VARVE_ASSERT_OK(Chmod(path, before));
      caller_ = caller;
      VARVE_ASSERT_OK(Chown(path, 1000, 50));
      EXPECT_EQ(ModeOf(path), after);
    }
  }
  caller_ = {};
  VARVE_ASSERT_OK(Chmod("f", 02766));
  VARVE_ASSERT_OK(Chown("f", 1000, 51));
  EXPECT_EQ(ModeOf("f"), 02766u) << "not a program of the group's";
  VARVE_ASSERT_OK(Chmod("f", 04755));
  SetAttributes nothing;
  nothing.gives_away = true;
  const Result<NodeAttributes> refused = fs().Set(Node("f"), nothing, {2000, 2000, 022});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().os_errno(), EPERM);
  VARVE_EXPECT_OK(AsStatus(fs().Set(Node("f"), nothing, {1000, 1000, 022})));
  EXPECT_EQ(ModeOf("f"), 0755u);
}

TEST_F(Permissions, WritingAndTruncatingTakeTheCapability) {
  const FileHandle handle = CreateOpen("f");
  const auto has = [&] { return fs().GetXattr(Node("f"), kCapabilityName).ok(); };
  const auto give = [&] {
    VARVE_EXPECT_OK(fs().SetXattr(Node("f"), kCapabilityName, "x", XattrMode::kSet));
  };
  give();
  VARVE_ASSERT_OK(fs().WritePages(handle, 0, AsBytes(std::string_view("y"))));
  EXPECT_TRUE(has()) << "pages may have become dirty before it was given";
  VARVE_ASSERT_OK(fs().Write(handle, 0, AsBytes(std::string_view("y")), caller_));
  EXPECT_FALSE(has());
  give();
  VARVE_ASSERT_OK(Truncate("f", 7));
  EXPECT_FALSE(has());
  give();
  VARVE_ASSERT_OK(fs().Allocate(handle, AllocateMode::kAllocate, 0, 70));
  EXPECT_FALSE(has());
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Permissions, OnlyTheGroupMaySetTheSetgidBit) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(Chown("f", 1000, 50));
  caller_ = {1000, 1000, 022};
  VARVE_ASSERT_OK(Chmod("f", 02766));
  EXPECT_EQ(ModeOf("f"), 0766u);
  caller_.in_group = [](std::uint32_t gid) { return gid == 50; };
  VARVE_ASSERT_OK(Chmod("f", 02766));
  EXPECT_EQ(ModeOf("f"), 02766u);
}

TEST_F(Permissions, TimesSetTogetherAreTheSame) {
  VARVE_ASSERT_OK(Write("f", "x"));
  SetAttributes set;
  set.atime_ns = set.mtime_ns = kTimeNow;
  const Result<NodeAttributes> touched = fs().Set(Node("f"), set, caller_);
  ASSERT_TRUE(touched.ok());
  EXPECT_EQ(touched->stat.st_atim.tv_nsec, touched->stat.st_ctim.tv_nsec);
  EXPECT_EQ(touched->stat.st_mtim.tv_nsec, touched->stat.st_ctim.tv_nsec);
  VARVE_ASSERT_OK(Truncate("f", 9));
  EXPECT_EQ(Stat("f").st_mtim.tv_nsec, Stat("f").st_ctim.tv_nsec);
}

TEST_F(Permissions, OnlyRootIsShownTrustedAttributes) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(fs().SetXattr(Node("f"), "trusted.a", "1", XattrMode::kSet));
  VARVE_ASSERT_OK(fs().SetXattr(Node("f"), "user.a", "1", XattrMode::kSet));
  EXPECT_EQ(fs().ListXattrs(Node("f"))->size(), 2u);
  const std::vector<std::string> visible{"user.a"};
  const Caller other{1000, 1000, 022};
  EXPECT_EQ(*fs().ListXattrs(Node("f"), other), visible);
  EXPECT_EQ(*fs().ListXattrs(Node(Then(Last(), "f")), other), visible);
}

}  // namespace
}  // namespace varve
