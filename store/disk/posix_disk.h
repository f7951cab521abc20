// A Disk that is a directory.
#pragma once

#include <memory>
#include <string>

#include "store/disk/disk.h"

namespace varve {

enum class DiskAccess { kReadOnly, kReadWrite };

// Opens the directory and takes an advisory lock on it (flock), exclusive for kReadWrite, shared
// for kReadOnly: kBusy when another process has the volume mounted or under repair. All access is
// relative to the directory's descriptor and never follows a symbolic link inside it.
Result<std::unique_ptr<Disk>> OpenPosixDisk(const std::string& path, DiskAccess access);

}  // namespace varve
