// A Disk that reads through to another and keeps all changes in memory: recovery can be tried out
// on real disks without changing a byte of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/disk/disk.h"

namespace varve {

// The base is only ever opened for reading, and must not change while it is overlaid. Changed pages
// (64 KiB each) stay in memory until the overlay is destroyed; memory is bounded by what is
// written. Sync and SyncNames have nothing to do and succeed. Space is the base's.
class OverlayDisk : public Disk {
 public:
  explicit OverlayDisk(std::unique_ptr<Disk> base);
  ~OverlayDisk() override;

  Result<std::unique_ptr<DiskFile>> Open(std::string_view name, OpenMode mode) override;
  Status Remove(std::string_view name) override;
  Status Rename(std::string_view from, std::string_view to) override;
  Result<std::vector<std::string>> List(std::string_view prefix) override;
  Status SyncNames() override { return {}; }
  Result<DiskSpace> Space() override;
  std::string Describe() const override;
  Status Probe() override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
