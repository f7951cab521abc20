#include "store/codec/checksum.h"

#include <algorithm>

#include "store/base/check.h"

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

std::uint64_t BlockwiseChecksum(ByteSpan bytes, std::span<std::uint32_t> blocks) {
  const std::size_t count = (bytes.size() + kChecksumBlockBytes - 1) / kChecksumBlockBytes;
  CHECK(blocks.empty() || blocks.size() >= count, "no room for each block's checksum");
  Encoder checksums;
  checksums.Reserve(count * sizeof(std::uint64_t));
  for (std::size_t block = 0; block < count; ++block) {
    const std::size_t from = block * kChecksumBlockBytes;
    const std::uint64_t checksum =
        Checksum(bytes.subspan(from, std::min(kChecksumBlockBytes, bytes.size() - from)));
    checksums.U64(checksum);
    if (!blocks.empty()) blocks[block] = static_cast<std::uint32_t>(checksum);
  }
  return Checksum(checksums.bytes());
}

}  // namespace varve
