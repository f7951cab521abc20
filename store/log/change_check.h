// The bounds of a Change: held when one is written (CHECK) and when one is read (kCorrupt).
#pragma once

#include <cstdint>
#include <string_view>

#include "store/log/change.h"

namespace varve {

inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxXattrNameBytes = 255;
inline constexpr std::size_t kMaxXattrValueBytes = 65536;
inline constexpr std::size_t kMaxTargetBytes = 4096;
// A file ends before 2^63 bytes, so chunks are below this.
inline constexpr ChunkIndex kMaxChunks = (1ULL << 63) / kChunkBytes;

// kCorrupt and which bound: names of 1..255 bytes without '/' and NUL that are not "." or "..",
// xattrs, targets, ids that are not 0, chunk numbers, pieces.
Status CheckOperation(const Operation& operation);
// A stripe, a column, a range within a fragment, a known codec, and stored and raw lengths that fit
// each other.
Status CheckExtentRef(const ExtentRef& ref);
// LSN, kind and every operation.
Status CheckChange(const Change& change);

}  // namespace varve
