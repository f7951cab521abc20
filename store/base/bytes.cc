#include "store/base/bytes.h"

#include <array>

namespace varve {

void Encoder::Fixed(std::uint64_t v, int length_bytes) {
  std::array<std::byte, 8> little_endian;
  for (std::size_t i = 0; i < little_endian.size(); ++i) {
    little_endian[i] = static_cast<std::byte>(v >> (8 * i));
  }
  bytes_.insert(bytes_.end(), little_endian.begin(), little_endian.begin() + length_bytes);
}

void Encoder::Varint(std::uint64_t v) {
  while (v >= 0x80) {
    bytes_.push_back(static_cast<std::byte>(v | 0x80));
    v >>= 7;
  }
  bytes_.push_back(static_cast<std::byte>(v));
}

void Encoder::Sized(ByteSpan bytes) {
  Varint(bytes.size());
  Raw(bytes);
}

void Encoder::PatchU32(std::size_t at, std::uint32_t v) {
  CHECK(at + 4 <= bytes_.size());
  for (std::size_t i = 0; i < 4; ++i) bytes_[at + i] = static_cast<std::byte>(v >> (8 * i));
}

void Encoder::PatchU64(std::size_t at, std::uint64_t v) {
  CHECK(at + 8 <= bytes_.size());
  for (std::size_t i = 0; i < 8; ++i) bytes_[at + i] = static_cast<std::byte>(v >> (8 * i));
}

std::uint64_t Decoder::Fixed(int length_bytes) {
  ByteSpan raw = Raw(static_cast<std::size_t>(length_bytes));
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < raw.size(); ++i)
    v |= std::to_integer<std::uint64_t>(raw[i]) << (8 * i);
  return v;
}

std::uint64_t Decoder::Varint() {
  std::uint64_t v = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    std::uint8_t byte = U8();
    if (!ok_) return 0;
    if (shift == 63 && byte > 1) break;  // more than 64 bits
    v |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return v;
  }
  ok_ = false;
  return 0;
}

ByteSpan Decoder::Raw(std::size_t length_bytes) {
  if (!ok_ || length_bytes > remaining()) {
    ok_ = false;
    return {};
  }
  ByteSpan out = bytes_.subspan(at_, length_bytes);
  at_ += length_bytes;
  return out;
}

ByteSpan Decoder::Sized() {
  std::uint64_t length_bytes = Varint();
  if (!ok_ || length_bytes > remaining()) {
    ok_ = false;
    return {};
  }
  return Raw(static_cast<std::size_t>(length_bytes));
}

void Decoder::ExpectZeros(std::size_t count) {
  for (std::byte b : Raw(count)) {
    if (b != std::byte{0}) ok_ = false;
  }
}

}  // namespace varve
