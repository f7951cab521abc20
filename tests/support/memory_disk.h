// A Disk in memory that knows what would be left of it after the power was cut.
//
// The platter is what a real disk's surface is: it outlives the MemoryDisk over it, so that a test
// can open it again. It tells durable bytes and names from those that are merely written:
//
//  - Bytes: every Write and Truncate since the last Sync of an object (by any handle) is pending.
//  At a
//    power cut each pending Truncate happened or did not, and each 512-byte sector of each pending
//    Write happened or did not, all by independent coins thrown from the seed: writes may be lost,
//    torn and reordered. A surviving sector grows the object as far as it must; what lies between
//    is zeros.
//  - Names: every creation, removal and rename since the last SyncNames is pending, and happened or
//    did not, each by its own coin, in order. A rename is atomic. Bytes synced through a handle are
//    durable whether or not the name is.
//
// That is harsher than any one filesystem, and never harsher than what disk.h lets a caller assume.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/disk/disk.h"

namespace varve {

struct MemoryPlatterOptions {
  std::uint64_t capacity_bytes = 1ULL << 30;
  std::uint64_t device = 0;  // 0 is "not known to be shared"; see DiskSpace
  std::string description = "memory";
};

// Thread-safe.
class MemoryPlatter {
 public:
  explicit MemoryPlatter(MemoryPlatterOptions options = {});
  ~MemoryPlatter();
  MemoryPlatter(const MemoryPlatter&) = delete;
  MemoryPlatter& operator=(const MemoryPlatter&) = delete;

  // Throws away what was not durable, as the seed says. Every handle and MemoryDisk opened before
  // answers kIo from now on; a new MemoryDisk shows what is left.
  void CutPower(std::uint64_t seed);
  // From now on writes that would take the sum of all objects beyond this fail with kNoSpace.
  void SetCapacity(std::uint64_t capacity_bytes);
  // Everything gone, as after rm -rf; open handles included.
  void Wipe();
  std::uint64_t used_bytes() const;
  // Whether everything written so far is durable.
  bool IsDurable() const;

 private:
  friend class MemoryDisk;
  friend class MemoryFile;
  struct Impl;
  const std::shared_ptr<Impl> impl_;
};

class MemoryDisk : public Disk {
 public:
  // A disk over a platter of its own, for tests that cut no power.
  MemoryDisk();
  explicit MemoryDisk(const std::shared_ptr<MemoryPlatter>& platter);
  ~MemoryDisk() override;

  Result<std::unique_ptr<DiskFile>> Open(std::string_view name, OpenMode mode) override;
  Status Remove(std::string_view name) override;
  Status Rename(std::string_view from, std::string_view to) override;
  Result<std::vector<std::string>> List(std::string_view prefix) override;
  Status SyncNames() override;
  Result<DiskSpace> Space() override;
  std::string Describe() const override;
  Status Probe() override;

 private:
  const std::shared_ptr<MemoryPlatter::Impl> platter_;
  const std::uint64_t session_;
};

// `count` platters described as "memory-0", "memory-1", ... and disks over them.
std::vector<std::shared_ptr<MemoryPlatter>> MakeMemoryPlatters(int count);
std::vector<std::unique_ptr<Disk>> OpenMemoryDisks(
    const std::vector<std::shared_ptr<MemoryPlatter>>& platters);

}  // namespace varve
