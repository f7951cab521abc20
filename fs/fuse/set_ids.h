// What truncating a file does to its setuid and setgid bits.
#pragma once

#include <fuse_lowlevel.h>

#include <cstdint>
#include <optional>

#include "fs/core/filesystem.h"

namespace varve {

// The mode that is left when the caller truncates it, if that is another: without the setuid bit,
// and without the setgid bit if the file's group may run it or the caller is not in that group;
// root's truncating takes nothing. The kernel does it for writes, but leaves it to the daemon when
// O_TRUNC comes with the open, and knows no setgid bit without the right to run.
Result<std::optional<std::uint32_t>> ModeWhenTruncated(fuse_req_t req, Filesystem& filesystem,
                                                       NodeId node);

}  // namespace varve
