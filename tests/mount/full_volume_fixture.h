// A volume on disks small enough to be filled, and what fills it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/mount/mounted_test.h"
#include "tests/support/small_disks.h"

namespace varve {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// What became of a file that was written to a volume with an end.
struct FilledFile {
  std::string name;
  std::uint64_t number = 0;         // says what is in it
  std::uint64_t written_bytes = 0;  // that write(2) took
  bool synced = false;              // fsync(2) said that they are safe
  bool closed = false;              // no call said otherwise, close(2) among them
  std::string refused;              // the first call that did not succeed, and what it said
};

class FullVolumeTest : public MountedTest {
 protected:
  // Only looks whether it can be; Begin makes the volume.
  void SetUp() override;

  // A disk for each size, a 4+2 volume over them, mounted.
  void Begin(const std::vector<std::uint64_t>& disk_bytes, const std::string& options = "");
  void LoseDisk(int index);

  enum class Sync { kEach, kEveryOther, kNone };
  struct Filling {
    std::string prefix;
    std::uint64_t file_bytes = 8 * kMiB;
    std::uint64_t write_bytes = 256 * 1024;
    Sync sync = Sync::kEach;
    int refusals = 1;          // ends after so many refused files one after the other,
    int most_files = 1 << 20;  // or, if it is none, after so many files
  };
  // Writes files one after the other until they are refused. Every refusal must be ENOSPC.
  void Fill(const Filling& filling);
  FilledFile WriteOne(const std::string& name, std::uint64_t bytes, std::uint64_t write_bytes,
                      bool sync);
  // Reads what must be readable of all files that Fill wrote in this directory: those of which
  // nothing was refused, and what was synced.
  void CheckFiles(const std::string& directory);

  std::uint64_t AvailableBytes() const;
  // What the files that were not refused hold.
  std::uint64_t AcceptedBytes() const;
  // `length` bytes at `offset` of the file with that number; they do not compress.
  static std::string BytesOf(std::uint64_t number, std::uint64_t offset, std::uint64_t length);

  std::vector<FilledFile> files_;

 private:
  // First, so that it outlives the daemon, which the base class ends.
  SmallDisks disks_;
};

}  // namespace varve
