#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "fs/fuse/request_epoch.h"

namespace varve {
namespace {

TEST(RequestEpoch, WaitsForEarlierRequestsOnly) {
  RequestEpoch epoch;
  epoch.WaitForEarlier();  // nobody: at once
  std::atomic<bool> waited = false;
  auto earlier = std::make_unique<RequestEpoch::Scope>(epoch);
  std::thread waiter([&] {
    epoch.WaitForEarlier();
    waited = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(waited);
  const RequestEpoch::Scope later(epoch);
  earlier.reset();
  waiter.join();
  EXPECT_TRUE(waited);
}

// Readers copy a value as a request would, and check that a change which has been waited for is not
// older than what a later reader sees.
TEST(RequestEpoch, NoAnswerOlderThanAWaitSurvivesIt) {
  RequestEpoch epoch;
  std::atomic<int> state = 0;
  std::atomic<int> cache = 0;
  std::atomic<bool> end = false;
  std::vector<std::thread> requests;
  for (int i = 0; i < 3; ++i) {
    requests.emplace_back([&] {
      while (!end) {
        const RequestEpoch::Scope look(epoch);
        cache = state.load();
      }
    });
  }
  for (int change = 1; change <= 50; ++change) {
    state = change;
    epoch.WaitForEarlier();
    cache = change;  // as forgetting does: from here on nothing older may come back
    std::this_thread::yield();
    EXPECT_EQ(cache, change);
  }
  end = true;
  for (std::thread& request : requests) request.join();
}

}  // namespace
}  // namespace varve
