// A volume over disks in memory, told in the words of what can happen to it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "store/volume/volume.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"

namespace varve {

// Goes forward by a millisecond at each look, and as a test wishes.
class SteppingClock : public Clock {
 public:
  explicit SteppingClock(TimeNs start_ns = 1'700'000'000 * kNsPerSecond) : now_ns_(start_ns) {}
  TimeNs Now() override { return now_ns_ += 1'000'000; }
  void Advance(TimeNs by_ns) { now_ns_ += by_ns; }

 private:
  std::atomic<TimeNs> now_ns_;
};

// Small segments, so that a test meets their ends.
VolumeOptions SmallVolumeOptions(Clock& clock);

// Not thread-safe itself; the volume is.
class VolumeFixture {
 public:
  explicit VolumeFixture(Geometry geometry = {4, 2}, int disk_count = 6);
  ~VolumeFixture();

  // Labels the disks and opens the volume. Fails the test if that fails.
  void FormatAndOpen();
  // Opens over the disks that have not been lost.
  Status Open();
  // Close, then Open.
  Status Reopen();
  Status Close();
  // Drops everything that is not durable on every disk at once, and opens again.
  Status CutPowerAndOpen(std::uint64_t seed);
  // The same without opening.
  void CutPower(std::uint64_t seed);

  // The disk answers nothing from now on, and is not found when the volume is opened.
  void LoseDisk(int slot);
  // Flips one bit of an object of that disk.
  void FlipBit(int slot, std::string_view object, std::uint64_t byte_offset, int bit = 0);
  // Everything on it gone, the disk itself still there (empty).
  void WipeDisk(int slot);
  std::set<int> lost() const { return lost_; }

  Volume& volume() { return *volume_; }
  bool is_open() const { return volume_ != nullptr; }
  FaultController& faults(int slot) { return *controllers_.at(static_cast<std::size_t>(slot)); }
  MemoryPlatter& platter(int slot) { return *platters_.at(static_cast<std::size_t>(slot)); }
  int disk_count() const { return static_cast<int>(platters_.size()); }
  SteppingClock& clock() { return clock_; }
  VolumeOptions& options() { return options_; }
  const std::vector<Finding>& findings() const { return findings_; }

  // The disks that are not lost, opened anew (for checks beside the volume; the volume must be
  // closed).
  std::vector<std::unique_ptr<Disk>> OpenDisks();

 private:
  Geometry geometry_;
  SteppingClock clock_;
  VolumeOptions options_;
  std::vector<std::shared_ptr<MemoryPlatter>> platters_;
  std::vector<std::shared_ptr<FaultController>> controllers_;
  std::set<int> lost_;
  std::mutex findings_mutex_;
  std::vector<Finding> findings_;
  std::unique_ptr<Volume> volume_;
};

// The seed of this run: VARVE_SEED if set, else `fallback`; printed, so that a failure can be had
// again.
std::uint64_t TestSeed(std::uint64_t fallback);

}  // namespace varve
