// Tells how far a copy is: a bar with the time left on a terminal, now and then a line elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>

namespace varve {

class CopyProgress {
 public:
  CopyProgress(std::ostream& out, bool is_terminal, std::uint64_t total_bytes);
  // Wipes the bar.
  ~CopyProgress();
  CopyProgress(const CopyProgress&) = delete;
  CopyProgress& operator=(const CopyProgress&) = delete;

  void Add(std::uint64_t bytes);

 private:
  using Time = std::chrono::steady_clock::time_point;
  std::string Describe(Time now) const;

  std::ostream& out_;
  const bool is_terminal_;
  const std::uint64_t total_bytes_;
  std::uint64_t done_bytes_ = 0;
  const Time begin_;
  Time next_;  // when to say something again
  bool drawn_ = false;
};

}  // namespace varve
