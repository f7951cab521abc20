// The one checksum of the on-disk format: XXH3-64 with the given seed.
#pragma once

#include <cstdint>

#include "store/base/bytes.h"

namespace varve {

std::uint64_t Checksum(ByteSpan bytes, std::uint64_t seed = 0);

}  // namespace varve
