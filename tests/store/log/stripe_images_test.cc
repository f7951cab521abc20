#include "store/log/stripe_images.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace varve {
namespace {

constexpr std::size_t kFragmentBytes = 1024 * 1024;

StripeId Stripe(std::uint32_t index) { return StripeId(SegmentId(1), index); }

// Two columns of one mebibyte, the second absent.
StripeImage MakeImage(std::byte fill) {
  StripeImage image(2, kFragmentBytes);
  std::ranges::fill(image.Allocate(0), fill);
  return image;
}

TEST(StripeImages, LoadsOnceForAllWhoAskAtOnce) {
  StripeImages images;
  std::atomic<int> loads = 0;
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto image = images.Get(Stripe(1), [&] {
        ++loads;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return Result<StripeImage>(MakeImage(std::byte{7}));
      });
      if (image.ok() && (*image)->column(0)[5] == std::byte{7}) ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(good, 4);
}

TEST(StripeImages, RemembersNoErrorAndSurvivesAnException) {
  StripeImages images;
  const auto fails = [] { return Result<StripeImage>(Error(ErrorCode::kIo, "no")); };
  EXPECT_EQ(images.Get(Stripe(1), fails).error().message(), "no");
  const auto throws = []() -> Result<StripeImage> { throw std::runtime_error("no"); };
  EXPECT_THROW(static_cast<void>(images.Get(Stripe(1), throws)), std::runtime_error);
  const auto image =
      images.Get(Stripe(1), [] { return Result<StripeImage>(MakeImage(std::byte{1})); });
  EXPECT_TRUE(image.ok());
}

TEST(StripeImages, KeepsTheNewestWithinItsBound) {
  StripeImages images;
  int loads = 0;
  const auto load = [&] {
    ++loads;
    return Result<StripeImage>(MakeImage(std::byte{1}));
  };
  for (std::uint32_t i = 0; i < 40; ++i) ASSERT_TRUE(images.Get(Stripe(i), load).ok());
  EXPECT_EQ(loads, 40);
  for (std::uint32_t i = 8; i < 40; ++i) ASSERT_TRUE(images.Get(Stripe(i), load).ok());
  EXPECT_EQ(loads, 40) << "32 of a mebibyte each are kept";
  ASSERT_TRUE(images.Get(Stripe(0), load).ok());
  EXPECT_EQ(loads, 41);
}

TEST(StripeImage, CountsOnlyTheColumnsThatAreThere) {
  StripeImage image = MakeImage(std::byte{1});
  EXPECT_EQ(image.size_bytes(), kFragmentBytes);
  EXPECT_EQ(image.columns()[0].size(), kFragmentBytes);
  EXPECT_TRUE(image.columns()[1].empty());
  image.Drop(0);
  EXPECT_FALSE(image.has(0));
  EXPECT_EQ(image.size_bytes(), 0u);
}

}  // namespace
}  // namespace varve
