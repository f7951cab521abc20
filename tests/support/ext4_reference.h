// An ext4 of this machine's kernel, to compare with: a sparse image behind a loop device.
#pragma once

#include <optional>
#include <string>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "tests/support/temp_directory.h"

namespace varve {

// The filesystem is mounted, but nowhere: root() is the only way in. It is gone with its last
// descriptor, the loop device with it, however the test ends, also by SIGKILL.
class Ext4Reference {
 public:
  // Nothing if this process can have one; otherwise why not, for GTEST_SKIP.
  static std::optional<std::string> WhyCannotMount();

  // Whether reading moves a file's atime.
  enum class Atime { kRelative, kNever };

  // Makes the image and mounts it.
  Status Mount(Atime atime = Atime::kRelative);

  // The root directory; O_PATH.
  int root() const { return mount_.get(); }

 private:
  TempDirectory directory_;
  UniqueFd mount_;
};

}  // namespace varve
