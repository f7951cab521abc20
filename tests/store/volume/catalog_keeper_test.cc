#include "store/volume/catalog_keeper.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/memory_disk.h"

namespace varve {
namespace {

TEST(CatalogKeeper, AnswersWhoIsInAHurryWhileThereIsNoCatalog) {
  CatalogKeeper keeper;
  const auto read = [](Catalog&) -> Result<int> { return 1; };
  const Result<int> answer = keeper.With(read, Patience::kHurry);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code(), ErrorCode::kBusy);
}

TEST(CatalogKeeper, TellsWhoWaitsThatNoneWillCome) {
  CatalogKeeper keeper;
  const auto read = [](Catalog&) -> Result<int> { return 1; };
  std::atomic<bool> answered = false;
  std::thread waiter([&] {
    const Result<int> answer = keeper.With(read);
    answered = true;
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code(), ErrorCode::kTooFewDisks);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(answered);
  keeper.GiveUp(Error(ErrorCode::kTooFewDisks, "no disk is left for a catalog"));
  waiter.join();
  EXPECT_EQ(keeper.With(read, Patience::kHurry).error().code(), ErrorCode::kTooFewDisks);
}

// Both are of the same names on the same disk.
TEST(CatalogKeeper, LeavesTheNewCatalogAloneWhenTheOldOneGoes) {
  auto disk = std::make_shared<MemoryDisk>();
  CatalogIdentity identity{Uuid::Random(), 1};
  CatalogKeeper keeper;
  const auto begin_with_a_change = [&] {
    auto catalog = Catalog::Create(disk, identity, {});
    ASSERT_TRUE(catalog.ok()) << catalog.error().message();
    ++identity.generation;
    Change change;
    change.lsn = kLsnFirst;
    change.operations.emplace_back(PutInode{kRootInode, InodeAttributes{}});
    const Change* changes[] = {&change};
    ASSERT_TRUE((*catalog)->Apply(changes).ok());
    keeper.Set(std::move(*catalog), DiskIndex(0));
  };
  begin_with_a_change();
  begin_with_a_change();
  const std::string log = std::string(kCatalogObject) + "-wal";
  EXPECT_TRUE(disk->Open(log, OpenMode::kRead).ok()) << "the new one's log was removed";
  keeper.Close();
  EXPECT_FALSE(disk->Open(log, OpenMode::kRead).ok()) << "the log was not folded at the end";
}

TEST(CatalogKeeper, AnswersTheFailureWhileNobodyRebuilds) {
  auto disk = std::make_shared<MemoryDisk>();
  auto catalog = Catalog::Create(disk, {Uuid::Random(), 1}, {});
  ASSERT_TRUE(catalog.ok()) << catalog.error().message();
  CatalogKeeper keeper;
  keeper.Set(std::move(*catalog), DiskIndex(0));
  const Status answer = keeper.With(
      [](Catalog&) -> Status { return Error(ErrorCode::kCorrupt, "a page is rotten"); });
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().message(), "a page is rotten");
  EXPECT_TRUE(keeper.failure().has_value());
}

}  // namespace
}  // namespace varve
