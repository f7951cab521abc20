// What a running check tells: findings, kept within bounds, and progress.
#pragma once

#include <mutex>
#include <string_view>
#include <utility>

#include "store/repair/checker.h"

namespace varve {

// Thread-safe.
class CheckLog {
 public:
  CheckLog(const CheckOptions& options, CheckReport& report) : options_(options), report_(report) {}

  void Add(Finding finding) {
    std::lock_guard lock(mutex_);
    options_.findings(finding);
    // What is lost is kept in any case: there is nothing more important to tell.
    if (report_.findings.size() >= options_.max_findings && finding.severity != Severity::kLost) {
      ++report_.findings_not_kept;
    } else {
      report_.findings.push_back(std::move(finding));
    }
  }

  void BeginPhase(std::string_view phase, std::uint64_t total_bytes) {
    std::lock_guard lock(mutex_);
    progress_ = {.phase = phase, .done_bytes = 0, .total_bytes = total_bytes};
    options_.progress(progress_);
  }

  void Advance(std::uint64_t bytes) {
    std::lock_guard lock(mutex_);
    progress_.done_bytes += bytes;
    options_.progress(progress_);
  }

  bool Cancelled() const { return options_.cancel != nullptr && options_.cancel->load(); }

 private:
  const CheckOptions& options_;
  std::mutex mutex_;
  CheckReport& report_;  // only its findings, and only under the mutex
  RepairProgress progress_;
};

}  // namespace varve
