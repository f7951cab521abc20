// The -o options of varve mount.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "fs/core/filesystem.h"
#include "store/base/result.h"
#include "store/volume/volume.h"

namespace varve {

inline constexpr std::uint64_t kMinMemoryBytes = 64ULL << 20;
inline constexpr std::uint64_t kDefaultMemoryBytes = 512ULL << 20;

struct MountOptions {
  bool allow_other = false;
  bool read_only = false;
  bool writeback = false;
  bool nonempty = false;
  bool nodiratime = false;  // ours: libfuse does not know it
  SnapshotDirectory snapdir = SnapshotDirectory::kHidden;
  std::uint64_t memory_bytes = kDefaultMemoryBytes;
  std::chrono::milliseconds commit_interval{1000};
  std::uint32_t threads = 16;
  std::string log_file;              // empty: the system's log
  std::vector<std::string> generic;  // for the kernel: "noexec"
};

// Each text is what follows one -o: words between commas. kInvalidArgument names the word that is
// unknown or makes no sense; words of mount(8) that are not for a filesystem are passed over.
// allow_other starts as it should be for who asks: on for root.
Result<MountOptions> ParseMountOptions(const std::vector<std::string>& texts);

// The parts of memory_bytes; they add up to less, the rest is for buffers of requests under way.
VolumeOptions ToVolumeOptions(const MountOptions& options);
FilesystemOptions ToFilesystemOptions(const MountOptions& options);

}  // namespace varve
