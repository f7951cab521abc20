// Runs a verb in process and keeps what it says.
#pragma once

#include <sstream>
#include <string>

#include "tools/dispatch.h"

namespace varve {

struct VerbResult {
  int status = -1;
  std::string out;
  std::string err;
};

// `words` without the program's name.
inline VerbResult RunVerb(Args words, const std::string& program = "varve") {
  std::ostringstream out;
  std::ostringstream err;
  Io io{.out = out, .err = err};
  words.insert(words.begin(), program);
  VerbResult result;
  result.status = RunVarve(words, io);
  result.out = out.str();
  result.err = err.str();
  return result;
}

}  // namespace varve
