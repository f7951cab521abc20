// Byte spans, and the encoder and decoder that every on-disk structure is written with:
// little-endian, field by field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/base/result.h"

namespace varve {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;
using ByteVector = std::vector<std::byte>;

inline ByteSpan AsBytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}
inline std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Appends to a vector that it owns. Cannot fail.
class Encoder {
 public:
  void U8(std::uint8_t v) { Fixed(v, 1); }
  void U16(std::uint16_t v) { Fixed(v, 2); }
  void U32(std::uint32_t v) { Fixed(v, 4); }
  void U64(std::uint64_t v) { Fixed(v, 8); }
  void I64(std::int64_t v) { Fixed(static_cast<std::uint64_t>(v), 8); }
  // LEB128, 1 to 10 bytes.
  void Varint(std::uint64_t v);
  void Raw(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void Raw(std::string_view text) { Raw(AsBytes(text)); }
  // Varint length, then the bytes.
  void Sized(ByteSpan bytes);
  void Sized(std::string_view text) { Sized(AsBytes(text)); }
  void Zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }
  // Overwrites four or eight bytes written before, for lengths and checksums known only later.
  void PatchU32(std::size_t at, std::uint32_t v);
  void PatchU64(std::size_t at, std::uint64_t v);

  void Reserve(std::size_t size_bytes) { bytes_.reserve(size_bytes); }
  // Begins anew in the memory it has.
  void Clear() { bytes_.clear(); }
  std::size_t size() const { return bytes_.size(); }
  ByteSpan bytes() const { return bytes_; }
  ByteVector Take() { return std::move(bytes_); }

 private:
  void Fixed(std::uint64_t v, int length_bytes);
  ByteVector bytes_;
};

// Reads from a span that it does not own. Nothing read is trusted: past the end every call answers
// zero and the decoder stays failed; look at ok() before using what was read.
class Decoder {
 public:
  explicit Decoder(ByteSpan bytes) : bytes_(bytes) {}

  std::uint8_t U8() { return static_cast<std::uint8_t>(Fixed(1)); }
  std::uint16_t U16() { return static_cast<std::uint16_t>(Fixed(2)); }
  std::uint32_t U32() { return static_cast<std::uint32_t>(Fixed(4)); }
  std::uint64_t U64() { return Fixed(8); }
  std::int64_t I64() { return static_cast<std::int64_t>(Fixed(8)); }
  std::uint64_t Varint();
  // The next `length_bytes` bytes, in place; empty when there are not as many.
  ByteSpan Raw(std::size_t length_bytes);
  // A varint length and as many bytes, in place.
  ByteSpan Sized();
  std::string SizedString() { return std::string(AsText(Sized())); }
  // Fails unless the next `count` bytes are zero: reserved space is checked.
  void ExpectZeros(std::size_t count);

  bool ok() const { return ok_; }
  std::size_t remaining() const { return bytes_.size() - at_; }
  std::size_t position() const { return at_; }
  bool AtEnd() const { return ok_ && remaining() == 0; }
  void Fail() { ok_ = false; }

 private:
  std::uint64_t Fixed(int length_bytes);
  ByteSpan bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace varve
