// The model of power loss that the crash tests stand on.
#include "tests/support/memory_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace varve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kSeeds = 64;

class MemoryDiskTest : public testing::Test {
 protected:
  void Start() {
    platter_ = std::make_shared<MemoryPlatter>();
    disk_ = std::make_unique<MemoryDisk>(platter_);
  }
  void CutPower(int seed) {
    platter_->CutPower(static_cast<std::uint64_t>(seed));
    disk_ = std::make_unique<MemoryDisk>(platter_);
  }
  std::unique_ptr<DiskFile> Open(std::string_view name) {
    return disk_->Open(name, OpenMode::kCreate).value();
  }
  std::string Read(std::string_view name) {
    auto bytes = ReadWhole(*disk_, name, 1 << 30);
    return bytes.ok() ? std::string(AsText(*bytes)) : "none";
  }

  std::shared_ptr<MemoryPlatter> platter_;
  std::unique_ptr<MemoryDisk> disk_;
};

TEST_F(MemoryDiskTest, KeepsWhatWasSyncedWithItsName) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    Start();
    ASSERT_TRUE(WriteAtomically(*disk_, "seg/a", AsBytes("durable")).ok());
    EXPECT_TRUE(platter_->IsDurable());
    CutPower(seed);
    EXPECT_EQ(Read("seg/a"), "durable");
    EXPECT_THAT(*disk_->List(""), ElementsAre("seg/a"));
  }
}

TEST_F(MemoryDiskTest, LeavesTheOldOrTheNewAfterAnAtomicWriteWasCutShort) {
  std::set<std::string> outcomes;
  for (int seed = 0; seed < kSeeds; ++seed) {
    Start();
    ASSERT_TRUE(WriteAtomically(*disk_, "a", AsBytes("old")).ok());
    {
      auto file = Open("a.tmp");
      ASSERT_TRUE(file->Write(0, AsBytes("new")).ok());
      ASSERT_TRUE(file->Sync().ok());
    }
    ASSERT_TRUE(disk_->Rename("a.tmp", "a").ok());
    EXPECT_FALSE(platter_->IsDurable());
    CutPower(seed);
    outcomes.insert(Read("a"));
  }
  EXPECT_THAT(outcomes, ElementsAre("new", "old"));
}

TEST_F(MemoryDiskTest, TearsUnsyncedWritesAtSectors) {
  std::set<std::string> outcomes;
  for (int seed = 0; seed < kSeeds; ++seed) {
    Start();
    ASSERT_TRUE(WriteAtomically(*disk_, "a", AsBytes(std::string(1024, 'o'))).ok());
    ASSERT_TRUE(Open("a")->Write(256, AsBytes(std::string(512, 'n'))).ok());
    CutPower(seed);
    outcomes.insert(Read("a"));
  }
  auto text = [](char first, char second) {
    return std::string(256, 'o') + std::string(256, first) + std::string(256, second) +
           std::string(256, 'o');
  };
  EXPECT_THAT(outcomes, testing::UnorderedElementsAre(text('o', 'o'), text('o', 'n'),
                                                      text('n', 'o'), text('n', 'n')));
}

TEST_F(MemoryDiskTest, MayReorderUnsyncedWrites) {
  std::set<std::string> outcomes;
  for (int seed = 0; seed < kSeeds; ++seed) {
    Start();
    ASSERT_TRUE(WriteAtomically(*disk_, "a", AsBytes(std::string(1024, '0'))).ok());
    ASSERT_TRUE(Open("a")->Write(0, AsBytes("1")).ok());
    ASSERT_TRUE(Open("a")->Write(512, AsBytes("2")).ok());
    CutPower(seed);
    const std::string text = Read("a");
    outcomes.insert({text[0], text[512]});
  }
  EXPECT_THAT(outcomes, ElementsAre("00", "02", "10", "12"));
}

TEST_F(MemoryDiskTest, MayLoseNamesThatWereNotSynced) {
  std::set<std::size_t> outcomes;
  for (int seed = 0; seed < kSeeds; ++seed) {
    Start();
    ASSERT_TRUE(Open("a")->Sync().ok());
    ASSERT_TRUE(Open("b")->Sync().ok());
    CutPower(seed);
    outcomes.insert(disk_->List("")->size());
  }
  EXPECT_THAT(outcomes, ElementsAre(0, 1, 2));
}

TEST_F(MemoryDiskTest, MayUndoRemovalsAndTruncationsThatWereNotSynced) {
  std::set<std::string> removed;
  std::set<std::string> truncated;
  for (int seed = 0; seed < kSeeds; ++seed) {
    Start();
    ASSERT_TRUE(WriteAtomically(*disk_, "a", AsBytes("text")).ok());
    ASSERT_TRUE(WriteAtomically(*disk_, "b", AsBytes("text")).ok());
    ASSERT_TRUE(disk_->Remove("a").ok());
    ASSERT_TRUE(Open("b")->Truncate(2).ok());
    CutPower(seed);
    removed.insert(Read("a"));
    truncated.insert(Read("b"));
  }
  EXPECT_THAT(removed, ElementsAre("none", "text"));
  EXPECT_THAT(truncated, ElementsAre("te", "text"));
}

TEST_F(MemoryDiskTest, ReplaysASeed) {
  std::set<std::string> outcomes;
  for (int round = 0; round < 3; ++round) {
    Start();
    auto file = Open("a");
    ASSERT_TRUE(disk_->SyncNames().ok());
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(
          file->Write(static_cast<std::uint64_t>(i * 300), AsBytes(std::string(700, 'x'))).ok());
    }
    CutPower(7);
    outcomes.insert(Read("a"));
  }
  EXPECT_EQ(outcomes.size(), 1u);
}

TEST_F(MemoryDiskTest, CutsOffHandlesFromBefore) {
  Start();
  auto file = Open("a");
  MemoryDisk before(platter_);
  CutPower(1);
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_FALSE(file->Write(0, AsBytes("x")).ok());
  EXPECT_FALSE(before.Probe().ok());
  EXPECT_FALSE(before.List("").ok());
  EXPECT_TRUE(disk_->Probe().ok());
}

TEST_F(MemoryDiskTest, IsFullAtItsCapacity) {
  Start();
  platter_->SetCapacity(1000);
  auto file = Open("a");
  EXPECT_TRUE(file->Write(0, AsBytes(std::string(600, 'x'))).ok());
  EXPECT_TRUE(file->Write(0, AsBytes(std::string(600, 'y'))).ok());  // no growth
  auto other = Open("b");
  EXPECT_EQ(other->Write(0, AsBytes(std::string(401, 'x'))).error().code(), ErrorCode::kNoSpace);
  EXPECT_TRUE(other->Write(0, AsBytes(std::string(400, 'x'))).ok());
  EXPECT_EQ(disk_->Space()->free_bytes, 0u);
  EXPECT_TRUE(disk_->Remove("a").ok());
  EXPECT_EQ(disk_->Space()->free_bytes, 600u);
  EXPECT_EQ(platter_->used_bytes(), 400u);
  EXPECT_TRUE(other->Truncate(0).ok());
  EXPECT_EQ(platter_->used_bytes(), 0u);
}

TEST_F(MemoryDiskTest, WipesEverything) {
  Start();
  ASSERT_TRUE(WriteAtomically(*disk_, "a", AsBytes("x")).ok());
  platter_->Wipe();
  EXPECT_FALSE(disk_->Probe().ok());
  EXPECT_THAT(*MemoryDisk(platter_).List(""), IsEmpty());
}

}  // namespace
}  // namespace varve
