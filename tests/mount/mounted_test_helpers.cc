#include <chrono>
#include <thread>

#include "fs/core/when.h"
#include "tests/mount/mounted_test.h"

namespace varve {

std::string MountedTest::Now() {
  using namespace std::chrono_literals;
  std::this_thread::sleep_for(2ms);
  const std::string now = FormatTime(SystemClock().Now());
  std::this_thread::sleep_for(2ms);
  return now;
}

}  // namespace varve
