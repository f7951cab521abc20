#include "tools/mount_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_directory.h"
#include "tests/tools/run_verb.h"

namespace varve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

MountOptions Parsed(const std::string& text) {
  auto options = ParseMountOptions({text});
  EXPECT_TRUE(options.ok()) << text << ": " << (options.ok() ? "" : options.error().message());
  return options.ok() ? *options : MountOptions{};
}

std::string ErrorFor(const std::string& text) {
  const auto options = ParseMountOptions({text});
  EXPECT_FALSE(options.ok()) << text;
  return options.ok() ? "" : options.error().message();
}

TEST(MountOptions, UnderstandsEachOption) {
  const MountOptions options = Parsed(
      "ro,writeback,nodiratime,nonempty,snapdir=owner,memory=1G,commit=250,threads=4,log=/"
      "l,nosuid");
  EXPECT_TRUE(options.read_only);
  EXPECT_TRUE(options.writeback);
  EXPECT_TRUE(options.nonempty);
  EXPECT_TRUE(options.nodiratime);
  EXPECT_EQ(options.snapdir, SnapshotDirectory::kOwner);
  EXPECT_EQ(options.memory_bytes, 1ULL << 30);
  EXPECT_EQ(options.commit_interval, std::chrono::milliseconds(250));
  EXPECT_EQ(options.threads, 4u);
  EXPECT_EQ(options.log_file, "/l");
  EXPECT_THAT(options.generic, ElementsAre("nosuid"));
}

TEST(MountOptions, PassesOverWhatIsForMount) {
  const MountOptions options =
      Parsed("defaults,rw,noauto,user,_netdev,x-systemd.automount,X-mount.mkdir,nofail,comment=hi");
  EXPECT_FALSE(options.read_only);
  EXPECT_TRUE(options.generic.empty());
}

TEST(MountOptions, TheLastWordCounts) {
  EXPECT_FALSE(Parsed("ro,rw").read_only);
  EXPECT_FALSE(Parsed("allow_other,noallow_other").allow_other);
  const auto twice = ParseMountOptions({"snapdir=off", "snapdir=visible"});
  ASSERT_TRUE(twice.ok());
  EXPECT_EQ(twice->snapdir, SnapshotDirectory::kVisible);
}

TEST(MountOptions, NamesTheWordItDoesNotKnow) {
  EXPECT_THAT(ErrorFor("ro,frobnicate"), HasSubstr("frobnicate"));
  EXPECT_THAT(ErrorFor("colour=blue"), HasSubstr("colour=blue"));
}

TEST(MountOptions, ChecksEveryBound) {
  for (const char* text : {"commit=0", "commit=60001", "commit=1s", "commit=", "threads=1",
                           "threads=257", "memory=1M", "memory=lots", "memory=99999999999999999999",
                           "memory=18014398509481984K", "snapdir=blue", "snapdir=", "log="}) {
    ErrorFor(text);
  }
}

TEST(MountOptions, PartsOfMemoryStayWithinIt) {
  for (const char* text : {"memory=64M", "memory=512M", "memory=8G"}) {
    const MountOptions options = Parsed(text);
    const VolumeOptions volume = ToVolumeOptions(options);
    const FilesystemOptions filesystem = ToFilesystemOptions(options);
    EXPECT_LE(volume.pending_limit_bytes + volume.catalog.cache_bytes +
                  filesystem.write_buffer_bytes + volume.checkpoint_journal_bytes,
              options.memory_bytes)
        << text;
    EXPECT_GT(volume.pending_limit_bytes, volume.batch_bytes) << text;
  }
}

class MountRefusal : public testing::Test {
 protected:
  std::string ErrorOfMount(const Args& words) {
    Args all{"mount"};
    all.insert(all.end(), words.begin(), words.end());
    const VerbResult result = RunVerb(all);
    EXPECT_EQ(result.status, kExitError) << result.out;
    return result.err;
  }
  TempDirectory directory_;
};

TEST_F(MountRefusal, AMountpointMustBeAnEmptyDirectory) {
  boost::filesystem::create_directories(directory_ / "disk");
  boost::filesystem::create_directories(directory_ / "full/of/things");
  EXPECT_THAT(ErrorOfMount({directory_ / "disk", directory_ / "full"}), HasSubstr("not empty"));
  EXPECT_THAT(ErrorOfMount({directory_ / "disk", directory_ / "absent"}), HasSubstr("absent"));
  EXPECT_THAT(ErrorOfMount({directory_ / "disk", "/proc/version"}), HasSubstr("not a directory"));
}

TEST_F(MountRefusal, DiskAndMountpointMustNotLieInOneAnother) {
  boost::filesystem::create_directories(directory_ / "disk/inside");
  EXPECT_THAT(ErrorOfMount({directory_ / "disk", directory_ / "disk/inside"}),
              HasSubstr("must not lie in one another"));
  EXPECT_THAT(ErrorOfMount({"-o", "nonempty", directory_ / "disk/inside", directory_ / "disk"}),
              HasSubstr("must not lie in one another"));
}

TEST_F(MountRefusal, ADirectoryThatIsNoDiskIsNamed) {
  boost::filesystem::create_directories(directory_ / "plain");
  boost::filesystem::create_directories(directory_ / "mount");
  EXPECT_THAT(ErrorOfMount({directory_ / "plain", directory_ / "mount"}),
              HasSubstr(directory_ / "plain"));
}

TEST_F(MountRefusal, AnUnknownOptionIsNamed) {
  boost::filesystem::create_directories(directory_ / "disk");
  boost::filesystem::create_directories(directory_ / "mount");
  EXPECT_THAT(ErrorOfMount({"-o", "frobnicate", directory_ / "disk", directory_ / "mount"}),
              HasSubstr("option frobnicate"));
}

}  // namespace
}  // namespace varve
