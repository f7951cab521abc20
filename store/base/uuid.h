// 128-bit random identity of a volume, a disk or an epoch.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <string>
#include <string_view>

#include "store/base/result.h"

namespace varve {

struct Uuid {
  std::array<std::byte, 16> bytes{};

  // From the kernel's random source (RFC 4122 version 4).
  static Uuid Random();
  // "8-4-4-4-12" hex digits.
  static Result<Uuid> Parse(std::string_view text);
  std::string ToString() const;
  bool IsNil() const { return *this == Uuid{}; }

  auto operator<=>(const Uuid&) const = default;
};

}  // namespace varve
