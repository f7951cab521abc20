// A volume of disks in memory, each behind a FaultyDisk, told in fixture words.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "store/disk/disk_set.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"

namespace varve {

inline DiskIndex Slot(int i) { return DiskIndex(static_cast<std::uint8_t>(i)); }

class DiskSetFixture : public testing::Test {
 protected:
  // Platters and labels; nothing is opened yet.
  void Format(Geometry geometry, int disk_count) {
    platters_ = MakeMemoryPlatters(disk_count);
    controllers_.resize(platters_.size());
    FormatOptions options;
    options.geometry = geometry;
    options.volume_name = "sample";
    auto disks = OpenMemoryDisks(platters_);
    Status formatted = FormatDisks(disks, options);
    ASSERT_TRUE(formatted.ok()) << formatted.error().message();
  }

  std::unique_ptr<Disk> OpenDisk(int i) {
    const auto at = static_cast<std::size_t>(i);
    controllers_[at] = std::make_shared<FaultController>();
    return std::make_unique<FaultyDisk>(std::make_unique<MemoryDisk>(platters_[at]),
                                        controllers_[at]);
  }

  Result<std::unique_ptr<DiskSet>> TryOpen(const std::vector<int>& which) {
    set_.reset();
    std::vector<std::unique_ptr<Disk>> disks;
    for (int i : which) disks.push_back(OpenDisk(i));
    return DiskSet::Assemble(std::move(disks));
  }
  void Open(const std::vector<int>& which) {
    auto set = TryOpen(which);
    ASSERT_TRUE(set.ok()) << set.error().message();
    set_ = std::move(set).value();
  }
  // Opens those disks, and goes on with them.
  void GoOnWith(const std::vector<int>& which) {
    Open(which);
    Status begun = set_->BeginEpoch();
    ASSERT_TRUE(begun.ok()) << begun.error().message();
  }
  void OpenAll() {
    std::vector<int> all;
    for (std::size_t i = 0; i < platters_.size(); ++i) all.push_back(static_cast<int>(i));
    Open(all);
  }

  // A fresh, empty platter, numbered after the others.
  int AddPlatter() {
    MemoryPlatterOptions options;
    options.description = "fresh-" + std::to_string(platters_.size());
    platters_.push_back(std::make_shared<MemoryPlatter>(options));
    controllers_.emplace_back();
    return static_cast<int>(platters_.size()) - 1;
  }

  DiskLabel LabelOn(int i) {
    MemoryDisk disk(platters_[static_cast<std::size_t>(i)]);
    auto label = ReadLabel(disk);
    EXPECT_TRUE(label.ok()) << label.error().message();
    return label.ok() ? *label : DiskLabel{};
  }
  FaultController& Faults(int i) { return *controllers_[static_cast<std::size_t>(i)]; }
  std::vector<int> Online() {
    std::vector<int> slots;
    for (DiskIndex slot : set_->OnlineSlots()) slots.push_back(slot.value);
    return slots;
  }
  static Error Why() { return Error(ErrorCode::kIo, "it made a noise"); }

  std::vector<std::shared_ptr<MemoryPlatter>> platters_;
  std::vector<std::shared_ptr<FaultController>> controllers_;
  std::unique_ptr<DiskSet> set_;
};

}  // namespace varve
