// varve rollback: makes a file or a tree as it was, in one step that is a version itself.
#include <CLI/CLI.hpp>
#include <cstdint>

#include "tools/daemon_client.h"
#include "tools/text.h"
#include "tools/verbs.h"

namespace varve {
namespace {

void Print(const Json& done, const std::string& path, Io& io) {
  const Json& to = done.at("to");
  const Json& version = done.at("version");
  const auto changed = done.value("changed", std::uint64_t{0});
  io.out << path << " is as it was at " << to.value("time", std::string()) << " (@"
         << to.value("lsn", std::uint64_t{0}) << "); ";
  if (changed == 0) {
    io.out << "nothing had to change\n";
    return;
  }
  const auto lsn = version.value("lsn", std::uint64_t{0});
  io.out << Count(changed, "change") << "\nto undo: varve rollback " << path << " --to @" << lsn - 1
         << "\n";
}

}  // namespace

int RunRollback(const Args& args, Io& io) {
  std::string path;
  std::string when;
  bool json = false;
  CLI::App app(
      "Makes a file, a directory or (given the mountpoint) the whole tree as it was. At once, and "
      "a "
      "version itself, so it can be rolled back.",
      "varve rollback");
  app.add_option("PATH", path, "what to roll back, as it is called now")->required();
  app.add_option("--to", when, "the moment: a time, an age (2h-ago), a snapshot, @NUMBER")
      ->required();
  app.add_flag("--json", json, "print JSON");
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto found = FindMounted(path);
  if (!found.ok()) return Fail(io, "rollback", found.error());
  const auto done =
      AskDaemon(found->mount, "rollback",
                {{"path", BytesToJson(found->in_volume())}, {"when", BytesToJson(when)}});
  if (!done.ok()) return Fail(io, "rollback", done.error());
  if (json) {
    Json shown = *done;
    shown["path"] = found->path.full();
    io.out << DumpPretty(shown) << "\n";
  } else {
    Print(*done, ForTerminal(found->path.full()), io);
  }
  return kExitOk;
}

}  // namespace varve
