#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "store/base/synchronized.h"

namespace varve {
namespace {

TEST(Synchronized, LetsOneThreadInAtATime) {
  Synchronized<std::vector<int>> numbers;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) numbers.Lock()->push_back(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(numbers.Lock()->size(), 4000u);
}

TEST(Synchronized, HoldsTheMutexAsLongAsThePointerLives) {
  Synchronized<int> number(1);
  std::thread other;
  {
    auto locked = number.Lock();
    other = std::thread([&] { *number.Lock() *= 10; });
    std::this_thread::yield();
    *locked += 1;
    EXPECT_EQ(*locked, 2);
  }
  other.join();
  EXPECT_EQ(*number.Lock(), 20);
}

}  // namespace
}  // namespace varve
