// Names: creating, linking, removing, renaming.
#include "tests/fs/core/filesystem_fixture.h"

namespace varve {
namespace {

using Namespace = FilesystemFixture;

TEST_F(Namespace, CreatesFilesWithTheMaskedModeAndTheCallersOwner) {
  caller_ = {1000, 100, 027};
  VARVE_ASSERT_OK(Write("a", "hello"));
  const struct stat stat = Stat("a");
  EXPECT_EQ(stat.st_mode, S_IFREG | 0640u);
  EXPECT_EQ(stat.st_uid, 1000u);
  EXPECT_EQ(stat.st_gid, 100u);
  EXPECT_EQ(stat.st_nlink, 1u);
  EXPECT_EQ(stat.st_size, 5);
  EXPECT_EQ(stat.st_blocks, 8);
  EXPECT_EQ(stat.st_ino, Node("a").value);
  EXPECT_EQ(ReadAll("a"), "hello");
}

TEST_F(Namespace, CountsLinksOfDirectoriesBySubdirectories) {
  const struct stat before = Stat("");
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(MakeDirectory("d/e"));
  VARVE_ASSERT_OK(Write("d/f", "x"));
  EXPECT_EQ(Stat("").st_nlink, before.st_nlink + 1);
  EXPECT_EQ(Stat("d").st_nlink, 3u);
  EXPECT_EQ(Stat("d").st_size, 2);
  EXPECT_GT(Stat("").st_mtim.tv_nsec + Stat("").st_mtim.tv_sec * kNsPerSecond,
            before.st_mtim.tv_nsec + before.st_mtim.tv_sec * kNsPerSecond);
  VARVE_ASSERT_OK(RemoveDirectory("d/e"));
  EXPECT_EQ(Stat("d").st_nlink, 2u);
  EXPECT_EQ(Stat("d").st_size, 1);
}

TEST_F(Namespace, InheritsTheGroupOfASetgidDirectory) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  SetAttributes set;
  set.mode = 02775;
  set.gid = 77;
  VARVE_ASSERT_OK(fs().Set(Node("d"), set, caller_));
  caller_.gid = 5;
  VARVE_ASSERT_OK(Write("d/f", "x"));
  VARVE_ASSERT_OK(MakeDirectory("d/e"));
  EXPECT_EQ(Stat("d/f").st_gid, 77u);
  EXPECT_EQ(Stat("d/f").st_mode & S_ISGID, 0u);
  EXPECT_EQ(Stat("d/e").st_gid, 77u);
  EXPECT_EQ(Stat("d/e").st_mode & S_ISGID, unsigned{S_ISGID});
}

TEST_F(Namespace, RefusesNamesThatAreTaken) {
  VARVE_ASSERT_OK(Write("f", "x"));
  VARVE_ASSERT_OK(MakeDirectory("d"));
  const NodeId root(kRootInode.value);
  EXPECT_EQ(CodeOf(MakeDirectory("f")), ErrorCode::kExists);
  EXPECT_EQ(CodeOf(fs().MakeNode(root, "d", S_IFIFO | 0600, 0, caller_)), ErrorCode::kExists);
  EXPECT_EQ(CodeOf(fs().Symlink(root, "f", "t", caller_)), ErrorCode::kExists);
  EXPECT_EQ(CodeOf(fs().Create(root, "f", 0600, O_RDWR | O_CREAT | O_EXCL, caller_)),
            ErrorCode::kExists);
  EXPECT_EQ(CodeOf(Link("f", "d")), ErrorCode::kExists);
  // Not opened: only the kernel knows who may. It looks again and opens what it finds.
  EXPECT_EQ(CodeOf(fs().Create(root, "f", 0600, O_RDWR | O_CREAT, caller_)), ErrorCode::kStale);
  EXPECT_EQ(CodeOf(fs().Create(root, "d", 0600, O_RDWR | O_CREAT, caller_)), ErrorCode::kStale);
}

TEST_F(Namespace, RefusesBadNamesAndBadParents) {
  VARVE_ASSERT_OK(Write("f", "x"));
  EXPECT_EQ(CodeOf(MakeDirectory(std::string(256, 'n'))), ErrorCode::kNameTooLong);
  VARVE_EXPECT_OK(MakeDirectory(std::string(255, 'n')));
  EXPECT_EQ(CodeOf(MakeDirectory("..")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().MakeDirectory(Node("f"), "x", 0755, caller_)), ErrorCode::kNotDirectory);
  EXPECT_EQ(CodeOf(Remove("nothing")), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(Look("nothing")), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(fs().GetAttributes(NodeId(123456))), ErrorCode::kStale);
}

TEST_F(Namespace, CreateWithoutExclOpensAndTruncatesWhatIsThere) {
  VARVE_ASSERT_OK(Write("f", "long text"));
  const NodeId node = Node("f");
  VARVE_ASSERT_OK(Write("f", "short"));
  EXPECT_EQ(ReadAll("f"), "short");
  EXPECT_EQ(Node("f"), node);
}

TEST_F(Namespace, HardLinksShareOneInode) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("a", "one"));
  VARVE_ASSERT_OK(Link("a", "d/b"));
  EXPECT_EQ(Node("a"), Node("d/b"));
  EXPECT_EQ(Stat("a").st_nlink, 2u);
  VARVE_ASSERT_OK(Write("d/b", "two"));
  EXPECT_EQ(ReadAll("a"), "two");
  VARVE_ASSERT_OK(Remove("a"));
  EXPECT_EQ(Stat("d/b").st_nlink, 1u);
  EXPECT_EQ(ReadAll("d/b"), "two");
  EXPECT_EQ(CodeOf(Link("d", "e")), ErrorCode::kPermission);
}

TEST_F(Namespace, UnlinkAndRmdirKnowTheirKind) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/f", "x"));
  EXPECT_EQ(CodeOf(Remove("d")), ErrorCode::kIsDirectory);
  EXPECT_EQ(CodeOf(RemoveDirectory("d/f")), ErrorCode::kNotDirectory);
  EXPECT_EQ(CodeOf(RemoveDirectory("d")), ErrorCode::kNotEmpty);
  VARVE_EXPECT_OK(Remove("d/f"));
  const NodeId gone = Node("d");
  VARVE_EXPECT_OK(RemoveDirectory("d"));
  EXPECT_FALSE(Exists("d"));
  EXPECT_EQ(CodeOf(fs().MakeDirectory(gone, "x", 0755, caller_)), ErrorCode::kNotFound);
  fs().Forget(gone, 1);
  EXPECT_EQ(CodeOf(fs().MakeDirectory(gone, "x", 0755, caller_)), ErrorCode::kStale);
}

TEST_F(Namespace, KeepsSymlinksAndSpecialNodes) {
  const NodeId root(kRootInode.value);
  VARVE_ASSERT_OK(fs().Symlink(root, "l", "some/where", caller_));
  EXPECT_EQ(*fs().ReadLink(Node("l")), "some/where");
  EXPECT_EQ(Stat("l").st_mode, S_IFLNK | 0777u);
  EXPECT_EQ(Stat("l").st_size, 10);
  VARVE_ASSERT_OK(fs().MakeNode(root, "p", S_IFIFO | 0666, 0, caller_));
  EXPECT_EQ(Stat("p").st_mode, S_IFIFO | 0644u);
  VARVE_ASSERT_OK(fs().MakeNode(root, "c", S_IFCHR | 0600, 0x103, caller_));
  EXPECT_EQ(Stat("c").st_rdev, 0x103u);
  EXPECT_EQ(CodeOf(fs().ReadLink(Node("p"))), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().Symlink(root, "m", std::string(4096, 'x'), caller_)),
            ErrorCode::kNameTooLong);
}

TEST_F(Namespace, RenameReplacesAsPosixSays) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(MakeDirectory("full"));
  VARVE_ASSERT_OK(Write("full/x", "x"));
  VARVE_ASSERT_OK(MakeDirectory("empty"));
  VARVE_ASSERT_OK(Write("a", "a"));
  VARVE_ASSERT_OK(Write("b", "b"));
  EXPECT_EQ(CodeOf(Rename("a", "d")), ErrorCode::kIsDirectory);
  EXPECT_EQ(CodeOf(Rename("d", "a")), ErrorCode::kNotDirectory);
  EXPECT_EQ(CodeOf(Rename("d", "full")), ErrorCode::kNotEmpty);
  EXPECT_EQ(CodeOf(Rename("nothing", "a")), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(Rename("a", "b", RenameMode::kNoReplace)), ErrorCode::kExists);
  const NodeId a = Node("a");
  VARVE_EXPECT_OK(Rename("a", "b"));
  EXPECT_EQ(Node("b"), a);
  EXPECT_FALSE(Exists("a"));
  const nlink_t root_links = Stat("").st_nlink;
  VARVE_EXPECT_OK(Rename("full", "empty"));
  EXPECT_EQ(ReadAll("empty/x"), "x");
  EXPECT_EQ(Stat("").st_nlink, root_links - 1);
  EXPECT_EQ(Stat("").st_size, static_cast<off_t>(Names("").size()));
}

TEST_F(Namespace, RenameOfTwoLinksOfOneFileDoesNothing) {
  VARVE_ASSERT_OK(Write("a", "a"));
  VARVE_ASSERT_OK(Link("a", "b"));
  const Lsn before = Last();
  VARVE_EXPECT_OK(Rename("a", "b"));
  VARVE_EXPECT_OK(Rename("a", "a"));
  VARVE_EXPECT_OK(Rename("a", "b", RenameMode::kExchange));
  EXPECT_TRUE(Exists("a"));
  EXPECT_TRUE(Exists("b"));
  EXPECT_EQ(Last(), before);
}

TEST_F(Namespace, ADirectoryCannotMoveIntoItself) {
  VARVE_ASSERT_OK(MakeDirectory("a"));
  VARVE_ASSERT_OK(MakeDirectory("a/b"));
  VARVE_ASSERT_OK(MakeDirectory("a/b/c"));
  VARVE_ASSERT_OK(Write("a/b/c/f", "x"));
  EXPECT_EQ(CodeOf(Rename("a", "a/x")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Rename("a", "a/b/c/x")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Rename("a/b", "a")), ErrorCode::kNotEmpty);
  EXPECT_EQ(CodeOf(Rename("a", "a/b/c", RenameMode::kExchange)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Rename("a/b/c/f", "a", RenameMode::kExchange)), ErrorCode::kInvalidArgument);
  VARVE_EXPECT_OK(Rename("a/b/c", "c"));
  EXPECT_EQ(Stat("a/b").st_nlink, 2u);
  EXPECT_EQ(fs().Lookup(Node("c"), "..", caller_)->node, NodeId(kRootInode.value));
}

TEST_F(Namespace, ExchangeSwapsAcrossDirectoriesAndTypes) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(MakeDirectory("d/e"));
  VARVE_ASSERT_OK(Write("d/e/f", "f"));
  VARVE_ASSERT_OK(Write("a", "a"));
  EXPECT_EQ(CodeOf(Rename("a", "nothing", RenameMode::kExchange)), ErrorCode::kNotFound);
  const nlink_t root_links = Stat("").st_nlink;
  VARVE_ASSERT_OK(Rename("a", "d/e", RenameMode::kExchange));
  EXPECT_EQ(ReadAll("a/f"), "f");
  EXPECT_EQ(ReadAll("d/e"), "a");
  EXPECT_EQ(Stat("d").st_nlink, 2u);
  EXPECT_EQ(Stat("").st_nlink, root_links + 1);
}

TEST_F(Namespace, AnUnlinkedOpenFileLivesUntilItIsClosed) {
  const FileHandle handle = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "hello"));
  const NodeId node = Node("f");
  VARVE_ASSERT_OK(Remove("f"));
  EXPECT_FALSE(Exists("f"));
  EXPECT_EQ(fs().GetAttributes(node)->stat.st_nlink, 0u);
  EXPECT_EQ(ReadAt(handle, 0, 10), "hello");
  VARVE_EXPECT_OK(WriteAt(handle, 5, " you"));
  VARVE_EXPECT_OK(fs().Sync(handle, SyncMode::kAll));
  EXPECT_EQ(ReadAt(handle, 0, 20), "hello you");
  VARVE_EXPECT_OK(CloseFile(handle));
  fs().Forget(node, 1);
  EXPECT_EQ(CodeOf(fs().GetAttributes(node)), ErrorCode::kStale);
}

TEST_F(Namespace, AFileMadeWithoutANameGetsItsBytesWithTheNameAlsoWhenClosedBefore) {
  const NodeId root(kRootInode.value);
  const Result<Filesystem::CreateResult> made =
      fs().CreateNameless(root, 0600, O_RDWR | O_TMPFILE, caller_);
  VARVE_ASSERT_OK(made);
  VARVE_ASSERT_OK(WriteAt(made->open.handle, 0, "hello"));
  VARVE_ASSERT_OK(CloseFile(made->open.handle));
  VARVE_ASSERT_OK(fs().SetXattr(made->attributes.node, "user.a", "v", XattrMode::kSet));
  VARVE_ASSERT_OK(fs().Link(made->attributes.node, root, "f"));
  const Lsn linked = Last();
  EXPECT_EQ(ReadAll(Then(linked, "f")), "hello");
  EXPECT_EQ(*fs().GetXattr(Node(Then(linked, "f")), "user.a"), "v");
  EXPECT_EQ(ReadAll("f"), "hello");
}

TEST_F(Namespace, WhatWasRemovedCanBeAskedAboutUntilTheKernelForgetsIt) {
  VARVE_ASSERT_OK(Write("f", "contents"));
  const NodeId node = Node("f");
  VARVE_ASSERT_OK(fs().SetXattr(node, "user.before", "v", XattrMode::kSet));
  VARVE_ASSERT_OK(fs().SetXattr(node, "user.gone", "v", XattrMode::kSet));
  VARVE_ASSERT_OK(Remove("f"));
  EXPECT_EQ(fs().GetAttributes(node)->stat.st_nlink, 0u);
  EXPECT_EQ(*fs().GetXattr(node, "user.before"), "v") << "an access list must not go either";
  VARVE_EXPECT_OK(fs().RemoveXattr(node, "user.gone"));
  SetAttributes set;
  set.mode = 0600;
  VARVE_EXPECT_OK(fs().Set(node, set, caller_));
  EXPECT_EQ(fs().GetAttributes(node)->stat.st_mode & 07777, 0600u);
  VARVE_EXPECT_OK(fs().SetXattr(node, "user.a", "w", XattrMode::kSet));
  VARVE_EXPECT_OK(fs().SetXattr(node, "user.b", "w", XattrMode::kSet));
  VARVE_EXPECT_OK(fs().RemoveXattr(node, "user.b"));
  EXPECT_EQ(*fs().ListXattrs(node), (std::vector<std::string>{"user.before", "user.a"}));
  EXPECT_EQ(*fs().GetXattr(node, "user.a"), "w");
  // Opened again, it is a file without a name like any other.
  const Result<OpenResult> open = fs().Open(node, O_RDWR);
  VARVE_ASSERT_OK(open);
  EXPECT_EQ(ReadAt(open->handle, 0, 20), "contents");
  VARVE_EXPECT_OK(WriteAt(open->handle, 8, ", more"));
  EXPECT_EQ(*fs().GetXattr(node, "user.a"), "w");
  EXPECT_EQ(fs().GetXattr(node, "user.gone").error().os_errno(), ENODATA);
  VARVE_EXPECT_OK(fs().SetXattr(node, "user.a", "x", XattrMode::kSet));
  // Closed again, also by the last, it keeps what has been written: when its mode is changed, and
  // when a rollback of something else wants nothing to be dirty.
  VARVE_EXPECT_OK(CloseFile(open->handle));
  VARVE_EXPECT_OK(fs().Set(node, set, caller_));
  VARVE_ASSERT_OK(Write("other", "contents"));
  const Lsn then = Last();
  VARVE_ASSERT_OK(Write("other", "changed"));
  VARVE_ASSERT_OK(fs().Rollback("other", then));
  const Result<OpenResult> again = fs().Open(node, O_RDWR);
  VARVE_ASSERT_OK(again);
  EXPECT_EQ(ReadAt(again->handle, 0, 20), "contents, more");
  // The kernel may forget it before it says that it is closed.
  fs().Forget(node, 1);
  EXPECT_EQ(ReadAt(again->handle, 0, 20), "contents, more");
  VARVE_EXPECT_OK(CloseFile(again->handle));
  EXPECT_EQ(CodeOf(fs().GetAttributes(node)), ErrorCode::kStale);
}

TEST_F(Namespace, ARenamedOverOpenFileLivesUntilItIsClosed) {
  VARVE_ASSERT_OK(Write("new", "new"));
  const FileHandle handle = CreateOpen("old");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "old"));
  VARVE_ASSERT_OK(Rename("new", "old"));
  EXPECT_EQ(ReadAt(handle, 0, 10), "old");
  EXPECT_EQ(ReadAll("old"), "new");
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Namespace, TheNameOfTheSnapshotsIsVarvesOwn) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("f", "x"));
  const NodeId root(kRootInode.value);
  EXPECT_EQ(CodeOf(MakeDirectory(".snapshots")), ErrorCode::kExists);
  EXPECT_EQ(CodeOf(Link("f", "d/.snapshots")), ErrorCode::kExists);
  EXPECT_EQ(CodeOf(fs().Create(root, ".snapshots", 0600, O_RDWR | O_CREAT, caller_)),
            ErrorCode::kExists);
  EXPECT_EQ(CodeOf(RemoveDirectory(".snapshots")), ErrorCode::kPermission);
  EXPECT_EQ(CodeOf(Rename("f", ".snapshots")), ErrorCode::kPermission);
  EXPECT_EQ(CodeOf(Rename(".snapshots", "s")), ErrorCode::kPermission);
  Unmount();
  options_.snapdir = SnapshotDirectory::kOff;
  Mount();
  EXPECT_FALSE(Exists(".snapshots"));
  VARVE_EXPECT_OK(MakeDirectory(".snapshots"));
}

TEST_F(Namespace, SurvivesReopening) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/f", "kept"));
  VARVE_ASSERT_OK(Link("d/f", "g"));
  Remount();
  EXPECT_EQ(ReadAll("d/f"), "kept");
  EXPECT_EQ(Stat("g").st_nlink, 2u);
}

TEST_F(Namespace, AFileWithoutANameIsSeenWholeOnceItHasOne) {
  const auto made = fs().CreateNameless(Node(""), 0644, O_RDWR, Caller{});
  VARVE_ASSERT_OK(made);
  const NodeId node = made->attributes.node;
  EXPECT_EQ(fs().GetAttributes(node)->stat.st_nlink, 0u);
  VARVE_ASSERT_OK(WriteAt(made->open.handle, 0, "content"));
  VARVE_ASSERT_OK(fs().Sync(made->open.handle, SyncMode::kAll));
  VARVE_ASSERT_OK(fs().Link(node, Node(""), "named"));
  const Lsn named = Last();
  EXPECT_EQ(ReadAll("named"), "content");
  VARVE_EXPECT_OK(CloseFile(made->open.handle));
  EXPECT_EQ(ReadAll(Then(named, "named")), "content");
  EXPECT_EQ(Stat("named").st_nlink, 1u);
}

TEST_F(Namespace, AFileWithoutANameGoesWithItsLastHandle) {
  const auto made = fs().CreateNameless(Node(""), 0644, O_RDWR, Caller{});
  VARVE_ASSERT_OK(made);
  VARVE_EXPECT_OK(CloseFile(made->open.handle));
  fs().Forget(made->attributes.node, 1);
  EXPECT_EQ(CodeOf(fs().GetAttributes(made->attributes.node)), ErrorCode::kStale);
}

TEST_F(Namespace, ARemovedFileCannotBeLinkedAgain) {
  VARVE_ASSERT_OK(Write("f", "x"));
  const NodeId node = Node("f");
  const FileHandle handle = Open("f", O_RDWR);
  VARVE_ASSERT_OK(Remove("f"));
  EXPECT_EQ(CodeOf(fs().Link(node, Node(""), "again")), ErrorCode::kNotFound);
  VARVE_EXPECT_OK(CloseFile(handle));
}

}  // namespace
}  // namespace varve
