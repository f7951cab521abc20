// Wall time, in nanoseconds since 1970-01-01 UTC. An interface so that tests can hold it.
#pragma once

#include <cstdint>

namespace varve {

// Nanoseconds since the Unix epoch; signed, so it reaches from 1677 to 2262.
using TimeNs = std::int64_t;
inline constexpr TimeNs kNsPerSecond = 1'000'000'000;

class Clock {
 public:
  virtual ~Clock() = default;
  // Safe to call from any thread.
  virtual TimeNs Now() = 0;
};

// CLOCK_REALTIME. Lives for the whole program.
Clock& SystemClock();

}  // namespace varve
