// The callbacks of varve_bench_null.
#pragma once

#include <fuse_lowlevel.h>

namespace varve {

// As far as Varve has the kernel read ahead.
inline constexpr unsigned kNullReadaheadBytes = 4 * 1024 * 1024;

// The session's user data is a NullTree.
fuse_lowlevel_ops NullOperations();

}  // namespace varve
