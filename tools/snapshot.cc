// varve snapshot: names for moments.
#include <CLI/CLI.hpp>

#include "tools/daemon_client.h"
#include "tools/text.h"
#include "tools/verbs.h"

namespace varve {
namespace {

Result<Json> WithPlainName(Json record) {
  ASSIGN_OR_RETURN(const std::string name, GetBytes(record, "name"));
  record["name"] = name;
  return record;
}

Status Create(const VarveMount& mount, const std::string& name, bool json, Io& io) {
  ASSIGN_OR_RETURN(const Json answer,
                   AskDaemon(mount, "snapshot-create", {{"name", BytesToJson(name)}}));
  ASSIGN_OR_RETURN(const Json made, WithPlainName(answer));
  if (json) {
    io.out << DumpPretty(made) << "\n";
  } else {
    io.out << ForTerminal(name) << " is " << made.value("time", std::string()) << " (@"
           << made.value("lsn", std::uint64_t{0}) << ")\n";
  }
  return {};
}

Status List(const VarveMount& mount, bool json, Io& io) {
  Json list = Json::array();
  RETURN_IF_ERROR([&]() -> Status {
    Status good;
    ASSIGN_OR_RETURN(const Json end,
                     AskDaemon(mount, "snapshot-list", Json::object(), [&](const Json& record) {
                       auto plain = WithPlainName(record);
                       if (plain.ok()) {
                         list.push_back(*std::move(plain));
                       } else {
                         good = plain.error();
                       }
                       return good.ok();
                     }));
    return good;
  }());
  if (json) {
    io.out << DumpPretty(list) << "\n";
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& snapshot : list) {
    rows.push_back({snapshot.value("time", std::string()),
                    "@" + std::to_string(snapshot.value("lsn", std::uint64_t{0})),
                    ForTerminal(snapshot.value("name", std::string()))});
  }
  io.out << FormatTable(rows, "");
  return {};
}

Status Delete(const VarveMount& mount, const std::string& name, bool json, Io& io) {
  ASSIGN_OR_RETURN(const Json answer,
                   AskDaemon(mount, "snapshot-delete", {{"name", BytesToJson(name)}}));
  if (json) io.out << DumpPretty({{"deleted", name}}) << "\n";
  return {};
}

}  // namespace

int RunSnapshot(const Args& args, Io& io) {
  std::string name;
  std::string on = ".";
  bool json = false;
  CLI::App app("Names for moments; they show up in every .snapshots.", "varve snapshot");
  app.require_subcommand(1);
  CLI::App* create = app.add_subcommand("create", "name the present");
  CLI::App* list = app.add_subcommand("list", "all names");
  CLI::App* remove = app.add_subcommand("delete", "forget a name; the history stays");
  for (CLI::App* verb : {create, list, remove}) {
    if (verb != list) verb->add_option("NAME", name, "the snapshot's name")->required();
    verb->add_option("--on", on, "a path in the mounted volume (default: the current directory)");
    verb->add_flag("--json", json, "print JSON");
  }
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto found = FindMounted(on);
  if (!found.ok()) {
    return Fail(io, "snapshot", found.error().message() + "; name the volume with --on PATH");
  }
  Status status;
  if (create->parsed()) status = Create(found->mount, name, json, io);
  if (list->parsed()) status = List(found->mount, json, io);
  if (remove->parsed()) status = Delete(found->mount, name, json, io);
  return status.ok() ? kExitOk : Fail(io, "snapshot", status.error());
}

}  // namespace varve
