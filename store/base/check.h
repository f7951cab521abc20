// CHECK: for programmer errors and for anything about to be written wrongly. Always on. Never for
// what was read from a disk: that is an Error.
#pragma once

#include <string_view>

namespace varve {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              std::string_view message);

}  // namespace varve

// CHECK(condition) or CHECK(condition, message): aborts the process with file, line and message.
#define CHECK(condition, ...)                                                              \
  do {                                                                                     \
    if (!(condition)) [[unlikely]]                                                         \
      ::varve::CheckFailed(__FILE__, __LINE__, #condition, std::string_view{__VA_ARGS__}); \
  } while (false)
