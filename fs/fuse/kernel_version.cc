#include "fs/fuse/kernel_version.h"

#include <sys/utsname.h>

#include <charconv>
#include <utility>

namespace varve {

bool FlushesBeforeDirectWrites(std::string_view release) {
  constexpr std::pair kFirst{6, 16};
  std::pair version{0, 0};
  const char* const end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, version.first);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return false;
  const auto minor = std::from_chars(major.ptr + 1, end, version.second);
  return minor.ec == std::errc() && version >= kFirst;
}

bool FlushesBeforeDirectWrites() {
  utsname name{};
  return ::uname(&name) == 0 && FlushesBeforeDirectWrites(name.release);
}

}  // namespace varve
