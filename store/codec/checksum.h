// The one checksum of the on-disk format: XXH3-64 with the given seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "store/base/bytes.h"

namespace varve {

std::uint64_t Checksum(ByteSpan bytes, std::uint64_t seed = 0);

// Bytes may be summed up in blocks, the last of which may be shorter, so that a part of them can be
// verified without the rest (a hash tree of two levels, R. C. Merkle 1979).
inline constexpr std::size_t kChecksumBlockBytes = 4096;
// The checksum of the checksums of all blocks, little-endian, one behind the other. The lower
// halves of these go to `blocks`, which has room for each of them or is empty.
std::uint64_t BlockwiseChecksum(ByteSpan bytes, std::span<std::uint32_t> blocks = {});

}  // namespace varve
