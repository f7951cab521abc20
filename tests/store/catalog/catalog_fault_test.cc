// What becomes of the catalog when its disk fails or loses power.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/store/catalog/catalog_fixture.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"

namespace varve {
namespace {

class CatalogFaultTest : public ::testing::Test {
 protected:
  // A catalog on a disk that fails as told, with 40 changes of a random history in it.
  void SetUp() override {
    auto disk = std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter_), faults_);
    auto created = Catalog::Create(disk, TestIdentity(), {});
    ASSERT_TRUE(created.ok()) << created.error().message();
    catalog_ = std::move(created).value();
    Apply(40);
  }
  void Apply(std::size_t count) {
    const std::size_t before = history_.changes().size();
    for (std::size_t i = 0; i < count; ++i) history_.Next();
    const auto applied = catalog_->Apply(Pointers(history_.changes(), before, count));
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }
  const ModelState& State(Lsn lsn) const { return history_.states().at(lsn.value); }

  const std::uint64_t seed_ = TestSeed();
  RandomHistory history_{seed_};
  std::shared_ptr<MemoryPlatter> platter_ = std::make_shared<MemoryPlatter>();
  std::shared_ptr<FaultController> faults_ = std::make_shared<FaultController>();
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogFaultTest, ApplyLeavesWholeTransactionsWhenAWriteFails) {
  std::uint64_t digest = *catalog_->ComputeDigest();
  auto orphans = *catalog_->Orphans();
  Lsn reached(40);
  for (int i = 0; i < 20; ++i) history_.Next();
  const auto batch = Pointers(history_.changes(), 40, 20);
  int failures = 0;
  for (std::uint64_t after = 0;; ++after) {
    faults_->FailWrites(after);
    const auto applied = catalog_->Apply(batch);
    faults_->Heal();
    if (applied.ok()) break;
    ++failures;
    ASSERT_EQ(applied.error().code(), ErrorCode::kIo) << applied.error().message();
    if (const Lsn applied_lsn = catalog_->applied_lsn(); applied_lsn != reached) {
      // A change that clones from the past begins another transaction: those before it are in.
      ASSERT_GT(applied_lsn, reached);
      ASSERT_TRUE(ClonesThePast(history_.changes()[applied_lsn.value]));
      reached = applied_lsn;
      digest = DigestOf(history_.changes(), reached.value);
      orphans = *catalog_->Orphans();
    }
    ASSERT_EQ(*catalog_->ComputeDigest(), digest);
    ASSERT_EQ(*catalog_->Orphans(), orphans);
  }
  EXPECT_GT(failures, 5);
  EXPECT_EQ(catalog_->applied_lsn(), Lsn(60));
  ExpectState(*catalog_, kLsnNow, State(Lsn(60)));
  EXPECT_EQ(*catalog_->ComputeDigest(), DigestOf(history_.changes(), 60));
  EXPECT_TRUE(catalog_->CheckIntegrity()->empty());
}

TEST_F(CatalogFaultTest, AFullDiskIsNoSpaceAndPasses) {
  for (int i = 0; i < 20; ++i) history_.Next();
  const auto batch = Pointers(history_.changes(), 40, 20);
  faults_->FullAfter(20'000);
  const auto applied = catalog_->Apply(batch);
  ASSERT_FALSE(applied.ok());
  EXPECT_EQ(applied.error().code(), ErrorCode::kNoSpace) << applied.error().message();
  faults_->Heal();
  ASSERT_TRUE(catalog_->Apply(batch).ok());
  ExpectState(*catalog_, kLsnNow, State(Lsn(60)));
}

TEST_F(CatalogFaultTest, AFailingFoldLosesNothing) {
  for (std::uint64_t after = 0; after < 3; ++after) {
    faults_->FailSyncs(after);
    const auto folded = catalog_->FoldLog();
    faults_->Heal();
    if (after == 0) {
      ASSERT_FALSE(folded.ok());
      EXPECT_EQ(folded.error().code(), ErrorCode::kIo);
    }
    ExpectState(*catalog_, Lsn(33), State(Lsn(33)));
    Apply(5);
  }
  ASSERT_TRUE(catalog_->FoldLog().ok());
  ExpectState(*catalog_, kLsnNow, State(catalog_->applied_lsn()));
}

TEST_F(CatalogFaultTest, ALostDiskIsSaidAndTheCatalogCloses) {
  faults_->Lose();
  const auto inode = catalog_->GetInode(InodeId(1), kLsnNow);
  ASSERT_FALSE(inode.ok());
  EXPECT_EQ(inode.error().code(), ErrorCode::kIo) << inode.error().message();
  EXPECT_FALSE(catalog_->FoldLog().ok());
  for (int i = 0; i < 5; ++i) history_.Next();
  EXPECT_FALSE(catalog_->Apply(Pointers(history_.changes(), 40, 5)).ok());
  EXPECT_FALSE(catalog_->CheckIntegrity().ok());
  catalog_.reset();
  EXPECT_FALSE(Catalog::Open(std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter_),
                                                          std::make_shared<FaultController>()),
                             {TestIdentity().volume_uuid, 99}, {})
                   .ok());
}

TEST_F(CatalogFaultTest, APowerCutLeavesAnEarlierStateWhole) {
  for (std::uint64_t round = 0; round < 25; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    auto platter = std::make_shared<MemoryPlatter>();
    auto faults = std::make_shared<FaultController>();
    auto created =
        Catalog::Create(std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter), faults),
                        TestIdentity(), {});
    ASSERT_TRUE(created.ok());
    catalog_ = std::move(created).value();
    std::uint64_t operations_left = 1 + history_.Pick(120);
    std::atomic<bool> cut = false;
    faults->SetHook([&](DiskOperation operation, std::string_view) {
      const bool counts = operation == DiskOperation::kWrite || operation == DiskOperation::kSync ||
                          operation == DiskOperation::kTruncate;
      if (!counts || cut || --operations_left > 0) return;
      cut = true;
      platter->CutPower(seed_ + round);
    });
    Lsn acknowledged;
    Lsn attempted;
    Lsn folded;  // durable, for SQLite's log was synced
    while (!cut) {
      const std::size_t count = 1 + history_.Pick(12);
      while (history_.changes().size() < acknowledged.value + count) history_.Next();
      attempted = Lsn(acknowledged.value + count);
      if (catalog_->Apply(Pointers(history_.changes(), acknowledged.value, count)).ok() && !cut) {
        acknowledged = attempted;
      }
      if (!cut && history_.Pick(4) == 0 && catalog_->FoldLog().ok() && !cut) folded = acknowledged;
    }
    catalog_.reset();

    auto opened = Catalog::Open(std::make_shared<MemoryDisk>(platter), TestIdentity(), {});
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    const Lsn applied = (*opened)->applied_lsn();
    EXPECT_GE(applied, folded);
    EXPECT_LE(applied, attempted);
    ExpectState(**opened, kLsnNow, State(applied));
    EXPECT_EQ(*(*opened)->ComputeDigest(), DigestOf(history_.changes(), applied.value));
    EXPECT_EQ(*(*opened)->CheckIntegrity(), std::vector<std::string>());
    // It goes on from there.
    ASSERT_TRUE((*opened)->Apply(Pointers(history_.changes(), 0, attempted.value)).ok());
    EXPECT_EQ(*(*opened)->ComputeDigest(), DigestOf(history_.changes(), attempted.value));
    if (HasFailure()) return;
  }
}

// A database whose log is gone may be a mixture of two states with no page that shows it.
TEST_F(CatalogFaultTest, TheLogOfAnOldCatalogGoesOnlyAfterItsDatabaseHas) {
  const std::string log = std::string(kCatalogObject) + "-wal";
  auto disk = std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter_),
                                           std::make_shared<FaultController>());
  ASSERT_TRUE(disk->Open(log, OpenMode::kRead).ok());
  auto failing = std::make_shared<FaultController>();
  auto same = std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter_), failing);
  failing->FailSyncs();
  ASSERT_FALSE(Catalog::CreateToFill(same, TestIdentity(), {}).ok());
  EXPECT_TRUE(disk->Open(log, OpenMode::kRead).ok());
}

TEST_F(CatalogFaultTest, APowerCutDuringCreationIsNeverMistakenForACatalog) {
  for (std::uint64_t round = 0; round < 40; ++round) {
    auto platter = std::make_shared<MemoryPlatter>();
    auto faults = std::make_shared<FaultController>();
    std::uint64_t operations_left = 1 + round;
    faults->SetHook([&](DiskOperation operation, std::string_view) {
      if (operation == DiskOperation::kRead || --operations_left > 0) return;
      operations_left = ~0ULL;
      platter->CutPower(seed_ + round);
    });
    const auto created =
        Catalog::Create(std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter), faults),
                        TestIdentity(), {});
    const auto opened = Catalog::Open(std::make_shared<MemoryDisk>(platter), TestIdentity(), {});
    if (created.ok()) {
      EXPECT_TRUE(opened.ok()) << opened.error().message();
    } else if (opened.ok()) {
      EXPECT_EQ((*opened)->applied_lsn(), Lsn(0));
      EXPECT_TRUE((*opened)->Apply(Pointers(history_.changes(), 0, 40)).ok());
      EXPECT_EQ(*(*opened)->ComputeDigest(), DigestOf(history_.changes(), 40));
    } else {
      EXPECT_TRUE(opened.error().code() == ErrorCode::kCorrupt ||
                  opened.error().code() == ErrorCode::kNotFound)
          << opened.error().message();
    }
  }
}

}  // namespace
}  // namespace varve
