// What every verb of the command line is given. Verbs are functions, so that tests run them in
// process.
#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace CLI {
class App;
}

namespace varve {

// The words after the verb.
using Args = std::vector<std::string>;

struct Io {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
};

inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;

// Parses `args` into what `app` was told of. Nothing: go on. A value: the exit status, after --help
// (kExitOk) or a usage error in one line (kExitUsage) has been printed. `app` is named for its
// usage line ("varve mkfs"), and errors begin with that name.
std::optional<int> ParseArgs(CLI::App& app, const Args& args, Io& io);

// Prints "varve VERB: message" and answers kExitError.
int Fail(Io& io, std::string_view verb, std::string_view message);
int Fail(Io& io, std::string_view verb, const Error& error);

}  // namespace varve
