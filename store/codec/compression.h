// LZ4, giving up cheaply on what does not compress.
#pragma once

#include <cstdint>
#include <memory>

#include "store/base/bytes.h"

namespace varve {

enum class Codec : std::uint8_t { kNone = 0, kLz4 = 1 };

// Compresses one run of data after the other. Used by one thread at a time.
class Compressor {
 public:
  // Compresses `raw` into `out` (replaced). Answers kNone and copies nothing when the result would
  // be larger than 15/16 of `raw`: store the raw bytes then. After kPatience failures in a row,
  // all but one run in kSampleEvery are passed over untried; the first success ends that.
  Codec Compress(ByteSpan raw, ByteVector& out);

 private:
  static constexpr std::uint32_t kPatience = 16;
  static constexpr std::uint32_t kSampleEvery = 8;

  std::uint32_t failures_ = 0;  // since the last success, untried runs among them
  std::unique_ptr<std::byte[]> scratch_;
  std::size_t scratch_bytes_ = 0;
};
// The same for one run of its own: the answer depends on nothing but `raw`.
inline Codec Compress(ByteSpan raw, ByteVector& out) { return Compressor().Compress(raw, out); }
// Decompresses exactly raw.size() bytes. kCorrupt if `stored` is not that. Safe on hostile input.
Status Decompress(Codec codec, ByteSpan stored, MutableByteSpan raw);

}  // namespace varve
