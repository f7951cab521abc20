// How varve fsck tells what it does and what it has found: lines for people or one JSON object.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "store/disk/disk_set.h"
#include "store/repair/checker.h"
#include "store/repair/plan.h"
#include "store/repair/repairer.h"
#include "tools/command.h"

namespace varve {

// Everything there is to tell at the end.
struct FsckReport {
  DiskLabel label;
  std::vector<DiskStatus> disks;
  std::vector<std::string> steps;  // what opening the volume did, in order
  std::vector<Finding> corrected;  // mended by opening the volume or taking disks back
  std::vector<Finding> notes;      // not damage
  std::vector<Finding> left;       // errors that remain
  std::optional<CheckReport> check;
  std::vector<std::string> plan;
  std::optional<RepairOutcome> outcome;
  std::string summary;
  int exit_status = 0;
};

// The word for people and for machines: "disk-missing", ...
std::string_view ToString(FindingKind kind);

// What was found and what is planned; then, once that is known, what came of it.
void PrintFsckFindings(const FsckReport& report, std::ostream& out);
void PrintFsckOutcome(const FsckReport& report, std::ostream& out);
void PrintFsckJson(const FsckReport& report, std::ostream& out);

// Progress on a terminal: one line drawn over and over, with an estimate of the time left.
// Elsewhere a plain line every few seconds. Thread-safe.
class ProgressMeter {
 public:
  ProgressMeter(std::ostream& out, bool terminal) : out_(out), terminal_(terminal) {}
  ~ProgressMeter() { Clear(); }
  void Show(const RepairProgress& progress);
  // Wipes the line, so that something else can be printed.
  void Clear();

 private:
  using Time = std::chrono::steady_clock::time_point;
  std::string Line(const RepairProgress& progress, Time now) const;

  std::ostream& out_;
  const bool terminal_;
  std::mutex mutex_;
  // Under mutex_.
  std::string phase_;
  Time phase_began_{};
  Time shown_{};
  std::size_t width_ = 0;  // of what is on the terminal's line
};

}  // namespace varve
