#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "tools/dispatch.h"

namespace {

// A daemon moves what is read and written through memory of malloc's; in huge pages that costs
// fewer faults, and less for the kernel to find the pages of direct I/O. The C library is told so
// only by the environment a program starts with, so it starts once more. Where that fails, or the
// environment has wishes of its own, everything works as well, only slower.
void StartWithHugePages(char** argv) {
  constexpr const char* kSettings = "GLIBC_TUNABLES";
  if (::getenv(kSettings) != nullptr) return;
  std::array<char, PATH_MAX> program{};
  const ssize_t length = ::readlink("/proc/self/exe", program.data(), program.size() - 1);
  if (length <= 0 || ::setenv(kSettings, "glibc.malloc.hugetlb=1", 1) != 0) return;
  ::execv(program.data(), argv);
}

bool IsMount(const varve::Args& words) {
  if (words.size() > 1 && words[1] == "mount") return true;
  return !words.empty() && std::string_view(words[0]).find("mount.") != std::string_view::npos;
}

}  // namespace

int main(int argc, char** argv) {
  const varve::Args words(argv, argv + argc);
  if (IsMount(words)) StartWithHugePages(argv);
  varve::Io io{.out = std::cout,
               .err = std::cerr,
               .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
               .err_is_terminal = ::isatty(STDERR_FILENO) == 1};
  return varve::RunVarve(words, io);
}
