// mount -o remount: other flags for a mount that is there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/base/result.h"

namespace varve {

// The kernel's flags (MS_RDONLY ...) that the words of -o say, if "remount" is one of them. Words
// that are no flags are passed over: mount(8) repeats all that the mount table shows.
std::optional<unsigned long> RemountFlags(const std::vector<std::string>& texts);

// Gives the Varve mount at `mountpoint` these flags and no others; the daemon goes on. Needs root.
Status Remount(const std::string& mountpoint, unsigned long flags);

}  // namespace varve
