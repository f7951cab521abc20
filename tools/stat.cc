// varve stat: attributes as they were.
#include <sys/stat.h>

#include "tools/at_options.h"
#include "tools/file_facts.h"
#include "tools/past.h"
#include "tools/text.h"
#include "tools/verbs.h"

namespace varve {
namespace {

void Print(const PastPath& past, const FileFacts& facts, Io& io) {
  const auto& stat = facts.stat;
  std::vector<std::vector<std::string>> rows = {
      {"path", ForTerminal(past.present)},
      {"as of", past.moment.text},
      {"type", std::string(TypeName(stat.st_mode))},
      {"mode", FormatMode(stat.st_mode)},
      {"owner", OwnerName(stat.st_uid) + ":" + GroupName(stat.st_gid)},
      {"size", std::to_string(stat.st_size)},
      {"links", std::to_string(stat.st_nlink)},
      {"modified", FormatTimespec(stat.st_mtim)},
      {"changed", FormatTimespec(stat.st_ctim)},
      {"accessed", FormatTimespec(stat.st_atim)},
      {"read it at", ForTerminal(past.path)},
  };
  if (S_ISLNK(stat.st_mode)) rows.push_back({"target", ForTerminal(facts.target)});
  io.out << FormatTable(rows, "");
}

}  // namespace

int RunStat(const Args& args, Io& io) {
  AtOptions at;
  bool json = false;
  CLI::App app("Shows the attributes of a file as of a moment.", "varve stat");
  at.AddTo(app);
  app.add_flag("--json", json, "print JSON");
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto past = LocatePast(at.path, at.when);
  if (!past.ok()) return Fail(io, "stat", past.error());
  const auto facts = ReadFileFacts(past->path, BaseNameOf(past->present));
  if (!facts.ok()) return Fail(io, "stat", facts.error());
  if (json) {
    Json object = ToJson(*facts);
    object["path"] = past->present;
    object["as_of"] = past->moment.text;
    object["read_at"] = past->path;
    io.out << DumpPretty(object) << "\n";
  } else {
    Print(*past, *facts, io);
  }
  return kExitOk;
}

}  // namespace varve
