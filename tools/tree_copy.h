// Copies a file or a tree, whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/base/result.h"

namespace varve {

struct TreeSize {
  std::uint64_t files = 0;  // everything that is not a directory
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;  // of regular files
};
// Walks `path` without following links.
Result<TreeSize> MeasureTree(const std::string& path);

struct TreeCopyResult {
  TreeSize copied;
  // What could not be kept of what was copied: one line each, at most kMaxWarnings.
  static constexpr std::size_t kMaxWarnings = 20;
  std::vector<std::string> warnings;
};

// Copies `from` to `to`: contents with their holes, modes, times, extended attributes, symbolic
// links, hard links among what is copied, and owners if we are root. It is made next to `to` under
// a temporary name and then renamed, so that `to` is what it was or the whole copy. A file replaces
// a file; kExists if `to` is a directory, or if a directory is to be copied to what exists.
// `progress` hears of bytes copied.
Result<TreeCopyResult> CopyTree(const std::string& from, const std::string& to,
                                const std::function<void(std::uint64_t)>& progress);

}  // namespace varve
