#include "store/base/clock.h"

#include <ctime>

namespace varve {
namespace {

class RealtimeClock : public Clock {
 public:
  TimeNs Now() override {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<TimeNs>(now.tv_sec) * kNsPerSecond + now.tv_nsec;
  }
};

}  // namespace

Clock& SystemClock() {
  static RealtimeClock clock;
  return clock;
}

}  // namespace varve
