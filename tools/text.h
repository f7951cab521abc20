// How numbers, times and files are shown to people.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace varve {

// "512 B", "1.5 KiB", "3.2 GiB".
std::string FormatBytes(std::uint64_t bytes);
// "512", "64K", "1.5G", "2GiB"; kInvalidArgument otherwise.
Result<std::uint64_t> ParseBytes(std::string_view text);
// "drwxr-xr-x".
std::string FormatMode(mode_t mode);
// "regular file", "directory", ...
std::string_view TypeName(mode_t mode);
std::string FormatTimespec(const timespec& time);
// Names as they are, but control characters, which a terminal would act on, as "\x1b".
std::string ForTerminal(std::string_view name);
// "1 file", "2 files".
std::string Count(std::uint64_t count, std::string_view noun);

// Rows under one another, columns as wide as their widest cell; every row begins with `indent`.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows, std::string_view indent);

}  // namespace varve
