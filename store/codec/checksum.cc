#include "store/codec/checksum.h"

#include <xxhash.h>

namespace varve {

std::uint64_t Checksum(ByteSpan bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace varve
