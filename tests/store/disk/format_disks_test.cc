#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/store/disk/disk_set_fixture.h"

namespace varve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FormatDisksTest : public DiskSetFixture {
 protected:
  void SetUp() override {
    platters_ = MakeMemoryPlatters(3);
    disks_ = OpenMemoryDisks(platters_);
    options_.geometry = {2, 1};
  }
  std::vector<std::unique_ptr<Disk>> disks_;
  FormatOptions options_;
};

TEST_F(FormatDisksTest, LabelsEveryDiskOfOneVolume) {
  options_.volume_name = "mine";
  ASSERT_TRUE(FormatDisks(disks_, options_).ok());
  for (int i = 0; i < 3; ++i) {
    const DiskLabel label = LabelOn(i);
    EXPECT_EQ(label.volume_uuid, LabelOn(0).volume_uuid);
    EXPECT_EQ(label.volume_name, "mine");
    EXPECT_EQ(label.slot, Slot(i));
    EXPECT_EQ(label.slots, LabelOn(0).slots);
    EXPECT_EQ(label.slots[static_cast<std::size_t>(i)].last_path, "memory-" + std::to_string(i));
    EXPECT_EQ(label.epoch, Epoch(1));
    EXPECT_GT(label.created_ns, 0);
  }
  EXPECT_NE(LabelOn(0).disk_uuid, LabelOn(1).disk_uuid);
  for (const auto& platter : platters_) EXPECT_TRUE(platter->IsDurable());
}

TEST_F(FormatDisksTest, RefusesAMemberOfAVolumeByNameAndTouchesNothing) {
  ASSERT_TRUE(FormatDisks(std::span(disks_).subspan(2), {{1, 0}, "old", {}}).ok());
  Status formatted = FormatDisks(disks_, options_);
  ASSERT_FALSE(formatted.ok());
  EXPECT_EQ(formatted.error().code(), ErrorCode::kExists);
  EXPECT_THAT(formatted.error().message(), HasSubstr("memory-2"));
  EXPECT_TRUE(disks_[0]->List("")->empty());
  EXPECT_EQ(LabelOn(2).volume_name, "old");
}

TEST_F(FormatDisksTest, RefusesADiskThatHoldsSomethingElse) {
  ASSERT_TRUE(WriteAtomically(*disks_[1], "photos/cat", AsBytes("x")).ok());
  Status formatted = FormatDisks(disks_, options_);
  ASSERT_FALSE(formatted.ok());
  EXPECT_EQ(formatted.error().code(), ErrorCode::kNotEmpty);
  EXPECT_THAT(formatted.error().message(), HasSubstr("memory-1"));
}

TEST_F(FormatDisksTest, RemovesEverythingWhenToldTo) {
  ASSERT_TRUE(FormatDisks(disks_, options_).ok());
  const Uuid old = LabelOn(0).volume_uuid;
  ASSERT_TRUE(WriteAtomically(*disks_[1], "seg/0001", AsBytes("x")).ok());
  options_.existing = FormatOptions::Existing::kOverwrite;
  ASSERT_TRUE(FormatDisks(disks_, options_).ok());
  EXPECT_THAT(*disks_[1]->List(""), ElementsAre("label"));
  EXPECT_NE(LabelOn(0).volume_uuid, old);
}

TEST_F(FormatDisksTest, RefusesImpossibleGeometriesAndNames) {
  options_.geometry = {3, 1};
  EXPECT_EQ(FormatDisks(disks_, options_).error().code(), ErrorCode::kInvalidArgument);
  options_.geometry = {2, 1};
  options_.volume_name = std::string(65, 'n');
  EXPECT_EQ(FormatDisks(disks_, options_).error().code(), ErrorCode::kNameTooLong);
  EXPECT_TRUE(disks_[0]->List("")->empty());
}

TEST_F(FormatDisksTest, PassesOnAFailureToWrite) {
  controllers_.resize(3);
  disks_[1] = OpenDisk(1);
  Faults(1).FailSyncs();
  Status formatted = FormatDisks(disks_, options_);
  ASSERT_FALSE(formatted.ok());
  EXPECT_EQ(formatted.error().code(), ErrorCode::kIo);
  EXPECT_THAT(formatted.error().message(), HasSubstr("memory-1"));
}

}  // namespace
}  // namespace varve
