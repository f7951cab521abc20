// varve status: how a volume is and what to do next, mounted or not.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "fs/control/health.h"
#include "store/disk/disk_set.h"
#include "tools/daemon_client.h"
#include "tools/find_disks.h"
#include "tools/paths.h"
#include "tools/text.h"
#include "tools/verbs.h"

namespace varve {
namespace {

Result<Json> StatusOfLabels(const std::string& disk) {
  ASSIGN_OR_RETURN(FoundDisks found, FindDisks({disk}, DiskAccess::kReadOnly));
  ASSIGN_OR_RETURN(const auto disks, DiskSet::Assemble(std::move(found.disks)));
  VolumeStatus status;
  status.label = disks->label();
  status.disks = disks->Report();
  Json json = StatusToJson(status, {}, "");
  json["notes"] = found.notes;
  return json;
}

Result<Json> StatusOf(const std::string& path) {
  const auto named = CanonicalDirectoryOf(path);
  if (!named.ok()) return named.error();
  const auto canonical = CanonicalPath(path);
  const std::string place = canonical.ok() ? *canonical : *named;
  // A disk first: it may itself lie in a Varve volume.
  if (canonical.ok()) {
    auto status = StatusOfLabels(place);
    if (status.ok()) return status;
    if (status.error().code() == ErrorCode::kBusy) {
      auto mounted = StatusOfMountedDisk(place);
      if (mounted.ok() || mounted.error().code() != ErrorCode::kNotFound) return mounted;
      return Error(ErrorCode::kBusy, place + " is in use by another process (varve fsck?)");
    }
    const auto mount = FindMountOf(place);
    if (!mount.ok()) {
      if (status.error().code() != ErrorCode::kNotFound) return status;
      return Error(ErrorCode::kNotFound,
                   place + " is neither in a mounted volume nor a disk of one");
    }
    return StatusOfMount(*mount);
  }
  ASSIGN_OR_RETURN(const VarveMount mount, FindMountOf(place));
  return StatusOfMount(mount);
}

std::string Sizes(const Json& disk) {
  if (!disk.contains("total_bytes")) return "";
  return FormatBytes(disk.value("free_bytes", std::uint64_t{0})) + " free of " +
         FormatBytes(disk.value("total_bytes", std::uint64_t{0}));
}

void PrintDisks(const Json& status, Io& io) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& disk : status.value("disks", Json::array())) {
    std::string remark = disk.value("reason", std::string());
    if (disk.value("catalog", false) && remark.empty()) remark = "holds the catalog";
    const std::string role = disk.value("role", std::string());
    std::string state = disk.value("state", std::string());
    if (role == "rebuilding") state += ", rebuilding";
    rows.push_back({std::to_string(disk.value("slot", 0)), state, Sizes(disk),
                    ForTerminal(disk.value("path", std::string())), remark});
  }
  io.out << "    disks\n" << FormatTable(rows, "           ");
}

std::string Summary(const Json& status) {
  int online = 0;
  int total = 0;
  for (const Json& disk : status.value("disks", Json::array())) {
    ++total;
    if (disk.value("state", std::string()) == ToString(DiskState::kOnline)) ++online;
  }
  const int losses = status.value("tolerable_losses", 0);
  return std::to_string(online) + " of " + std::to_string(total) + " disks online, " +
         (losses == 0 ? "none" : std::to_string(losses)) + " may be lost" +
         (online == total ? "" : " beyond that");
}

void PrintMounted(const Json& status, Io& io) {
  const Json space = status.value("space", Json::object());
  const Json history = status.value("history", Json::object());
  const Json findings = status.value("findings", Json::object());
  io.out << "    space  " << FormatBytes(space.value("available_bytes", std::uint64_t{0}))
         << " free of " << FormatBytes(space.value("capacity_bytes", std::uint64_t{0})) << "\n"
         << "  history  back to " << history.value("first", std::string()) << ", "
         << Count(history.value("last_lsn", std::uint64_t{0}), "change") << ", the last at "
         << history.value("last", std::string()) << "\n";
  if (status.value("rebuilding_catalog", false)) {
    io.out << "           the catalog is being rebuilt from the log\n";
  }
  io.out << " findings  " << findings.value("lost", std::uint64_t{0}) << " lost, "
         << findings.value("repairable", std::uint64_t{0}) << " repairable since it was mounted\n";
  const Json last = findings.value("last", Json::array());
  const std::size_t first = last.size() > 3 ? last.size() - 3 : 0;
  for (std::size_t i = first; i < last.size(); ++i) {
    io.out << "           " << ForTerminal(last[i].value("what", std::string())) << "\n";
  }
}

void Print(const Json& status, Io& io) {
  const std::string name = status.value("name", std::string());
  io.out << "   volume  " << (name.empty() ? "" : ForTerminal(name) + "  ")
         << status.value("volume_uuid", std::string()) << "  " << status.value("data", 0) << "+"
         << status.value("parity", 0) << "\n"
         << "    state  " << status.value("state", std::string()) << ": " << Summary(status)
         << "\n";
  if (status.contains("read_only_reason")) {
    io.out << "           read-only: " << status.value("read_only_reason", std::string()) << "\n";
  }
  const bool mounted = status.value("mounted", false);
  if (mounted) {
    io.out << "  mounted  " << ForTerminal(status.value("mountpoint", std::string()))
           << " (process " << status.value("pid", 0) << ")\n";
  } else {
    io.out << "  mounted  no\n  created  " << status.value("created", std::string()) << "\n";
  }
  PrintDisks(status, io);
  if (mounted) PrintMounted(status, io);
  const std::string next = status.value("next_step", std::string());
  io.out << "     next  " << (next.empty() ? "nothing to do" : next) << "\n";
}

int StatusOfAll(bool json, Io& io) {
  const auto mounts = ListVarveMounts();
  if (!mounts.ok()) return Fail(io, "status", mounts.error());
  Json all = Json::array();
  int exit_status = kExitOk;
  for (const VarveMount& mount : *mounts) {
    auto status = StatusOfMount(mount);
    if (!status.ok()) {
      exit_status = Fail(io, "status", status.error().In(mount.mountpoint));
      continue;
    }
    if (!json) {
      if (!all.empty()) io.out << "\n";
      Print(*status, io);
    }
    all.push_back(*std::move(status));
  }
  if (json) {
    io.out << DumpPretty(all) << "\n";
  } else if (mounts->empty()) {
    io.out << "no volume is mounted; for one that is not: varve status DISK\n";
  }
  return exit_status;
}

}  // namespace

int RunStatus(const Args& args, Io& io) {
  std::string path;
  bool json = false;
  CLI::App app("How a volume is: disks, space, history, and the next step to take.",
               "varve status");
  app.add_option("MOUNTPOINT|DISK", path,
                 "a path in a mounted volume, or a disk (default: all mounted volumes)");
  app.add_flag("--json", json, "print JSON");
  if (const auto status = ParseArgs(app, args, io)) return *status;
  if (path.empty()) return StatusOfAll(json, io);

  const auto status = StatusOf(path);
  if (!status.ok()) return Fail(io, "status", status.error());
  if (json) {
    io.out << DumpPretty(*status) << "\n";
  } else {
    Print(*status, io);
  }
  return kExitOk;
}

}  // namespace varve
