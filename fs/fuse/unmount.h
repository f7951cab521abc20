// Taking a mount away, as root by system call, as anybody else through fusermount3.
#pragma once

#include <string>

#include "store/base/result.h"

namespace varve {

enum class UnmountMode {
  kClean,   // kBusy when somebody uses it
  kDetach,  // gone from the tree at once, whoever uses it
};

// `mountpoint` is absolute and is not followed if it is a symbolic link.
Status Unmount(const std::string& mountpoint, UnmountMode mode);

}  // namespace varve
