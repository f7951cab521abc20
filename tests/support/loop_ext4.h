// An ext4 of this machine's kernel in a sparse image behind a loop device, for those who need a
// filesystem of their own: to compare with, or to fill. Needs root.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace varve {

// Nothing if this process can have one; otherwise why not, for GTEST_SKIP.
std::optional<std::string> WhyNoLoopExt4();

struct LoopExt4Options {
  std::uint64_t image_bytes = std::uint64_t{1} << 30;
  unsigned mount_attributes = 0;              // as of fsmount(2)
  std::vector<std::string> format_options{};  // more words for mkfs.ext4
};

// Makes `image` and a filesystem in it, and mounts that, but nowhere: what is returned is the only
// way in. The mount and the loop device are gone with the last descriptor, and the place in the
// tree that move_mount(2) may give it, however the process ends.
Result<UniqueFd> MountLoopExt4(const std::string& image, const LoopExt4Options& options);

}  // namespace varve
