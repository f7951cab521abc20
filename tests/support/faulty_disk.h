// A Disk over another that fails as it is told. Deterministic: the same calls with the same seed
// fail in the same way.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "store/disk/disk.h"

namespace varve {

enum class DiskOperation { kOpen, kRead, kWrite, kSync, kTruncate, kName, kList, kSpace, kProbe };

// Chances per operation, 0 to 1.
struct FaultChances {
  double read_error = 0;
  double write_error = 0;
  double sync_error = 0;
  double read_flip = 0;   // one bit of what was read is wrong
  double lost_write = 0;  // claims success, writes nothing
};

// What a test holds of a FaultyDisk that it has given away. Thread-safe. Faults stack; Heal ends
// them all. `after` counts operations of that kind that still succeed from now on.
class FaultController {
 public:
  // Everything fails with kIo (ENODEV), Probe and open handles too, until Heal.
  void Lose();
  void FailReads(std::uint64_t after = 0);
  void FailWrites(std::uint64_t after = 0);
  void FailSyncs(std::uint64_t after = 0);  // Sync and SyncNames
  void FailProbes();
  // After that many more bytes written every Write answers kNoSpace.
  void FullAfter(std::uint64_t bytes);
  // The next writes to objects whose name starts with `prefix` claim success and write nothing.
  void DropWrites(std::uint64_t count, std::string prefix = "");
  // The next write to such an object lands `shift_bytes` further on.
  void MisdirectNextWrite(std::uint64_t shift_bytes, std::string prefix = "");
  // From now on faults come by chance, thrown from `seed`.
  void RandomFaults(std::uint64_t seed, const FaultChances& chances);
  void Heal();

  // Called before each operation, without locks held; may block. Empty for none.
  using Hook = std::function<void(DiskOperation, std::string_view name)>;
  void SetHook(Hook hook);

  // How many operations of a kind were asked for, failed ones included.
  std::uint64_t count(DiskOperation operation) const;
  std::uint64_t bytes_written() const;

  // The disk below, past all faults.
  Disk& base() { return *base_; }
  // Damage to what is stored.
  Status FlipBit(std::string_view name, std::uint64_t byte_offset, int bit);
  Status TruncateObject(std::string_view name, std::uint64_t size_bytes);

 private:
  friend class FaultyDisk;
  friend class FaultyFile;

  enum class WriteFate { kWritten, kDropped, kMisdirected };
  struct Targeted {
    std::uint64_t count = 0;
    std::string prefix;
  };

  // Counts the operation, runs the hook, and answers the fault that is due, if any.
  Status Begin(DiskOperation operation, std::string_view name);
  Status Due(DiskOperation operation, std::string_view name);  // mutex held
  Result<WriteFate> BeginWrite(std::string_view name, std::uint64_t length_bytes,
                               std::uint64_t* shift_bytes);
  // Perhaps flips a bit of what was read.
  void AfterRead(MutableByteSpan bytes);
  bool Chance(double probability);  // mutex held

  std::shared_ptr<Disk> base_;  // set once, by FaultyDisk

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  bool lost_ = false;
  bool probes_fail_ = false;
  std::optional<std::uint64_t> reads_left_;
  std::optional<std::uint64_t> writes_left_;
  std::optional<std::uint64_t> syncs_left_;
  std::optional<std::uint64_t> bytes_left_;
  Targeted drop_;
  Targeted misdirect_;
  std::uint64_t misdirect_shift_bytes_ = 0;
  FaultChances chances_;
  std::mt19937_64 random_;
  Hook hook_;
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(9);
  std::uint64_t bytes_written_ = 0;
};

class FaultyDisk : public Disk {
 public:
  // The controller must be fresh: one for each FaultyDisk.
  FaultyDisk(std::unique_ptr<Disk> base, std::shared_ptr<FaultController> controller);

  Result<std::unique_ptr<DiskFile>> Open(std::string_view name, OpenMode mode) override;
  Status Remove(std::string_view name) override;
  Status Rename(std::string_view from, std::string_view to) override;
  Result<std::vector<std::string>> List(std::string_view prefix) override;
  Status SyncNames() override;
  Result<DiskSpace> Space() override;
  std::string Describe() const override;
  Status Probe() override;

 private:
  const std::shared_ptr<FaultController> controller_;
  const std::shared_ptr<Disk> base_;
};

// Damage for any disk: bit 0 is the lowest.
Status FlipBit(Disk& disk, std::string_view name, std::uint64_t byte_offset, int bit);
Status TruncateObject(Disk& disk, std::string_view name, std::uint64_t size_bytes);

}  // namespace varve
