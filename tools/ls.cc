// varve ls: a directory as it was.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "fs/control/wire.h"
#include "tools/at_options.h"
#include "tools/file_facts.h"
#include "tools/past.h"
#include "tools/text.h"
#include "tools/verbs.h"

namespace varve {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<std::vector<std::string>> ListNames(const std::string& path) {
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (directory == nullptr) return Error::FromErrno(errno, path);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return Error::FromErrno(errno, path);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<FileFacts>> List(const PastPath& past) {
  ASSIGN_OR_RETURN(FileFacts itself, ReadFileFacts(past.path, BaseNameOf(past.present)));
  if (!S_ISDIR(itself.stat.st_mode)) return std::vector<FileFacts>{std::move(itself)};
  ASSIGN_OR_RETURN(const auto names, ListNames(past.path));
  std::vector<FileFacts> list;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(FileFacts facts, ReadFileFacts(JoinPath(past.path, name), name));
    list.push_back(std::move(facts));
  }
  return list;
}

void Print(const std::vector<FileFacts>& list, Io& io) {
  std::vector<std::vector<std::string>> rows;
  for (const FileFacts& facts : list) {
    const bool link = S_ISLNK(facts.stat.st_mode);
    rows.push_back({FormatMode(facts.stat.st_mode), std::to_string(facts.stat.st_nlink),
                    OwnerName(facts.stat.st_uid), GroupName(facts.stat.st_gid),
                    std::to_string(facts.stat.st_size), FormatTimespec(facts.stat.st_mtim),
                    ForTerminal(facts.name) + (link ? " -> " + ForTerminal(facts.target) : "")});
  }
  io.out << FormatTable(rows, "");
}

}  // namespace

int RunLs(const Args& args, Io& io) {
  AtOptions at;
  bool json = false;
  CLI::App app("Lists a directory, or shows a file, as of a moment.", "varve ls");
  at.AddTo(app);
  app.add_flag("--json", json, "print JSON");
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto past = LocatePast(at.path, at.when);
  if (!past.ok()) return Fail(io, "ls", past.error());
  const auto list = List(*past);
  if (!list.ok()) return Fail(io, "ls", list.error());
  if (json) {
    Json entries = Json::array();
    for (const FileFacts& facts : *list) entries.push_back(ToJson(facts));
    io.out << DumpPretty(entries) << "\n";
  } else {
    Print(*list, io);
  }
  return kExitOk;
}

}  // namespace varve
