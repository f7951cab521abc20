#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/filesystem.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "store/disk/disk_label.h"
#include "store/disk/posix_disk.h"
#include "tests/support/temp_directory.h"
#include "tests/tools/run_verb.h"

namespace varve {
namespace {

namespace bfs = boost::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class MkfsTest : public testing::Test {
 protected:
  Args Disks(int count) {
    Args disks;
    for (int i = 0; i < count; ++i) disks.push_back(directory_ / ("disk" + std::to_string(i)));
    return disks;
  }
  VerbResult Mkfs(const Args& disks, const Args& options = {}) {
    Args words{"mkfs"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), disks.begin(), disks.end());
    return RunVerb(words);
  }
  static DiskLabel Label(const std::string& disk) {
    const auto opened = OpenPosixDisk(disk, DiskAccess::kReadOnly);
    EXPECT_TRUE(opened.ok());
    if (!opened.ok()) return {};
    const auto label = ReadLabel(**opened);
    EXPECT_TRUE(label.ok());
    return label.ok() ? *label : DiskLabel{};
  }
  TempDirectory directory_;
};

TEST_F(MkfsTest, MakesTheDirectoriesAndLabelsThem) {
  const VerbResult result = Mkfs(Disks(6), {"--label", "tank"});
  ASSERT_EQ(result.status, kExitOk) << result.err;
  EXPECT_THAT(result.out, HasSubstr("4+2 over 6 disks"));
  for (int i = 0; i < 6; ++i) {
    const DiskLabel label = Label(Disks(6)[static_cast<std::size_t>(i)]);
    EXPECT_EQ(label.geometry, (Geometry{4, 2}));
    EXPECT_EQ(label.volume_name, "tank");
    EXPECT_EQ(label.slot.value, i);
  }
}

TEST_F(MkfsTest, DirectoriesAreForTheOwnerAlone) {
  ASSERT_EQ(Mkfs(Disks(1)).status, kExitOk);
  EXPECT_EQ(bfs::status(Disks(1)[0]).permissions(), bfs::owner_all);
}

TEST_F(MkfsTest, WarnsOfNoParityAndOfSharedDevices) {
  EXPECT_THAT(Mkfs(Disks(1)).err, HasSubstr("no parity"));
  const VerbResult shared = Mkfs(Disks(3), {"--force"});
  EXPECT_THAT(shared.err, HasSubstr("not independent: " + Disks(1)[0]));
}

TEST_F(MkfsTest, PrintsJson) {
  const VerbResult result = Mkfs(Disks(4), {"--json", "--data", "3", "--parity", "1"});
  ASSERT_EQ(result.status, kExitOk) << result.err;
  const json made = json::parse(result.out);
  EXPECT_EQ(made.at("data"), 3);
  EXPECT_EQ(made.at("parity"), 1);
  EXPECT_EQ(made.at("disks").size(), 4u);
  EXPECT_EQ(made.at("volume_uuid"), Label(Disks(4)[0]).volume_uuid.ToString());
}

TEST_F(MkfsTest, RefusesADiskOfAVolumeUnlessForced) {
  ASSERT_EQ(Mkfs(Disks(2)).status, kExitOk);
  const Uuid first = Label(Disks(2)[0]).volume_uuid;
  const VerbResult again = Mkfs(Disks(2));
  EXPECT_EQ(again.status, kExitError);
  EXPECT_THAT(again.err, HasSubstr("a Varve volume already"));
  EXPECT_EQ(Label(Disks(2)[0]).volume_uuid, first);
  ASSERT_EQ(Mkfs(Disks(2), {"--force"}).status, kExitOk);
  EXPECT_NE(Label(Disks(2)[0]).volume_uuid, first);
}

TEST_F(MkfsTest, RefusesADirectoryWithOtherThings) {
  bfs::create_directories(directory_ / "disk0/precious");
  const VerbResult result = Mkfs(Disks(2));
  EXPECT_EQ(result.status, kExitError);
  EXPECT_THAT(result.err, HasSubstr("not empty"));
  EXPECT_TRUE(bfs::exists(directory_ / "disk0/precious"));
  EXPECT_FALSE(bfs::exists(directory_ / "disk1/label"));
}

TEST_F(MkfsTest, MakesOnlyTheLastComponent) {
  const VerbResult result = Mkfs({directory_ / "absent/disk"});
  EXPECT_EQ(result.status, kExitError);
  EXPECT_THAT(result.err, HasSubstr("absent/disk"));
}

TEST_F(MkfsTest, RefusesImpossibleGeometries) {
  EXPECT_EQ(Mkfs(Disks(3), {"--data", "3", "--parity", "1"}).status, kExitError);
  EXPECT_EQ(Mkfs(Disks(3), {"--data", "33"}).status, kExitError);
  EXPECT_EQ(Mkfs(Disks(3), {"--data", "many"}).status, kExitUsage);
  EXPECT_FALSE(bfs::exists(directory_ / "disk0"));
}

TEST_F(MkfsTest, RefusesDisksInOneAnotherAndTwice) {
  EXPECT_EQ(Mkfs({directory_ / "a", directory_ / "a"}).status, kExitError);
  bfs::create_directories(directory_ / "b");
  EXPECT_EQ(Mkfs({directory_ / "b", directory_ / "b/c"}).status, kExitError);
}

TEST_F(MkfsTest, StatusReadsTheLabelsOfAnUnmountedVolume) {
  ASSERT_EQ(Mkfs(Disks(4), {"--label", "tank"}).status, kExitOk);
  const VerbResult result = RunVerb({"status", Disks(4)[2], "--json"});
  ASSERT_EQ(result.status, kExitOk) << result.err;
  const json status = json::parse(result.out);
  EXPECT_EQ(status.at("state"), "ONLINE");
  EXPECT_EQ(status.at("mounted"), false);
  EXPECT_EQ(status.at("name"), "tank");
  EXPECT_EQ(status.at("disks").size(), 4u);
  EXPECT_EQ(status.at("next_step"), "");
}

TEST_F(MkfsTest, StatusTellsOfMissingDisksAndTheNextStep) {
  ASSERT_EQ(Mkfs(Disks(4)).status, kExitOk);
  bfs::remove_all(Disks(4)[1]);
  const VerbResult degraded = RunVerb({"status", Disks(4)[0], "--json"});
  ASSERT_EQ(degraded.status, kExitOk) << degraded.err;
  const json status = json::parse(degraded.out);
  EXPECT_EQ(status.at("state"), "DEGRADED");
  EXPECT_EQ(status.at("tolerable_losses"), 1);
  EXPECT_THAT(status.at("next_step").get<std::string>(),
              HasSubstr("--replace " + Disks(4)[1] + "=NEW"));
  EXPECT_THAT(RunVerb({"status", Disks(4)[0]}).out, HasSubstr("3 of 4 disks online"));
}

TEST_F(MkfsTest, StatusOfNothingSaysSo) {
  const VerbResult result = RunVerb({"status", directory_.path()});
  EXPECT_EQ(result.status, kExitError);
  EXPECT_THAT(result.err, HasSubstr("neither in a mounted volume nor a disk of one"));
}

}  // namespace
}  // namespace varve
