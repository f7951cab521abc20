// `.snapshots`, moments, versions, snapshots, the log.
#include <algorithm>
#include <set>
#include <utility>

#include "fs/core/when.h"
#include "tests/fs/core/filesystem_fixture.h"

namespace varve {
namespace {

using Past = FilesystemFixture;

TEST_F(Past, EveryDirectoryHasItsPast) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/f", "old"));
  const Lsn then = Last();
  VARVE_ASSERT_OK(Write("d/f", "new!"));
  VARVE_ASSERT_OK(Write("d/g", "later"));
  const std::string at = ".snapshots/" + AtLsn(then);
  EXPECT_EQ(ReadAll(at + "/d/f"), "old");
  EXPECT_EQ(ReadAll("d/" + at + "/f"), "old");
  EXPECT_EQ(Names("d/" + at), std::vector<std::string>{"f"});
  EXPECT_EQ(ReadAll("d/f"), "new!");
  EXPECT_FALSE(Exists("d/.snapshots/@1")) << "d did not exist";
  EXPECT_FALSE(Exists(at + "/.snapshots")) << "the past has no past";
  EXPECT_FALSE(Exists(".snapshots/@99999"));
  EXPECT_FALSE(Exists(".snapshots/2026-13-01"));
  EXPECT_FALSE(Exists(".snapshots/no-such-name"));
  EXPECT_FALSE(Exists(".snapshots/1999-01-01"));
  EXPECT_FALSE(Exists(".snapshots/2099-01-01"));
}

TEST_F(Past, ADirectoryIsFoundThenWhateverItWasCalled) {
  VARVE_ASSERT_OK(MakeDirectory("before"));
  VARVE_ASSERT_OK(Write("before/f", "text"));
  const Lsn then = Last();
  VARVE_ASSERT_OK(MakeDirectory("place"));
  VARVE_ASSERT_OK(Rename("before", "place/after"));
  VARVE_ASSERT_OK(Remove("place/after/f"));
  EXPECT_EQ(ReadAll("place/after/.snapshots/" + AtLsn(then) + "/f"), "text");
}

TEST_F(Past, AMomentIsNamedInManyWays) {
  VARVE_ASSERT_OK(Write("f", "old"));
  const TimeNs time = volume().last_time_ns();
  disks_.clock().Advance(3600 * kNsPerSecond);
  VARVE_ASSERT_OK(Write("f", "new"));
  EXPECT_EQ(ReadAll(".snapshots/" + FormatTime(time) + "/f"), "old");
  EXPECT_EQ(ReadAll(".snapshots/" + FormatTimeForName(time) + "/f"), "old");
  EXPECT_EQ(ReadAll(".snapshots/30m-ago/f"), "old");
  EXPECT_EQ(ReadAll(".snapshots/now/f"), "new");
  disks_.clock().Advance(24 * 3600 * kNsPerSecond);
  EXPECT_EQ(ReadAll(".snapshots/yesterday/f"), "new");
  EXPECT_FALSE(Exists(".snapshots/2d-ago"));
  EXPECT_EQ(CodeOf(fs().ResolveWhen("2d-ago")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().ResolveWhen("2026-13-01")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().ResolveWhen("2099-01-01")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().ResolveWhen("@999999")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().ResolveWhen("nobody")), ErrorCode::kNotFound);
  EXPECT_EQ(*fs().ResolveWhen("@3"), Lsn(3));
}

TEST_F(Past, NowIncludesWhatIsStillDirty) {
  const FileHandle handle = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "dirty"));
  EXPECT_EQ(ReadAll(".snapshots/now/f"), "dirty");
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Past, NodesOfThePastHaveTheirOwnNumbersAndTheModeOfThen) {
  VARVE_ASSERT_OK(Write("f", "x"));
  SetAttributes set;
  set.mode = 06755;
  VARVE_ASSERT_OK(fs().Set(Node("f"), set, caller_));
  VARVE_ASSERT_OK(fs().SetXattr(Node("f"), "security.capability", "power", XattrMode::kSet));
  const Lsn then = Last();
  set.mode = 0600;
  VARVE_ASSERT_OK(fs().Set(Node("f"), set, caller_));
  const struct stat past = Stat(Then(then, "f"));
  EXPECT_EQ(past.st_mode, S_IFREG | 0755u) << "set-uid is stripped";
  EXPECT_EQ(past.st_ino >> 62, 1u);
  EXPECT_EQ(Stat(Then(then, "f")).st_ino, past.st_ino);
  EXPECT_NE(Stat(Then(Last(), "f")).st_ino, past.st_ino);
  EXPECT_EQ(CodeOf(fs().GetXattr(Node(Then(then, "f")), "security.capability")),
            ErrorCode::kNotFound);
  EXPECT_TRUE(fs().ListXattrs(Node(Then(then, "f")))->empty());
}

TEST_F(Past, NothingInItCanBeChanged) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/f", "x"));
  const std::string at = ".snapshots/" + AtLsn(Last());
  const NodeId directory = Node(at + "/d");
  const NodeId file = Node(at + "/d/f");
  const std::optional<ErrorCode> read_only = ErrorCode::kReadOnly;
  EXPECT_EQ(CodeOf(fs().Open(file, O_RDWR)), read_only);
  EXPECT_EQ(CodeOf(fs().Open(file, O_RDONLY | O_TRUNC)), read_only);
  EXPECT_EQ(CodeOf(fs().Create(directory, "g", 0600, O_RDWR | O_CREAT, caller_)), read_only);
  EXPECT_EQ(CodeOf(fs().MakeDirectory(directory, "g", 0700, caller_)), read_only);
  EXPECT_EQ(CodeOf(fs().MakeNode(directory, "g", S_IFIFO, 0, caller_)), read_only);
  EXPECT_EQ(CodeOf(fs().Symlink(directory, "g", "t", caller_)), read_only);
  EXPECT_EQ(CodeOf(fs().Unlink(directory, "f")), read_only);
  EXPECT_EQ(CodeOf(fs().RemoveDirectory(directory, "f")), read_only);
  EXPECT_EQ(CodeOf(fs().Rename(directory, "f", directory, "g", RenameMode::kReplace)), read_only);
  EXPECT_EQ(CodeOf(fs().Link(file, NodeId(kRootInode.value), "g")), read_only);
  EXPECT_EQ(CodeOf(fs().Set(file, {}, caller_)), read_only);
  EXPECT_EQ(CodeOf(fs().SetXattr(file, "user.a", "x", XattrMode::kSet)), read_only);
  EXPECT_EQ(CodeOf(fs().RemoveXattr(file, "user.a")), read_only);
  const NodeId snapshots = Node(".snapshots");
  EXPECT_EQ(CodeOf(fs().Unlink(snapshots, "x")), read_only);
  EXPECT_EQ(CodeOf(fs().RemoveDirectory(snapshots, "versions")), read_only);
  EXPECT_EQ(CodeOf(fs().Create(snapshots, "x", 0600, O_CREAT, caller_)), read_only);
  const FileHandle handle = Open(at + "/d/f", O_RDONLY);
  EXPECT_EQ(CodeOf(fs().Write(handle, 0, AsBytes("x"))), read_only);
  EXPECT_EQ(CodeOf(fs().Allocate(handle, AllocateMode::kPunchHole, 0, 1)), read_only);
  EXPECT_EQ(*fs().SeekTo(handle, Filesystem::Seek::kHole, 0), 1u);
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Past, SnapshotsAreMadeListedAndDeletedAsDirectories) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  const FileHandle handle = CreateOpen("d/f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "then"));
  VARVE_ASSERT_OK(MakeDirectory("d/.snapshots/monday"));
  VARVE_ASSERT_OK(WriteAt(handle, 0, "now!"));
  VARVE_ASSERT_OK(CloseFile(handle));
  EXPECT_EQ(ReadAll("d/.snapshots/monday/f"), "then");
  EXPECT_EQ(ReadAll(".snapshots/monday/d/f"), "then");
  EXPECT_EQ(CodeOf(MakeDirectory(".snapshots/monday")), ErrorCode::kExists);
  EXPECT_EQ(CodeOf(MakeDirectory(".snapshots/2h-ago")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Names(".snapshots"), (std::vector<std::string>{"versions", "monday"}));
  VARVE_ASSERT_OK(MakeDirectory("late"));
  EXPECT_EQ(Names("late/.snapshots"), std::vector<std::string>{"versions"});
  const Result<std::vector<SnapshotRecord>> list = fs().Snapshots();
  VARVE_ASSERT_OK(list);
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ(*fs().ResolveWhen("monday"), list->front().lsn);
  VARVE_EXPECT_OK(RemoveDirectory(".snapshots/monday"));
  EXPECT_FALSE(Exists(".snapshots/monday"));
  EXPECT_EQ(CodeOf(RemoveDirectory(".snapshots/monday")), ErrorCode::kNotFound);
}

TEST_F(Past, SnapshotsSurviveReopening) {
  VARVE_ASSERT_OK(Write("f", "then"));
  VARVE_ASSERT_OK(fs().CreateSnapshot("kept"));
  VARVE_ASSERT_OK(Write("f", "now"));
  Remount();
  EXPECT_EQ(ReadAll(".snapshots/kept/f"), "then");
}

TEST_F(Past, VersionsOfAFileAreFiles) {
  VARVE_ASSERT_OK(Write("f", "one"));
  VARVE_ASSERT_OK(Write("f", "second"));
  SetAttributes set;
  set.mode = 0600;
  VARVE_ASSERT_OK(fs().Set(Node("f"), set, caller_));  // no version: the content is the same
  VARVE_ASSERT_OK(Remove("f"));
  VARVE_ASSERT_OK(Write("g", "moved here"));
  VARVE_ASSERT_OK(Rename("g", "f"));
  const std::vector<std::string> names = Names(".snapshots/versions/f");
  std::vector<std::string> texts;
  for (const std::string& name : names) texts.push_back(ReadAll(".snapshots/versions/f/" + name));
  EXPECT_EQ(texts, (std::vector<std::string>{"", "one", "", "second", "moved here"}));
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(Names(".snapshots/versions"), std::vector<std::string>{"f"});
  VARVE_EXPECT_OK(Remove("f"));
  EXPECT_EQ(Names(".snapshots/versions/f").size(), 5u) << "known by its name though it is gone";
  EXPECT_FALSE(Exists(".snapshots/versions/never"));
  EXPECT_FALSE(Exists(".snapshots/versions/f/never"));
}

TEST_F(Past, VersionsOfOneMomentAreTold) {
  VARVE_ASSERT_OK(Write("f", "x"));
  const std::vector<std::string> names = Names(".snapshots/versions/f");
  ASSERT_EQ(names.size(), 2u);
  EXPECT_NE(names[0], names[1]);
}

TEST_F(Past, ListingsOfThePastContinueWhereTheyStopped) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    expected.push_back("f" + std::to_string(i));
    VARVE_ASSERT_OK(Write("d/" + expected.back(), ""));
  }
  const NodeId node = Node(Then(Last(), "d"));
  const Result<FileHandle> handle = fs().OpenDirectory(node);
  VARVE_ASSERT_OK(handle);
  std::vector<std::string> names;
  std::uint64_t offset = 0;
  for (bool more = true; more;) {
    int room = 3;
    more = false;
    VARVE_ASSERT_OK(
        fs().ListDirectory(*handle, offset, List::kPlus, [&](const DirectoryEntry& entry) {
          if (room-- == 0) return !(more = true);
          offset = entry.next;
          if (entry.name[0] != '.') names.push_back(entry.name);
          return true;
        }));
  }
  fs().ReleaseDirectory(*handle);
  std::sort(expected.begin(), expected.end());  // the past lists by name
  EXPECT_EQ(names, expected);
}

TEST_F(Past, OffsetsIntoALongListingMeanTheSameInEveryHandle) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  const NodeId now = Node("d");
  constexpr std::size_t kFiles = 9001;  // some full pages and a bit
  for (std::size_t i = 0; i < kFiles; ++i) {
    VARVE_ASSERT_OK(fs().MakeNode(now, "f" + std::to_string(i), S_IFREG | 0644, 0, caller_));
  }
  const NodeId node = Node(Then(Last(), "d"));
  VARVE_ASSERT_OK(Remove("d/f17"));
  const auto list = [&](FileHandle handle, std::uint64_t offset) {
    std::vector<std::pair<std::string, std::uint64_t>> found;
    VARVE_EXPECT_OK(
        fs().ListDirectory(handle, offset, List::kNames, [&](const DirectoryEntry& entry) {
          if (entry.name[0] != '.') found.emplace_back(entry.name, entry.next);
          return true;
        }));
    return found;
  };
  const auto open = [&] { return *fs().OpenDirectory(node); };
  const FileHandle first = open();
  const auto all = list(first, 0);
  ASSERT_EQ(all.size(), kFiles);
  EXPECT_EQ(std::set(all.begin(), all.end()).size(), kFiles);
  for (const std::size_t seen : {9001u, 9000u, 8193u, 8192u, 4096u, 4095u, 1u, 5000u}) {
    const FileHandle fresh = open();
    const std::uint64_t offset = all[seen - 1].second;
    const std::vector rest(all.begin() + static_cast<std::ptrdiff_t>(seen), all.end());
    EXPECT_EQ(list(fresh, offset), rest) << seen;
    EXPECT_EQ(list(first, offset), rest) << seen;
    fs().ReleaseDirectory(fresh);
  }
  fs().ReleaseDirectory(first);
}

TEST_F(Past, VersionsOfManyFilesAreListedInPages) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  const NodeId now = Node("d");
  std::set<std::string> expected;
  for (int i = 0; i < 5000; ++i) {
    // The first pages are without files.
    const std::string name = std::to_string(i);
    if (i < 4200) {
      VARVE_ASSERT_OK(fs().Symlink(now, name, "nowhere", caller_));
    } else {
      VARVE_ASSERT_OK(fs().MakeNode(now, name, S_IFREG | 0644, 0, caller_));
      expected.insert(name);
    }
  }
  const std::vector<std::string> names = Names("d/.snapshots/versions");
  EXPECT_EQ(names.size(), expected.size());
  EXPECT_EQ(std::set(names.begin(), names.end()), expected);
}

TEST_F(Past, SpeaksToWhomTheOptionSays) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  SetAttributes set;
  set.uid = 1000;
  VARVE_ASSERT_OK(fs().Set(Node("d"), set, caller_));
  EXPECT_EQ(Names("d"), std::vector<std::string>{});
  Unmount();
  options_.snapdir = SnapshotDirectory::kOwner;
  Mount();
  const NodeId d = Node("d");
  EXPECT_EQ(CodeOf(fs().Lookup(d, ".snapshots", {2000, 2000, 022})), ErrorCode::kNotFound);
  VARVE_EXPECT_OK(fs().Lookup(d, ".snapshots", {1000, 2000, 022}));
  VARVE_EXPECT_OK(fs().Lookup(d, ".snapshots", {0, 0, 022}));
  Unmount();
  options_.snapdir = SnapshotDirectory::kVisible;
  Mount();
  EXPECT_EQ(Names("d"), std::vector<std::string>{".snapshots"});
}

TEST_F(Past, ForgottenNodesAreGone) {
  VARVE_ASSERT_OK(Write("f", "x"));
  const NodeId node = Node(Then(Last(), "f"));
  VARVE_EXPECT_OK(fs().GetAttributes(node));
  fs().Forget(node, 1);
  EXPECT_EQ(CodeOf(fs().GetAttributes(node)), ErrorCode::kStale);
}

TEST_F(Past, TheLogOfAFileTellsItsVersionsNewestFirst) {
  VARVE_ASSERT_OK(Write("f", "one"));
  VARVE_ASSERT_OK(Write("g", "from g"));
  VARVE_ASSERT_OK(Rename("g", "f"));
  VARVE_ASSERT_OK(Remove("f"));
  const std::vector<LogRecord> log = Log("/f");
  ASSERT_EQ(log.size(), 4u);
  EXPECT_EQ(log[0].kind, ChangeKind::kUnlink);
  EXPECT_TRUE(log[0].deleted);
  EXPECT_EQ(log[1].kind, ChangeKind::kRename);
  EXPECT_EQ(log[1].size, 6u);
  EXPECT_EQ(log[2].kind, ChangeKind::kWrite);
  EXPECT_EQ(log[2].size, 3u);
  EXPECT_EQ(log[3].kind, ChangeKind::kCreate);
  EXPECT_EQ(log[3].path, "/f");
  EXPECT_TRUE(std::is_sorted(log.begin(), log.end(),
                             [](const LogRecord& a, const LogRecord& b) { return a.lsn > b.lsn; }));
  EXPECT_EQ(CodeOf(fs().Log("never", [](const LogRecord&) { return true; })), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(fs().Log("gone/x", [](const LogRecord&) { return true; })),
            ErrorCode::kNotFound);
}

TEST_F(Past, TheLogOfADirectoryTellsWhatChangedBelowIt) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(MakeDirectory("d/e"));
  VARVE_ASSERT_OK(Write("d/e/f", "x"));
  VARVE_ASSERT_OK(Write("outside", "x"));
  VARVE_ASSERT_OK(Rename("d/e/f", "g"));
  const std::vector<LogRecord> log = Log("d");
  std::vector<std::string> told;
  for (const LogRecord& record : log) {
    told.push_back(std::string(ToString(record.kind)) + " " + record.path +
                   (record.deleted ? " -" : ""));
  }
  const auto line = [](ChangeKind kind, std::string rest) {
    return std::string(ToString(kind)) + " " + rest;
  };
  EXPECT_EQ(told, (std::vector<std::string>{
                      line(ChangeKind::kRename, "/d/e/f -"), line(ChangeKind::kWrite, "/d/e/f"),
                      line(ChangeKind::kCreate, "/d/e/f"), line(ChangeKind::kMakeDirectory, "/d/e"),
                      line(ChangeKind::kMakeDirectory, "/d")}));
  int seen = 0;
  VARVE_EXPECT_OK(fs().Log("/", [&](const LogRecord&) { return ++seen < 3; }));
  EXPECT_EQ(seen, 3) << "the visitor says when it is enough";
}

TEST_F(Past, TheLogOfAFileNeedsNoneOfItsDirectoriesToday) {
  VARVE_ASSERT_OK(MakeDirectory("a"));
  VARVE_ASSERT_OK(MakeDirectory("a/b"));
  VARVE_ASSERT_OK(Write("a/b/f", "earlier"));
  VARVE_ASSERT_OK(Remove("a/b/f"));
  VARVE_ASSERT_OK(RemoveDirectory("a/b"));
  VARVE_ASSERT_OK(RemoveDirectory("a"));
  VARVE_ASSERT_OK(Write("a", "a file now"));
  const std::vector<LogRecord> log = Log("a/b/f");
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[0].kind, ChangeKind::kUnlink);
  EXPECT_EQ(log[1].size, 7u);
  for (const LogRecord& record : log) EXPECT_EQ(record.path, "/a/b/f");
  EXPECT_EQ(Log("a/b").back().kind, ChangeKind::kMakeDirectory);
  EXPECT_EQ(CodeOf(fs().Rollback("a/b/f", Last())), ErrorCode::kNotDirectory);
}

TEST_F(Past, AFileIsKnownByItsOtherNamesWhenTheLastGivenIsGone) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(MakeDirectory("e"));
  VARVE_ASSERT_OK(Write("d/first", "one"));
  const Lsn then = Last();
  VARVE_ASSERT_OK(Link("d/first", "e/second"));
  VARVE_ASSERT_OK(Remove("e/second"));
  VARVE_ASSERT_OK(Write("d/first", "other"));
  const InodeId inode(Node("d/first").value);
  EXPECT_EQ(volume().PathOf(inode, Last()), "/d/first");
  EXPECT_EQ(Log("d").front().path, "/d/first");
  EXPECT_EQ(Log("d").front().kind, ChangeKind::kWrite);
  for (const LogRecord& record : Log("e")) EXPECT_EQ(record.path.substr(0, 2), "/e");
  VARVE_EXPECT_OK(fs().Rollback("d", then));
  EXPECT_EQ(ReadAll("d/first"), "one");
}

}  // namespace
}  // namespace varve
