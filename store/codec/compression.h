// LZ4, giving up cheaply on what does not compress.
#pragma once

#include <cstdint>

#include "store/base/bytes.h"

namespace varve {

enum class Codec : std::uint8_t { kNone = 0, kLz4 = 1 };

// Compresses `raw` into `out` (replaced). Answers kNone and copies nothing when the result would be
// larger than 15/16 of `raw`: store the raw bytes then.
Codec Compress(ByteSpan raw, ByteVector& out);
// Decompresses exactly raw.size() bytes. kCorrupt if `stored` is not that. Safe on hostile input.
Status Decompress(Codec codec, ByteSpan stored, MutableByteSpan raw);

}  // namespace varve
