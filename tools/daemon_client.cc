#include "tools/daemon_client.h"

#include <variant>

#include "store/base/clock.h"

namespace varve {
namespace {

bool HasSnapshotsPart(const std::string& path) {
  return (path + "/").find("/.snapshots/") != std::string::npos;
}

Result<Moment> ResolveLocally(const std::string& when) {
  const TimeNs now_ns = SystemClock().Now();
  ASSIGN_OR_RETURN(const When parsed, ParseWhen(when, now_ns));
  if (const auto* time_ns = std::get_if<TimeNs>(&parsed)) {
    if (*time_ns > now_ns) {
      return Error(ErrorCode::kInvalidArgument, FormatTime(*time_ns) + " is in the future");
    }
    return Moment{.directory = FormatTimeForName(*time_ns), .text = FormatTime(*time_ns)};
  }
  if (const auto* lsn = std::get_if<Lsn>(&parsed)) {
    const std::string name = "@" + std::to_string(lsn->value);
    return Moment{.directory = name, .text = name};
  }
  const std::string& name = std::get<std::string>(parsed);
  return Moment{.directory = name, .text = "snapshot " + name};
}

}  // namespace

Result<Json> StatusOfMount(const VarveMount& mount) {
  auto status = AskDaemon(mount, "status");
  if (status.ok()) (*status)["mountpoint"] = mount.mountpoint;
  return status;
}

Result<Json> StatusOfMountedDisk(const std::string& disk) {
  ASSIGN_OR_RETURN(const auto mounts, ListVarveMounts());
  for (const VarveMount& mount : mounts) {
    auto status = StatusOfMount(mount);
    if (!status.ok()) continue;  // somebody else's, perhaps; ours answers
    for (const Json& member : status->value("disks", Json::array())) {
      const auto path = CanonicalPath(member.value("path", std::string()));
      if (path.ok() && *path == disk) return status;
    }
  }
  return Error(ErrorCode::kNotFound, disk + " is no disk of a mounted volume");
}

Result<MountedPath> FindMounted(const std::string& path) {
  MountedPath found;
  ASSIGN_OR_RETURN(found.path, SplitAtExisting(path));
  ASSIGN_OR_RETURN(found.mount, FindMountOf(found.path.ancestor));
  if (HasSnapshotsPart(found.path.full())) {
    return Error(
        ErrorCode::kInvalidArgument,
        path + " is in the past already; name the file as it is called outside .snapshots");
  }
  return found;
}

Result<Moment> ResolveMoment(const VarveMount& mount, const std::string& when) {
  const auto answer = AskDaemon(mount, "resolve", {{"when", BytesToJson(when)}});
  if (answer.ok()) {
    const auto lsn = answer->value("lsn", std::uint64_t{0});
    return Moment{.directory = "@" + std::to_string(lsn),
                  .text = answer->value("time", std::string())};
  }
  if (answer.error().code() == ErrorCode::kPermission) return ResolveLocally(when);
  return answer.error();
}

}  // namespace varve
