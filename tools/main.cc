#include <sys/auxv.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <iostream>

#include "tools/dispatch.h"

namespace {

// A daemon moves what is read and written through memory of malloc's; in huge pages that costs
// fewer faults, and less for the kernel to find the pages of direct I/O. The C library is told so
// only by the environment a program starts with, so it starts once more. Where that cannot be, or
// the environment has wishes of its own, everything works as well, only slower.
void StartWithHugePages(char** argv) {
  constexpr const char* kSettings = "GLIBC_TUNABLES";
  constexpr const char* kStarted = "VARVE_STARTED_WITH_HUGE_PAGES";
  if (::getenv(kStarted) != nullptr) {
    ::unsetenv(kStarted);
    return;
  }
  // With more rights than its caller the loader drops the setting; started by the loader (which has
  // no base then) it is the loader that would be started again.
  if (::getauxval(AT_SECURE) != 0 || ::getauxval(AT_BASE) == 0) return;
  if (::getenv(kSettings) != nullptr) return;
  std::array<char, PATH_MAX> program{};
  const ssize_t length = ::readlink("/proc/self/exe", program.data(), program.size() - 1);
  if (length <= 0 || ::setenv(kStarted, "1", 1) != 0) return;
  if (::setenv(kSettings, "glibc.malloc.hugetlb=1", 1) == 0) ::execv(program.data(), argv);
  ::unsetenv(kStarted);
}

}  // namespace

int main(int argc, char** argv) {
  const varve::Args words(argv, argv + argc);
  if (varve::StartsDaemon(words)) StartWithHugePages(argv);
  varve::Io io{.out = std::cout,
               .err = std::cerr,
               .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
               .err_is_terminal = ::isatty(STDERR_FILENO) == 1};
  return varve::RunVarve(words, io);
}
