// Which disks make up a volume, and which are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/codec/checksum.h"
#include "tests/store/disk/disk_set_fixture.h"

namespace varve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Assemble : public DiskSetFixture {
 protected:
  // The two directories of a copied disk hold the same.
  void CopyDisk(int from, int to) {
    MemoryDisk source(platters_[static_cast<std::size_t>(from)]);
    MemoryDisk target(platters_[static_cast<std::size_t>(to)]);
    auto label = ReadWhole(source, kLabelObject, 1 << 20);
    ASSERT_TRUE(WriteAtomically(target, kLabelObject, *label).ok());
  }
};

TEST_F(Assemble, FindsAllDisksInAnyOrder) {
  Format({2, 1}, 3);
  Open({2, 0, 1});
  EXPECT_THAT(Online(), ElementsAre(0, 1, 2));
  EXPECT_EQ(set_->size(), 3);
  EXPECT_EQ(set_->geometry(), (Geometry{2, 1}));
  EXPECT_EQ(set_->epoch(), Epoch(1));
  EXPECT_EQ(set_->label().volume_name, "sample");
  EXPECT_TRUE(set_->writable());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(set_->online(Slot(i))->Describe(), "memory-" + std::to_string(i));
  }
  EXPECT_EQ(set_->online(Slot(3)), nullptr);
}

TEST_F(Assemble, WritesNothing) {
  Format({2, 1}, 4);
  Open({0, 1, 3});
  for (int i : {0, 1, 3}) {
    EXPECT_EQ(Faults(i).count(DiskOperation::kWrite), 0u);
    EXPECT_EQ(Faults(i).count(DiskOperation::kName), 0u);
    EXPECT_EQ(LabelOn(i).epoch, Epoch(1));
  }
}

TEST_F(Assemble, TakesNullsForAbsentDisks) {
  Format({2, 1}, 3);
  std::vector<std::unique_ptr<Disk>> disks;
  disks.push_back(OpenDisk(0));
  disks.push_back(nullptr);
  disks.push_back(OpenDisk(2));
  auto set = DiskSet::Assemble(std::move(disks));
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set.value()->state(Slot(1)), DiskState::kMissing);
}

TEST_F(Assemble, ReportsWhatIsMissingAndWhereItWas) {
  Format({2, 1}, 3);
  Open({0, 2});
  const auto report = set_->Report();
  ASSERT_EQ(report.size(), 3u);
  EXPECT_EQ(report[0].state, DiskState::kOnline);
  EXPECT_TRUE(report[0].space.has_value());
  EXPECT_EQ(report[0].reason, "");
  EXPECT_EQ(report[1].state, DiskState::kMissing);
  EXPECT_EQ(report[1].path, "memory-1");
  EXPECT_FALSE(report[1].reason.empty());
  EXPECT_FALSE(report[1].space.has_value());
  EXPECT_EQ(report[1].uuid, set_->label().slots[1].disk_uuid);
}

TEST_F(Assemble, NeedsAsManyDisksAsDataColumns) {
  Format({3, 2}, 5);
  auto set = TryOpen({1, 4});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code(), ErrorCode::kTooFewDisks);
  EXPECT_THAT(set.error().message(), HasSubstr("needs 3 disks and has 2"));
  for (const char* missing : {"last at memory-0", "last at memory-2", "last at memory-3"}) {
    EXPECT_THAT(set.error().message(), HasSubstr(missing));
  }
}

TEST_F(Assemble, NeedsADisk) {
  EXPECT_EQ(DiskSet::Assemble({}).error().code(), ErrorCode::kTooFewDisks);
}

TEST_F(Assemble, RefusesAForeignDiskByName) {
  Format({1, 1}, 2);
  const auto foreign = platters_[1];
  Format({1, 1}, 3);
  platters_[1] = foreign;
  auto set = TryOpen({0, 1, 2});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code(), ErrorCode::kStale);
  EXPECT_THAT(set.error().message(), HasSubstr("memory-1 belongs to another volume"));
}

TEST_F(Assemble, RefusesACopyByBothNames) {
  Format({1, 1}, 2);
  const int copy = AddPlatter();
  CopyDisk(1, copy);
  auto set = TryOpen({0, 1, copy});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code(), ErrorCode::kExists);
  EXPECT_THAT(set.error().message(), HasSubstr("memory-1 and fresh-2"));
  EXPECT_THAT(set.error().message(), HasSubstr("copy"));
}

TEST_F(Assemble, RefusesANewerFormatByName) {
  Format({1, 1}, 2);
  const ByteVector label = EncodeLabel(LabelOn(1));
  Encoder newer;
  newer.Raw(ByteSpan(label).first(label.size() - 8));
  newer.PatchU32(8, 99);
  newer.U64(Checksum(newer.bytes()));
  MemoryDisk disk(platters_[1]);
  ASSERT_TRUE(WriteAtomically(disk, kLabelObject, newer.bytes()).ok());
  auto set = TryOpen({0, 1});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(set.error().message(), HasSubstr("memory-1"));
  EXPECT_THAT(set.error().message(), HasSubstr("99"));
}

TEST_F(Assemble, GoesOnWithoutADiskWhoseLabelIsDamaged) {
  Format({2, 1}, 3);
  MemoryDisk disk(platters_[1]);
  ASSERT_TRUE(FlipBit(disk, kLabelObject, 40, 3).ok());
  Open({0, 1, 2});
  EXPECT_THAT(Online(), ElementsAre(0, 2));
  EXPECT_THAT(set_->Report()[1].reason, HasSubstr("damaged"));
}

TEST_F(Assemble, GoesOnWithoutADiskThatHasBeenEmptied) {
  Format({2, 1}, 3);
  platters_[0]->Wipe();
  Open({0, 1, 2});
  EXPECT_THAT(Online(), ElementsAre(1, 2));
  EXPECT_THAT(set_->Report()[0].reason, HasSubstr("no label"));
}

TEST_F(Assemble, RefusesADirectoryThatIsNoDiskOfAnyVolume) {
  Format({2, 1}, 3);
  const int empty = AddPlatter();
  auto set = TryOpen({0, 1, empty});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(set.error().message(), HasSubstr("fresh-3: not a Varve disk"));
  EXPECT_THAT(TryOpen({empty}).error().message(), HasSubstr("fresh-3"));
}

TEST_F(Assemble, KeepsAStaleDiskOut) {
  Format({2, 2}, 4);
  GoOnWith({0, 1, 2});
  Open({0, 1, 2, 3});
  EXPECT_THAT(Online(), ElementsAre(0, 1, 2));
  EXPECT_EQ(set_->state(Slot(3)), DiskState::kStale);
  EXPECT_EQ(set_->online(Slot(3)), nullptr);
  EXPECT_THAT(set_->Report()[3].reason, HasSubstr("its epoch is 1, the volume's 2"));
}

TEST_F(Assemble, CountsStaleDisksForNothing) {
  Format({2, 0}, 3);
  GoOnWith({0, 1});
  auto set = TryOpen({0, 2});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code(), ErrorCode::kTooFewDisks);
  EXPECT_THAT(set.error().message(), HasSubstr("stale"));
}

TEST_F(Assemble, RefusesASplitVolumeByBothNames) {
  Format({1, 1}, 4);
  GoOnWith({0, 1});
  GoOnWith({2, 3});
  auto set = TryOpen({0, 1, 2, 3});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code(), ErrorCode::kStale);
  EXPECT_THAT(set.error().message(), HasSubstr("split"));
  EXPECT_THAT(set.error().message(), HasSubstr("memory-0"));
  EXPECT_THAT(set.error().message(), HasSubstr("memory-2"));
  EXPECT_TRUE(TryOpen({0, 1}).ok());
  EXPECT_TRUE(TryOpen({2, 3}).ok());
}

TEST_F(Assemble, RefusesASplitVolumeWhoseHalvesHaveDifferentEpochs) {
  Format({1, 0}, 4);
  GoOnWith({0, 1});
  GoOnWith({1});
  GoOnWith({2, 3});
  auto set = TryOpen({1, 3});
  ASSERT_FALSE(set.ok());
  EXPECT_THAT(set.error().message(), HasSubstr("split"));
}

TEST_F(Assemble, LetsInDisksWhoseStepToTheNewestEpochWasCutShort) {
  Format({2, 2}, 5);
  Open({0, 1, 2, 3});
  // The labels are written at once; those of two disks do not get through, and then the power goes.
  for (int i : {1, 2}) Faults(i).FailWrites();
  EXPECT_FALSE(set_->BeginEpoch().ok());
  EXPECT_EQ(LabelOn(0).epoch, Epoch(2));
  EXPECT_EQ(LabelOn(1).epoch, Epoch(1));
  Open({0, 1, 2, 3});
  EXPECT_THAT(Online(), ElementsAre(0, 1, 2, 3));
  ASSERT_TRUE(set_->BeginEpoch().ok());
  for (int i : {0, 1, 2, 3}) EXPECT_EQ(LabelOn(i).epoch, Epoch(3));
  EXPECT_EQ(LabelOn(0).epoch_id, LabelOn(1).epoch_id);
}

TEST_F(Assemble, TakesADiskWithAnUnfinishedStepForStaleOnceTheOthersWentOn) {
  Format({2, 2}, 5);
  Open({0, 1, 2, 3, 4});
  for (int i : {1, 2, 3, 4}) Faults(i).FailWrites();
  EXPECT_FALSE(set_->Fail(Slot(4), Why()).ok());
  ASSERT_EQ(LabelOn(0).epoch, Epoch(2));
  ASSERT_EQ(LabelOn(1).epoch, Epoch(1));
  GoOnWith({1, 2, 3, 4});  // to another epoch 2, without disk 0
  Open({0, 1, 2, 3, 4});
  EXPECT_THAT(Online(), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(set_->state(Slot(0)), DiskState::kStale);
}

TEST_F(Assemble, RefusesDisksThatDisagreeOnTheGeometry) {
  Format({1, 1}, 3);
  DiskLabel label = LabelOn(2);
  label.geometry = {1, 2};
  MemoryDisk disk(platters_[2]);
  ASSERT_TRUE(WriteLabel(disk, label).ok());
  auto set = TryOpen({0, 1, 2});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(set.error().message(), HasSubstr("memory-2"));
}

}  // namespace
}  // namespace varve
