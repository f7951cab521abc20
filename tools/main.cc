#include <unistd.h>

#include <iostream>

#include "tools/dispatch.h"

int main(int argc, char** argv) {
  varve::Io io{.out = std::cout,
               .err = std::cerr,
               .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
               .err_is_terminal = ::isatty(STDERR_FILENO) == 1};
  return varve::RunVarve(varve::Args(argv, argv + argc), io);
}
