#include "tests/support/faulty_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/memory_disk.h"

namespace varve {
namespace {

class FaultyDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    controller_ = std::make_shared<FaultController>();
    disk_ = std::make_unique<FaultyDisk>(std::make_unique<MemoryDisk>(), controller_);
    file_ = disk_->Open("a", OpenMode::kCreate).value();
    ASSERT_TRUE(Write(0, "0123456789"));
  }
  bool Write(std::uint64_t offset, std::string_view text) {
    return file_->Write(offset, AsBytes(text)).ok();
  }
  std::string Read() {
    auto bytes = ReadWhole(controller_->base(), "a", 1 << 20);
    return std::string(AsText(bytes.value()));
  }

  std::shared_ptr<FaultController> controller_;
  std::unique_ptr<FaultyDisk> disk_;
  std::unique_ptr<DiskFile> file_;
};

TEST_F(FaultyDiskTest, FailsEverythingOnceLost) {
  controller_->Lose();
  std::byte byte{};
  EXPECT_EQ(file_->Read(0, {&byte, 1}).error().os_errno(), ENODEV);
  EXPECT_FALSE(Write(0, "x"));
  EXPECT_FALSE(file_->Sync().ok());
  EXPECT_FALSE(file_->Size().ok());
  EXPECT_FALSE(file_->Truncate(0).ok());
  EXPECT_EQ(disk_->Open("a", OpenMode::kRead).error().code(), ErrorCode::kIo);
  EXPECT_FALSE(disk_->Remove("a").ok());
  EXPECT_FALSE(disk_->Rename("a", "b").ok());
  EXPECT_FALSE(disk_->List("").ok());
  EXPECT_FALSE(disk_->SyncNames().ok());
  EXPECT_FALSE(disk_->Space().ok());
  EXPECT_FALSE(disk_->Probe().ok());
  EXPECT_EQ(Read(), "0123456789");
  controller_->Heal();
  EXPECT_TRUE(disk_->Probe().ok());
}

TEST_F(FaultyDiskTest, FailsAfterSoManyOperations) {
  controller_->FailWrites(2);
  EXPECT_TRUE(Write(0, "a"));
  EXPECT_TRUE(Write(1, "b"));
  EXPECT_FALSE(Write(2, "c"));
  EXPECT_FALSE(Write(2, "c"));
  EXPECT_EQ(Read(), "ab23456789");
  controller_->FailSyncs(1);
  EXPECT_TRUE(file_->Sync().ok());
  EXPECT_FALSE(file_->Sync().ok());
  EXPECT_FALSE(disk_->SyncNames().ok());
  controller_->FailReads();
  std::byte byte{};
  EXPECT_FALSE(file_->Read(0, {&byte, 1}).ok());
  EXPECT_TRUE(disk_->Probe().ok());
  controller_->FailProbes();
  EXPECT_FALSE(disk_->Probe().ok());
}

TEST_F(FaultyDiskTest, IsFullAfterSoManyBytes) {
  controller_->FullAfter(3);
  EXPECT_TRUE(Write(0, "ab"));
  EXPECT_EQ(file_->Write(2, AsBytes("cd")).error().code(), ErrorCode::kNoSpace);
  EXPECT_TRUE(Write(2, "c"));
  EXPECT_FALSE(Write(3, "d"));
}

TEST_F(FaultyDiskTest, LosesWritesThatItClaimsToHaveMade) {
  controller_->DropWrites(1, "a");
  EXPECT_TRUE(Write(0, "xxx"));
  EXPECT_TRUE(Write(5, "y"));
  EXPECT_EQ(Read(), "01234y6789");
  controller_->DropWrites(1, "b");
  EXPECT_TRUE(Write(0, "z"));
  EXPECT_EQ(Read(), "z1234y6789");
}

TEST_F(FaultyDiskTest, MisdirectsOneWrite) {
  controller_->MisdirectNextWrite(4);
  EXPECT_TRUE(Write(0, "xx"));
  EXPECT_TRUE(Write(0, "y"));
  EXPECT_EQ(Read(), "y123xx6789");
}

TEST_F(FaultyDiskTest, DamagesWhatIsStored) {
  ASSERT_TRUE(controller_->FlipBit("a", 1, 0).ok());
  EXPECT_EQ(Read(), "0023456789");
  ASSERT_TRUE(controller_->TruncateObject("a", 4).ok());
  EXPECT_EQ(Read(), "0023");
  EXPECT_FALSE(controller_->FlipBit("a", 4, 0).ok());
  EXPECT_FALSE(controller_->FlipBit("none", 0, 0).ok());
}

TEST_F(FaultyDiskTest, ThrowsTheSameFaultsFromTheSameSeed) {
  auto run = [&] {
    FaultChances chances;
    chances.write_error = 0.3;
    chances.sync_error = 0.1;
    chances.read_flip = 0.5;
    controller_->RandomFaults(42, chances);
    std::string outcome;
    for (int i = 0; i < 200; ++i) {
      outcome += Write(0, "0") ? 'w' : '-';
      outcome += file_->Sync().ok() ? 's' : '-';
      std::byte byte{};
      EXPECT_TRUE(file_->Read(0, {&byte, 1}).ok());
      outcome += byte == std::byte{'0'} ? 'r' : '-';
    }
    return outcome;
  };
  const std::string first = run();
  EXPECT_EQ(first, run());
  EXPECT_NE(first.find('-'), std::string::npos);
  EXPECT_NE(first.find('w'), std::string::npos);
}

TEST_F(FaultyDiskTest, CountsAndTellsItsOperations) {
  std::vector<std::string> seen;
  controller_->SetHook([&](DiskOperation operation, std::string_view name) {
    if (operation == DiskOperation::kSync) seen.emplace_back(name);
  });
  const std::uint64_t before = controller_->count(DiskOperation::kSync);
  EXPECT_TRUE(file_->Sync().ok());
  EXPECT_TRUE(disk_->SyncNames().ok());
  EXPECT_EQ(controller_->count(DiskOperation::kSync), before + 2);
  EXPECT_THAT(seen, testing::ElementsAre("a", ""));
  EXPECT_EQ(controller_->bytes_written(), 10u);
}

}  // namespace
}  // namespace varve
