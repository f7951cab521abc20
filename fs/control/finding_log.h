// What is not as it should be on the disks, as heard while mounted: counted, the last ones kept.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "store/base/finding.h"

namespace varve {

// Thread-safe; Add never blocks for long.
class FindingLog {
 public:
  static constexpr std::size_t kKept = 20;

  struct Summary {
    std::uint64_t notes = 0;
    std::uint64_t repairable = 0;
    std::uint64_t lost = 0;
    std::vector<Finding> last;  // the newest at the end
  };

  void Add(const Finding& finding) {
    std::lock_guard lock(mutex_);
    switch (finding.severity) {
      case Severity::kNote:
        ++summary_.notes;
        break;
      case Severity::kRepairable:
        ++summary_.repairable;
        break;
      case Severity::kLost:
        ++summary_.lost;
        break;
    }
    last_.push_back(finding);
    if (last_.size() > kKept) last_.pop_front();
  }

  Summary summary() const {
    std::lock_guard lock(mutex_);
    Summary copy = summary_;
    copy.last.assign(last_.begin(), last_.end());
    return copy;
  }

 private:
  mutable std::mutex mutex_;
  Summary summary_;  // without `last`
  std::deque<Finding> last_;
};

}  // namespace varve
