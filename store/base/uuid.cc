#include "store/base/uuid.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdint>

namespace varve {

Uuid Uuid::Random() {
  Uuid id;
  std::size_t done = 0;
  while (done < id.bytes.size()) {
    ssize_t got = getrandom(id.bytes.data() + done, id.bytes.size() - done, 0);
    CHECK(got > 0 || errno == EINTR, "getrandom failed");
    if (got > 0) done += static_cast<std::size_t>(got);
  }
  id.bytes[6] = (id.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  id.bytes[8] = (id.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  return id;
}

std::string Uuid::ToString() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    auto v = std::to_integer<unsigned>(bytes[i]);
    text += kHex[v >> 4];
    text += kHex[v & 15];
  }
  return text;
}

Result<Uuid> Uuid::Parse(std::string_view text) {
  auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  const Error bad(ErrorCode::kInvalidArgument, "'" + std::string(text) + "' is not a uuid");
  if (text.size() != 36) return bad;
  Uuid id;
  std::size_t at = 0;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    if (at == 8 || at == 13 || at == 18 || at == 23) {
      if (text[at] != '-') return bad;
      ++at;
    }
    int high = digit(text[at]);
    int low = digit(text[at + 1]);
    if (high < 0 || low < 0) return bad;
    id.bytes[i] = static_cast<std::byte>(high << 4 | low);
    at += 2;
  }
  return id;
}

}  // namespace varve
