// Disks of a size of their own, to be filled: an ext4 each, mounted where a volume expects its
// disks. Needs root.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "tests/support/temp_directory.h"

namespace varve {

// The mounts are in a mount namespace that only this process and its children see: they are gone
// with them, however they end. WhyNoLoopExt4() says whether this process can.
class SmallDisks {
 public:
  SmallDisks() = default;
  // The disks' users must have ended.
  ~SmallDisks();
  SmallDisks(const SmallDisks&) = delete;
  SmallDisks& operator=(const SmallDisks&) = delete;

  // Moves the process (its only thread) into a mount namespace of its own. Before any other mount.
  static Status LeaveMountNamespace();

  // Makes the directory and mounts on it an empty filesystem in an image of that size.
  Status Add(const std::string& directory, std::uint64_t image_bytes);
  // Takes it out of the tree with its directory, as a disk that dies: who has files of it open may
  // go on with them.
  Status Lose(const std::string& directory);

 private:
  TempDirectory images_;
  std::vector<std::string> mounted_;
};

}  // namespace varve
