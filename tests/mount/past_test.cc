// The past, through the kernel and through the command line.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"

namespace varve {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class PastTest : public MountedTest {
 protected:
  std::string At(const std::string& when, const std::string& name) {
    return volume_ / (".snapshots/" + when + "/" + name);
  }
};

TEST_F(PastTest, EveryMomentCanBeWalkedInto) {
  ::mkdir((volume_ / "d").c_str(), 0755);
  WriteFile(volume_ / "d/file", "first");
  const std::string then = Now();
  WriteFile(volume_ / "d/file", "second");
  ASSERT_EQ(::rename((volume_ / "d").c_str(), (volume_ / "e").c_str()), 0);
  EXPECT_EQ(ReadFile(At(then, "d/file")), "first");
  // A directory knows its own past, whatever it was called.
  EXPECT_EQ(ReadFile(volume_ / ("e/.snapshots/" + then + "/file")), "first");
  EXPECT_EQ(ReadFile(volume_ / "e/file"), "second");
  EXPECT_THAT(ListNames(At(then, "")), ElementsAre("d"));
}

TEST_F(PastTest, EveryClosedVersionIsKeptHoweverFast) {
  for (int i = 0; i < 10; ++i)
    WriteFile(volume_ / "file", std::string(static_cast<std::size_t>(i) + 1, 'v'));
  const auto log = VarveJson({"log", volume_ / "file"});
  std::vector<std::uint64_t> sizes;
  for (const auto& record : log) {
    if (record.at("change") == "write") sizes.push_back(record.at("size"));
  }
  EXPECT_THAT(sizes, ElementsAre(10, 9, 8, 7, 6, 5, 4, 3, 2, 1));
  for (const auto& record : log) {
    const std::string when = "@" + std::to_string(record.at("lsn").get<std::uint64_t>());
    EXPECT_EQ(ReadFile(At(when, "file")).size(), record.at("size").get<std::size_t>()) << when;
  }
}

TEST_F(PastTest, IsNotListedUnlessAsked) {
  WriteFile(volume_ / "file", "x");
  EXPECT_THAT(ListNames(volume_ / ""), ElementsAre("file"));
  EXPECT_TRUE(PathExists(volume_ / ".snapshots"));
  Remount("snapdir=visible");
  EXPECT_THAT(ListNames(volume_ / ""), ElementsAre(".snapshots", "file"));
  Remount("snapdir=off");
  EXPECT_FALSE(PathExists(volume_ / ".snapshots"));
  const RunResult result = volume_.Run({"cat", volume_ / "file", "--at", "now"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("snapdir=off"));
}

TEST_F(PastTest, CannotBeChanged) {
  WriteFile(volume_ / "file", "x");
  const std::string then = Now();
  EXPECT_LT(::open(At(then, "file").c_str(), O_WRONLY), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(::open(At(then, "new").c_str(), O_WRONLY | O_CREAT, 0600), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_NE(::unlink(At(then, "file").c_str()), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_NE(::chmod(At(then, "file").c_str(), 0), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_NE(::rename(At(then, "file").c_str(), At(then, "other").c_str()), 0);
}

TEST_F(PastTest, SnapshotsAreMadeAndRemovedAsDirectories) {
  WriteFile(volume_ / "file", "before");
  ASSERT_EQ(::mkdir((volume_ / ".snapshots/mine").c_str(), 0755), 0);
  WriteFile(volume_ / "file", "after");
  EXPECT_EQ(ReadFile(At("mine", "file")), "before");
  EXPECT_THAT(ListNames(volume_ / ".snapshots"), Contains("mine"));
  EXPECT_NE(::mkdir((volume_ / ".snapshots/mine").c_str(), 0755), 0);
  EXPECT_EQ(errno, EEXIST);
  ASSERT_EQ(::rmdir((volume_ / ".snapshots/mine").c_str()), 0);
  EXPECT_FALSE(PathExists(volume_ / ".snapshots/mine"));
  EXPECT_THAT(ListNames(volume_ / ".snapshots"), Not(Contains("mine")));
}

TEST_F(PastTest, SnapshotsOfTheCommandLineAreSeenAtOnce) {
  WriteFile(volume_ / "file", "before");
  EXPECT_FALSE(PathExists(volume_ / ".snapshots/named"));
  Varve({"snapshot", "create", "named", "--on", volume_.mountpoint()});
  WriteFile(volume_ / "file", "after");
  EXPECT_EQ(ReadFile(At("named", "file")), "before");
  const auto list = VarveJson({"snapshot", "list", "--on", volume_ / "file"});
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].at("name"), "named");
  EXPECT_EQ(volume_.Run({"snapshot", "create", "named", "--on", volume_.mountpoint()}).status, 1);
  EXPECT_EQ(volume_.Run({"snapshot", "create", "2h-ago", "--on", volume_.mountpoint()}).status, 1);
  Varve({"snapshot", "delete", "named", "--on", volume_.mountpoint()});
  EXPECT_FALSE(PathExists(volume_ / ".snapshots/named"));
  EXPECT_EQ(volume_.Run({"snapshot", "delete", "named", "--on", volume_.mountpoint()}).status, 1);
}

TEST_F(PastTest, VersionsOfAFileAreFiles) {
  WriteFile(volume_ / "file", "one");
  WriteFile(volume_ / "file", "two!");
  const std::string versions = volume_ / ".snapshots/versions/file";
  std::vector<std::string> contents;
  for (const std::string& name : ListNames(versions))
    contents.push_back(ReadFile(versions + "/" + name));
  EXPECT_THAT(contents, Contains("one"));
  EXPECT_THAT(contents, Contains("two!"));
}

TEST_F(PastTest, CommandsShowWhatIsGone) {
  ::mkdir((volume_ / "d").c_str(), 0755);
  WriteFile(volume_ / "d/file", "precious");
  const std::string then = Now();
  ASSERT_EQ(::unlink((volume_ / "d/file").c_str()), 0);
  const auto log = VarveJson({"log", volume_ / "d/file"});
  ASSERT_FALSE(log.empty());
  EXPECT_EQ(log[0].at("deleted"), true);
  ASSERT_EQ(::rmdir((volume_ / "d").c_str()), 0);
  EXPECT_EQ(Varve({"cat", volume_ / "d/file", "--at", then}), "precious");
  EXPECT_THAT(Varve({"ls", volume_ / "d", "--at", then}), HasSubstr("file"));
  EXPECT_EQ(VarveJson({"ls", volume_ / "d", "--at", then})[0].at("size"), 8);
  EXPECT_EQ(VarveJson({"stat", volume_ / "d/file", "--at", then}).at("type"), "regular file");
  const RunResult never = volume_.Run({"cat", volume_ / "d/never", "--at", then});
  EXPECT_EQ(never.status, 1);
  EXPECT_THAT(never.err, HasSubstr("did not exist at"));
}

TEST_F(PastTest, ImpossibleMomentsAreExplained) {
  WriteFile(volume_ / "file", "x");
  for (const char* when :
       {"2026-13-45", "1971-01-01", "2199-01-01", "@999999999", "nosuchsnapshot"}) {
    const RunResult result = volume_.Run({"cat", volume_ / "file", "--at", when});
    EXPECT_EQ(result.status, 1) << when;
    EXPECT_THAT(result.err, testing::StartsWith("varve cat: ")) << when;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_FALSE(PathExists(volume_ / (std::string(".snapshots/") + when))) << when;
  }
}

TEST_F(PastTest, RestoresFilesAndTrees) {
  ::mkdir((volume_ / "d").c_str(), 0755);
  ::mkdir((volume_ / "d/sub").c_str(), 0700);
  WriteFile(volume_ / "d/sub/file", "as it was");
  ASSERT_EQ(::link((volume_ / "d/sub/file").c_str(), (volume_ / "d/link").c_str()), 0);
  const std::string then = Now();
  WriteFile(volume_ / "d/sub/file", "spoiled");
  Varve({"restore", volume_ / "d/sub/file", "--at", then});
  EXPECT_EQ(ReadFile(volume_ / "d/sub/file"), "as it was");
  EXPECT_EQ(ReadFile(volume_ / "d/link"), "spoiled");

  const RunResult refused = volume_.Run({"restore", volume_ / "d", "--at", then});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("varve rollback"));
  Varve({"restore", volume_ / "d", "--at", then, "--to", volume_.Outside("copy")});
  EXPECT_EQ(ReadFile(volume_.Outside("copy/link")), "as it was");
  struct stat link{};
  struct stat file{};
  ASSERT_EQ(::stat(volume_.Outside("copy/link").c_str(), &link), 0);
  ASSERT_EQ(::stat(volume_.Outside("copy/sub/file").c_str(), &file), 0);
  EXPECT_EQ(link.st_ino, file.st_ino);
  EXPECT_THAT(ListNames(volume_ / "d"), ElementsAre("link", "sub"));
}

TEST_F(PastTest, ARollbackIsSeenThroughTheKernelsCaches) {
  WriteFile(volume_ / "file", "before");
  WriteFile(volume_ / "gone", "g");
  ::mkdir((volume_ / "d").c_str(), 0755);
  const std::string then = Now();
  WriteFile(volume_ / "file", "after, and longer");
  WriteFile(volume_ / "new", "n");
  ASSERT_EQ(::unlink((volume_ / "gone").c_str()), 0);
  ASSERT_EQ(::rmdir((volume_ / "d").c_str()), 0);
  // Fill the caches: contents, attributes, listings, and that names mean nothing.
  EXPECT_EQ(ReadFile(volume_ / "file"), "after, and longer");
  EXPECT_THAT(ListNames(volume_ / ""), ElementsAre("file", "new"));
  EXPECT_FALSE(PathExists(volume_ / "gone"));
  const UniqueFd open_now(::open((volume_ / "file").c_str(), O_RDONLY | O_CLOEXEC));
  const std::string between = Now();

  const auto done = VarveJson({"rollback", volume_.mountpoint(), "--to", then});
  EXPECT_GT(done.at("changed"), 0);
  EXPECT_EQ(ReadFile(volume_ / "file"), "before");
  EXPECT_EQ(ReadFile(volume_ / "gone"), "g");
  EXPECT_THAT(ListNames(volume_ / ""), ElementsAre("d", "file", "gone"));
  EXPECT_FALSE(PathExists(volume_ / "new"));
  char bytes[32] = {};
  EXPECT_EQ(::pread(open_now.get(), bytes, sizeof(bytes), 0), 6);
  EXPECT_STREQ(bytes, "before");

  // A rollback is a version, so it can be taken back.
  Varve({"rollback", volume_.mountpoint(), "--to", between});
  EXPECT_EQ(ReadFile(volume_ / "file"), "after, and longer");
  EXPECT_THAT(ListNames(volume_ / ""), ElementsAre("file", "new"));
}

TEST_F(PastTest, ARollbackOfOneFileLeavesOthersAlone) {
  WriteFile(volume_ / "a", "a1");
  WriteFile(volume_ / "b", "b1");
  const std::string then = Now();
  WriteFile(volume_ / "a", "a2");
  WriteFile(volume_ / "b", "b2");
  EXPECT_THAT(Varve({"rollback", volume_ / "a", "--to", then}), HasSubstr("to undo: "));
  EXPECT_EQ(ReadFile(volume_ / "a"), "a1");
  EXPECT_EQ(ReadFile(volume_ / "b"), "b2");
  EXPECT_THAT(Varve({"rollback", volume_ / "a", "--to", then}), HasSubstr("nothing had to change"));
}

// The kernel lets nobody into a directory that it has removed, for as long as somebody has it open,
// whatever has become of it since.
TEST_F(PastTest, ADirectoryThatSomebodyIsInComesBack) {
  ASSERT_EQ(::mkdir((volume_ / "d").c_str(), 0755), 0);
  WriteFile(volume_ / "d/file", "text");
  const std::string then = Now();
  UniqueFd inside(::open((volume_ / "d").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(inside);
  UniqueFd there(::open((volume_ / "d").c_str(), O_PATH | O_CLOEXEC));
  ASSERT_EQ(::unlink((volume_ / "d/file").c_str()), 0);
  ASSERT_EQ(::rmdir((volume_ / "d").c_str()), 0);
  Varve({"rollback", volume_.mountpoint(), "--to", then});
  EXPECT_EQ(ReadFile(volume_ / "d/file"), "text");
  EXPECT_THAT(ListNames(volume_ / "d"), ElementsAre("file"));
  WriteFile(volume_ / "d/new", "new");
  EXPECT_EQ(ReadFile(volume_ / "d/new"), "new");
  ASSERT_EQ(::mkdir((volume_ / "d/sub").c_str(), 0755), 0);
  // And once more, with what is open of both.
  const std::string later = Now();
  UniqueFd again(::open((volume_ / "d").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Varve({"rollback", volume_.mountpoint(), "--to", then});
  EXPECT_THAT(ListNames(volume_ / "d"), ElementsAre("file"));
  ASSERT_EQ(::unlink((volume_ / "d/file").c_str()), 0);
  ASSERT_EQ(::rmdir((volume_ / "d").c_str()), 0);
  Varve({"rollback", volume_.mountpoint(), "--to", later});
  EXPECT_THAT(ListNames(volume_ / "d"), ElementsAre("file", "new", "sub"));
  WriteFile(volume_ / "d/sub/file", "x");
  for (UniqueFd* fd : {&inside, &there, &again}) fd->Reset();
  Remount();
  EXPECT_EQ(ReadFile(volume_ / "d/sub/file"), "x");
}

// The kernel reads ahead with several requests at once, and remembers the size it knew.
TEST_F(PastTest, AFileRolledBackWhileItIsOpenEndsWhereItEndedThen) {
  constexpr std::size_t kThen = 786'432;
  const std::string name = volume_ / "file";
  for (int round = 0; round < 5; ++round) {
    WriteFile(name, std::string(kThen, 's'));
    const std::string then = Now();
    WriteFile(name, std::string(8'000'000, 'l'));
    const UniqueFd open(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    std::string bytes(4'000'000, '?');
    ASSERT_EQ(::pread(open.get(), bytes.data(), bytes.size(), 0), std::ssize(bytes));
    Varve({"rollback", name, "--to", then});
    EXPECT_EQ(::pread(open.get(), bytes.data(), bytes.size(), 0),
              std::ssize(bytes.substr(0, kThen)));
    EXPECT_EQ(::pread(open.get(), bytes.data(), 100, kThen + 300'000), 0);
  }
}

// With a writeback cache the kernel takes no size from the daemon for a file that it knows.
TEST_F(PastTest, AFileRolledBackHasItsSizeOfThenWithAWritebackCacheToo) {
  Remount("writeback");
  const std::string name = volume_ / "file";
  WriteFile(name, "short");
  ASSERT_EQ(::link(name.c_str(), (volume_ / "other name").c_str()), 0);
  const std::string then = Now();
  WriteFile(name, std::string(100'000, 'l'));
  const std::string later = Now();
  EXPECT_EQ(ReadFile(volume_ / "other name").size(), 100'000u);
  Varve({"rollback", name, "--to", then});
  EXPECT_EQ(ReadFile(name), "short");
  EXPECT_EQ(ReadFile(volume_ / "other name"), "short");
  {
    // Who has it open hears that it is another file now; who opens it sees it.
    const UniqueFd open(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    Varve({"rollback", volume_.mountpoint(), "--to", later});
    EXPECT_EQ(ReadFile(name), std::string(100'000, 'l'));
    char byte = 0;
    EXPECT_EQ(::pread(open.get(), &byte, 1, 50), -1);
    EXPECT_EQ(errno, EIO);
  }
  WriteFile(name, "written anew");
  Remount("writeback");
  EXPECT_EQ(ReadFile(volume_ / "other name"), "written anew");
}

TEST_F(PastTest, VersionsAreFoundOneByOneAsTheyAreListed) {
  constexpr int kVersions = 300;
  for (int i = 0; i < kVersions; ++i) WriteFile(volume_ / "file", std::string(1 + i % 50, 'v'));
  const std::string directory = volume_ / ".snapshots/versions/file";
  std::vector<std::string> names = ListNames(directory);
  ASSERT_GE(names.size(), static_cast<std::size_t>(kVersions));
  for (const std::string& name : names) EXPECT_TRUE(PathExists(directory + "/" + name)) << name;
  EXPECT_FALSE(PathExists(directory + "/" + Now()));
  // What happens later is found too, though the list has been made.
  WriteFile(volume_ / "file", "later");
  const std::vector<std::string> more = ListNames(directory);
  EXPECT_GT(more.size(), names.size());
  EXPECT_EQ(ReadFile(directory + "/" + more.back()), "later");
  ASSERT_EQ(::unlink((volume_ / "file").c_str()), 0);
  EXPECT_EQ(ReadFile(directory + "/" + more.back()), "later");
  EXPECT_FALSE(PathExists(volume_ / ".snapshots/versions/never"));
}

}  // namespace
}  // namespace varve
