#include "store/disk/overlay_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

using testing::ElementsAre;

class OverlayDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    MemoryDisk disk(platter_);
    Write(disk, "seg/a", std::string(200'000, 'a'));
    Write(disk, "seg/b", "below");
    Write(disk, "label", "label");
    controller_ = std::make_shared<FaultController>();
    overlay_ = std::make_unique<OverlayDisk>(
        std::make_unique<FaultyDisk>(std::make_unique<MemoryDisk>(platter_), controller_));
  }
  void TearDown() override {
    EXPECT_EQ(controller_->count(DiskOperation::kWrite), 0u);
    EXPECT_EQ(controller_->count(DiskOperation::kTruncate), 0u);
    EXPECT_EQ(controller_->count(DiskOperation::kName), 0u);
    EXPECT_EQ(controller_->count(DiskOperation::kSync), 0u);
    MemoryDisk disk(platter_);
    EXPECT_EQ(Read(disk, "seg/a"), std::string(200'000, 'a'));
    EXPECT_EQ(Read(disk, "seg/b"), "below");
    EXPECT_THAT(*disk.List(""), ElementsAre("label", "seg/a", "seg/b"));
  }
  static void Write(Disk& disk, std::string_view name, std::string_view text) {
    ASSERT_TRUE(WriteAtomically(disk, name, AsBytes(text)).ok());
  }
  static std::string Read(Disk& disk, std::string_view name) {
    auto bytes = ReadWhole(disk, name, 1 << 30);
    return bytes.ok() ? std::string(AsText(*bytes)) : "error: " + bytes.error().message();
  }

  std::shared_ptr<MemoryPlatter> platter_ = std::make_shared<MemoryPlatter>();
  std::shared_ptr<FaultController> controller_;
  std::unique_ptr<OverlayDisk> overlay_;
};

TEST_F(OverlayDiskTest, ShowsWhatIsBelow) {
  EXPECT_EQ(Read(*overlay_, "seg/b"), "below");
  EXPECT_THAT(*overlay_->List("seg/"), ElementsAre("seg/a", "seg/b"));
  EXPECT_EQ(overlay_->Describe(), "memory");
}

TEST_F(OverlayDiskTest, KeepsChangesAboveAndTheRestBelow) {
  auto file = overlay_->Open("seg/a", OpenMode::kReadWrite);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file.value()->Write(100'000, AsBytes("changed")).ok());
  ASSERT_TRUE(file.value()->Write(199'998, AsBytes("grown")).ok());
  std::string expected(200'000, 'a');
  expected.replace(100'000, 7, "changed");
  expected.replace(199'998, 2, "grown");
  EXPECT_EQ(Read(*overlay_, "seg/a"), expected);
}

TEST_F(OverlayDiskTest, DoesNotShowAgainWhatWasCutOff) {
  auto file = overlay_->Open("seg/a", OpenMode::kReadWrite);
  ASSERT_TRUE(file.value()->Truncate(10).ok());
  ASSERT_TRUE(file.value()->Truncate(200'000).ok());
  EXPECT_EQ(Read(*overlay_, "seg/a"), std::string(10, 'a') + std::string(199'990, '\0'));
}

TEST_F(OverlayDiskTest, HidesRemovedAndRenamedObjects) {
  ASSERT_TRUE(overlay_->Remove("label").ok());
  ASSERT_TRUE(overlay_->Rename("seg/a", "seg/b").ok());
  Write(*overlay_, "seg/new", "new");
  EXPECT_EQ(Read(*overlay_, "seg/b"), std::string(200'000, 'a'));
  EXPECT_THAT(*overlay_->List(""), ElementsAre("seg/b", "seg/new"));
}

TEST_F(OverlayDiskTest, PassesOnErrorsFromBelow) {
  auto file = overlay_->Open("seg/a", OpenMode::kReadWrite);
  controller_->FailReads();
  std::byte byte{};
  EXPECT_FALSE(file.value()->Read(0, {&byte, 1}).ok());
  EXPECT_FALSE(file.value()->Write(1, {&byte, 1}).ok());  // the page around it cannot be read
  controller_->Lose();
  auto lost = overlay_->Open("seg/b", OpenMode::kRead);
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), ErrorCode::kIo);
  EXPECT_FALSE(overlay_->Probe().ok());
  EXPECT_FALSE(overlay_->List("").ok());
  controller_->Heal();
}

TEST_F(OverlayDiskTest, BehavesAsAFileWouldUnderRandomOperations) {
  std::mt19937_64 random(RandomSeed());
  std::string model(200'000, 'a');
  auto file = overlay_->Open("seg/a", OpenMode::kReadWrite);
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t at = random() % 300'000;
    if (random() % 4 == 0) {
      model.resize(at);
      ASSERT_TRUE(file.value()->Truncate(at).ok());
    } else {
      const std::string text(random() % 150'000, static_cast<char>('b' + i % 25));
      ASSERT_TRUE(file.value()->Write(at, AsBytes(text)).ok());
      if (!text.empty() && model.size() < at + text.size()) model.resize(at + text.size());
      model.replace(text.empty() ? 0 : at, text.size(), text);
    }
    ASSERT_EQ(Read(*overlay_, "seg/a"), model) << "step " << i;
  }
}

}  // namespace
}  // namespace varve
