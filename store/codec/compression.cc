#include "store/codec/compression.h"

#include <lz4.h>

#include <algorithm>
#include <string>

namespace varve {
namespace {

// LZ4's own default: the next step is faster by little and compresses worse by much.
constexpr int kAcceleration = 1;
// Below this nothing worth a codec can be won.
constexpr std::size_t kSmallestWorthTrying = 32;

}  // namespace

Codec Compressor::Compress(ByteSpan raw, ByteVector& out) {
  out.clear();
  if (raw.size() < kSmallestWorthTrying || raw.size() > LZ4_MAX_INPUT_SIZE) return Codec::kNone;
  if (failures_ >= kPatience && failures_ % kSampleEvery != 0) {
    ++failures_;
    return Codec::kNone;
  }
  // With the output capped, LZ4 gives up as soon as it is full; on random data it skips ahead in
  // growing steps and so costs next to nothing.
  const std::size_t limit_bytes = raw.size() / 16 * 15;
  if (scratch_bytes_ < limit_bytes) {
    scratch_ = std::make_unique_for_overwrite<std::byte[]>(limit_bytes);
    scratch_bytes_ = limit_bytes;
  }
  const int written = LZ4_compress_fast(
      reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(scratch_.get()),
      static_cast<int>(raw.size()), static_cast<int>(limit_bytes), kAcceleration);
  if (written <= 0) {
    ++failures_;
    return Codec::kNone;
  }
  failures_ = 0;
  out.assign(scratch_.get(), scratch_.get() + written);
  return Codec::kLz4;
}

Status Decompress(Codec codec, ByteSpan stored, MutableByteSpan raw) {
  switch (codec) {
    case Codec::kNone:
      if (stored.size() != raw.size()) {
        return Error(ErrorCode::kCorrupt, "uncompressed data has " + std::to_string(stored.size()) +
                                              " bytes, " + std::to_string(raw.size()) +
                                              " are expected");
      }
      std::copy(stored.begin(), stored.end(), raw.begin());
      return {};
    case Codec::kLz4: {
      if (stored.size() > LZ4_MAX_INPUT_SIZE || raw.size() > LZ4_MAX_INPUT_SIZE) {
        return Error(ErrorCode::kCorrupt, "LZ4 block is longer than LZ4 makes them");
      }
      const int read = LZ4_decompress_safe(
          reinterpret_cast<const char*>(stored.data()), reinterpret_cast<char*>(raw.data()),
          static_cast<int>(stored.size()), static_cast<int>(raw.size()));
      if (read < 0 || static_cast<std::size_t>(read) != raw.size()) {
        return Error(ErrorCode::kCorrupt, "LZ4 block does not decompress to the " +
                                              std::to_string(raw.size()) + " bytes expected");
      }
      return {};
    }
  }
  return Error(ErrorCode::kCorrupt,
               "unknown codec " + std::to_string(static_cast<unsigned>(codec)));
}

}  // namespace varve
