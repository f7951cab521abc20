// When something was last read: moved as relatime says, without a version.
#include "fs/core/read_times.h"

#include <map>

#include "tests/fs/core/filesystem_fixture.h"

namespace varve {
namespace {

constexpr TimeNs kOneHour = 3600 * kNsPerSecond;

InodeAttributes WithTimes(TimeNs atime, TimeNs mtime, TimeNs ctime) {
  InodeAttributes attributes;
  attributes.atime_ns = atime;
  attributes.mtime_ns = mtime;
  attributes.ctime_ns = ctime;
  return attributes;
}

TEST(ReadTimes, AReadIsDueOnceAfterEachChangeAndOnceADay) {
  ReadTimes times;
  const InodeId inode(7);
  const TimeNs now = 1000 * kOneHour;
  EXPECT_TRUE(times.IsDue(inode, WithTimes(now - 3, now - 3, now - 4), now));
  EXPECT_TRUE(times.IsDue(inode, WithTimes(now - 3, now - 4, now - 3), now));
  EXPECT_FALSE(times.IsDue(inode, WithTimes(now - 3, now - 4, now - 4), now));
  EXPECT_TRUE(times.IsDue(inode, WithTimes(now - 24 * kOneHour, 0, 0), now));
  EXPECT_FALSE(times.IsDue(inode, WithTimes(now - 24 * kOneHour + 1, 0, 0), now));
  EXPECT_FALSE(times.IsDue(inode, WithTimes(now + kOneHour, 0, 0), now)) << "a time to come";

  const InodeAttributes changed = WithTimes(now - 3, now - 3, now - 3);
  times.Note(inode, now);
  EXPECT_FALSE(times.IsDue(inode, changed, now + kOneHour));
  EXPECT_TRUE(times.IsDue(InodeId(8), changed, now));
  EXPECT_TRUE(times.IsDue(inode, changed, now + 24 * kOneHour));
  EXPECT_TRUE(times.IsDue(inode, WithTimes(now - 3, now + 1, now + 1), now + 2));
}

TEST(ReadTimes, TheLaterTimeCountsUntilItIsForgotten) {
  ReadTimes times;
  times.Note(InodeId(7), 50);
  EXPECT_EQ(times.Newest(InodeId(7), 20), 50);
  EXPECT_EQ(times.Newest(InodeId(7), 60), 60);
  EXPECT_EQ(times.Newest(InodeId(8), 20), 20);
  times.Forget(InodeId(7));
  EXPECT_EQ(times.Newest(InodeId(7), 20), 20);
}

TEST(ReadTimes, ForgetsSomeRatherThanGrow) {
  ReadTimes times;
  constexpr std::uint64_t kMany = 200'000;
  for (std::uint64_t i = 1; i <= kMany; ++i) times.Note(InodeId(i), 50);
  std::uint64_t known = 0;
  for (std::uint64_t i = 1; i <= kMany; ++i) known += times.Newest(InodeId(i), 0) == 50 ? 1 : 0;
  EXPECT_EQ(known, 65'536u);
  EXPECT_EQ(times.Newest(InodeId(kMany), 0), 50) << "what came last is known";
}

class Reading : public FilesystemFixture {
 protected:
  TimeNs AtimeOf(std::string_view path) { return ToNs(Stat(path).st_atim); }
  TimeNs MtimeOf(std::string_view path) { return ToNs(Stat(path).st_mtim); }

 private:
  static TimeNs ToNs(const timespec& time) { return time.tv_sec * kNsPerSecond + time.tv_nsec; }
};

TEST_F(Reading, MovesTheAtimeOnceAndMakesNoVersion) {
  VARVE_ASSERT_OK(Write("f", "text"));
  const Lsn before = Last();
  EXPECT_LT(AtimeOf("f"), MtimeOf("f"));
  EXPECT_EQ(ReadAll("f"), "text");
  const TimeNs read = AtimeOf("f");
  EXPECT_GT(read, MtimeOf("f"));
  EXPECT_EQ(ReadAll("f"), "text");
  EXPECT_EQ(AtimeOf("f"), read);
  disks_.clock().Advance(25 * kOneHour);
  EXPECT_EQ(ReadAll("f"), "text");
  EXPECT_GT(AtimeOf("f"), read);
  EXPECT_EQ(Last(), before);
}

TEST_F(Reading, OfDirectoriesAndLinksCountsAsWell) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/f", "x"));
  VARVE_ASSERT_OK(fs().Symlink(NodeId(kRootInode.value), "l", "d", caller_));
  EXPECT_LT(AtimeOf("d"), MtimeOf("d"));
  EXPECT_EQ(Names("d"), std::vector<std::string>{"f"});
  EXPECT_GT(AtimeOf("d"), MtimeOf("d"));
  EXPECT_EQ(AtimeOf("l"), MtimeOf("l"));
  EXPECT_EQ(*fs().ReadLink(Node("l")), "d");
  EXPECT_GT(AtimeOf("l"), MtimeOf("l"));
}

TEST_F(Reading, IsKeptFromTheNextChangeOn) {
  VARVE_ASSERT_OK(Write("f", "text"));
  EXPECT_EQ(ReadAll("f"), "text");
  const TimeNs read = AtimeOf("f");
  SetAttributes set;
  set.mode = 0600;
  VARVE_ASSERT_OK(fs().Set(Node("f"), set, caller_));
  EXPECT_EQ(AtimeOf("f"), read);
  Remount();
  EXPECT_EQ(AtimeOf("f"), read);
  EXPECT_EQ(AtimeOf(Then(Last(), "f")), read);
}

TEST_F(Reading, OutlivesUnmountingWithoutAVersion) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  for (int i = 0; i < 20; ++i) VARVE_ASSERT_OK(Write("d/" + std::to_string(i), "text"));
  VARVE_ASSERT_OK(Write("gone", "text"));
  std::map<std::string, TimeNs> read;
  for (const std::string& name : Names("d")) {
    EXPECT_EQ(ReadAll("d/" + name), "text");
    read["d/" + name] = AtimeOf("d/" + name);
  }
  read["d"] = AtimeOf("d");
  EXPECT_EQ(ReadAll("gone"), "text");
  VARVE_ASSERT_OK(Remove("gone"));
  const auto logged = [&] { return Log("/").size() + Log("d/7").size(); };
  const std::size_t before = logged();
  Remount();
  for (const auto& [path, time] : read) EXPECT_EQ(AtimeOf(path), time) << path;
  EXPECT_EQ(logged(), before);
}

TEST_F(Reading, ATimeThatIsSetCounts) {
  VARVE_ASSERT_OK(Write("f", "text"));
  EXPECT_EQ(ReadAll("f"), "text");
  SetAttributes set;
  set.atime_ns = 5 * kNsPerSecond;
  VARVE_ASSERT_OK(fs().Set(Node("f"), set, caller_));
  EXPECT_EQ(AtimeOf("f"), 5 * kNsPerSecond);
}

TEST_F(Reading, WithoutWishingToBeSeenMovesNothing) {
  VARVE_ASSERT_OK(Write("f", "text"));
  const TimeNs before = AtimeOf("f");
  const FileHandle handle = Open("f", O_RDONLY | O_NOATIME);
  EXPECT_EQ(ReadAt(handle, 0, 4), "text");
  VARVE_EXPECT_OK(CloseFile(handle));
  EXPECT_EQ(AtimeOf("f"), before);
  Unmount();
  VARVE_ASSERT_OK(disks_.Reopen());
  options_.atime = AtimePolicy::kNotDirectories;
  Mount();
  const TimeNs listed = AtimeOf("/");
  EXPECT_EQ(Names("/"), std::vector<std::string>{"f"});
  EXPECT_EQ(AtimeOf("/"), listed);
  Unmount();
  VARVE_ASSERT_OK(disks_.Reopen());
  options_.atime = AtimePolicy::kNever;
  Mount();
  EXPECT_EQ(ReadAll("f"), "text");
  EXPECT_EQ(AtimeOf("f"), before);
}

TEST_F(Reading, IsSeenWhenTheKernelHasTheBytesAlready) {
  const auto keeps_cache = [&](int flags) {
    const Result<OpenResult> open = fs().Open(Node("f"), flags);
    EXPECT_TRUE(open.ok());
    if (!open.ok()) return false;
    fs().Release(open->handle);
    return open->keep_cache;
  };
  VARVE_ASSERT_OK(Write("f", "text"));
  EXPECT_TRUE(keeps_cache(O_RDONLY | O_NOATIME));
  EXPECT_FALSE(keeps_cache(O_RDONLY)) << "nobody has read it since it was written";
  EXPECT_EQ(ReadAll("f"), "text");
  EXPECT_TRUE(keeps_cache(O_RDONLY));
  VARVE_ASSERT_OK(Write("f", std::string(200'000, 'x')));
  EXPECT_TRUE(keeps_cache(O_RDONLY)) << "reading that much anew would cost more than it is worth";
}

}  // namespace
}  // namespace varve
