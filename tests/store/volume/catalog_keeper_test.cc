#include "store/volume/catalog_keeper.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

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

}  // namespace
}  // namespace varve
