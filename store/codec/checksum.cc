#include "store/codec/checksum.h"

// The library picks AVX2 or AVX-512 when it runs, where the processor has it (x86 only).
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

namespace varve {

std::uint64_t Checksum(ByteSpan bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace varve
