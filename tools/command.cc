#include "tools/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace varve {
namespace {

// One line, whatever a library puts into its messages.
std::string OneLine(std::string_view text) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace

std::optional<int> ParseArgs(CLI::App& app, const Args& args, Io& io) {
  try {
    app.parse(Args(args.rbegin(), args.rend()));  // CLI11 takes them from the back
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    io.out << app.help();
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    io.err << app.get_name() << ": " << OneLine(error.what()) << "; see " << app.get_name()
           << " --help\n";
    return kExitUsage;
  }
}

int Fail(Io& io, std::string_view verb, std::string_view message) {
  io.err << "varve " << verb << ": " << OneLine(message) << "\n";
  return kExitError;
}

int Fail(Io& io, std::string_view verb, const Error& error) {
  return Fail(io, verb, error.message());
}

}  // namespace varve
