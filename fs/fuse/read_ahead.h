// How far the kernel reads ahead on a mount.
#pragma once

#include <cstdint>
#include <string>

#include "store/base/result.h"

namespace varve {

// The "major:minor" of the FUSE mount at `mountpoint` with that source, from this process's table
// of mounts: stat(2) would be a request to ourselves.
Result<std::string> DeviceOfMount(const std::string& mountpoint, const std::string& source);

// Sets read_ahead_kb of that device. Whatever the kernel agreed to at the start, it reads no
// further ahead than its default of 128 KiB until told here. Needs root.
Status SetReadAhead(const std::string& device, std::uint32_t kib);

}  // namespace varve
