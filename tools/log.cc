// varve log: the versions of a file, or what has changed below a directory; newest first.
#include <CLI/CLI.hpp>
#include <cstdint>

#include "tools/daemon_client.h"
#include "tools/text.h"
#include "tools/verbs.h"

namespace varve {
namespace {

void PrintRow(const Json& record, const std::string& path, Io& io) {
  const bool deleted = record.value("deleted", false);
  const auto mode = static_cast<mode_t>(record.value("mode", 0u));
  std::string size = "-";
  if (!deleted && S_ISREG(mode)) size = FormatBytes(record.value("size", std::uint64_t{0}));
  std::string change = record.value("change", std::string());
  if (deleted) change += " (gone)";
  const std::string lsn = "@" + std::to_string(record.value("lsn", std::uint64_t{0}));
  // Widths that fit all but the odd: rows are printed as they come, not when all are known.
  std::string row = record.value("time", std::string()) + "  ";
  row += lsn + std::string(lsn.size() < 10 ? 10 - lsn.size() : 1, ' ');
  row += change + std::string(change.size() < 20 ? 20 - change.size() : 1, ' ');
  row += std::string(size.size() < 10 ? 10 - size.size() : 0, ' ') + size + "  ";
  io.out << row << ForTerminal(path) << "\n";
}

}  // namespace

int RunLog(const Args& args, Io& io) {
  std::string path;
  bool json = false;
  CLI::App app("Versions of a file, newest first; of a directory, the changes at or below it.",
               "varve log");
  app.add_option("PATH", path, "a path in a mounted volume; it need not exist today")->required();
  app.add_flag("--json", json, "print JSON");
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto found = FindMounted(path);
  if (!found.ok()) return Fail(io, "log", found.error());
  std::uint64_t count = 0;
  const auto done = AskDaemon(found->mount, "log", {{"path", BytesToJson(found->in_volume())}},
                              [&](const Json& record) {
                                Json shown = record;
                                const auto name = BytesFromJson(record.value("path", Json("")));
                                const std::string record_path = name.ok() ? *name : std::string();
                                shown["path"] = record_path;
                                if (json) {
                                  io.out << (count == 0 ? "[\n" : ",\n") << Dump(shown);
                                } else {
                                  PrintRow(record, record_path, io);
                                }
                                ++count;
                                return static_cast<bool>(io.out);
                              });
  if (!done.ok()) return Fail(io, "log", done.error());
  if (json) io.out << (count == 0 ? "[]\n" : "\n]\n");
  if (count == 0 && !json) {
    return Fail(io, "log", path + " has never existed in this volume");
  }
  return kExitOk;
}

}  // namespace varve
