// varve umount: returns when everything is durable and the daemon has let go of the disks.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <optional>

#include "fs/control/client.h"
#include "fs/fuse/unmount.h"
#include "tools/paths.h"
#include "tools/verbs.h"

namespace varve {
namespace {

// By name alone: looking into a mount whose daemon is gone fails.
Result<VarveMount> FindMountpoint(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string named, CanonicalDirectoryOf(path));
  ASSIGN_OR_RETURN(const auto mounts, ListVarveMounts());
  const auto canonical = CanonicalPath(path);  // through a symbolic link
  for (const VarveMount& mount : mounts) {
    if (mount.mountpoint == named || (canonical.ok() && mount.mountpoint == *canonical)) {
      return mount;
    }
  }
  return Error(ErrorCode::kNotFound,
               path + " is not the mountpoint of a Varve volume; varve status lists them");
}

Status UnmountWithoutDaemon(const VarveMount& mount) {
  RETURN_IF_ERROR(Unmount(mount.mountpoint, UnmountMode::kClean));
  return Error(ErrorCode::kCancelled,
               mount.mountpoint +
                   " is unmounted, but its daemon had ended before: what was written in its last "
                   "second and not synced may be missing");
}

Status UnmountDurably(const VarveMount& mount) {
  auto daemon = ControlClient::Connect(mount);
  if (!daemon.ok()) {
    if (daemon.error().code() == ErrorCode::kPermission) return daemon.error();
    return UnmountWithoutDaemon(mount);
  }
  // Only when the daemon knows that somebody waits for its end may the end begin.
  std::optional<Status> unmounted;
  const auto answer = daemon->Call("wait", Json::object(), [&](const Json&) {
    if (!unmounted) unmounted = Unmount(mount.mountpoint, UnmountMode::kClean);
    return unmounted->ok();
  });
  if (unmounted && !unmounted->ok()) return unmounted->error();
  if (answer.ok()) return {};
  if (unmounted) {
    return answer.error().In(mount.mountpoint +
                             " is unmounted, but not everything was made durable");
  }
  // It refused, or it died while we asked.
  const bool died = answer.error().code() == ErrorCode::kCancelled ||
                    answer.error().os_errno() == ECONNRESET || answer.error().os_errno() == EPIPE;
  return died ? UnmountWithoutDaemon(mount) : Status(answer.error());
}

}  // namespace

int RunUmount(const Args& args, Io& io) {
  std::string path;
  CLI::App app("Unmounts a volume; returns when everything is durable.", "varve umount");
  app.add_option("MOUNTPOINT", path, "where it is mounted")->required();
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto mount = FindMountpoint(path);
  if (!mount.ok()) return Fail(io, "umount", mount.error());
  const Status status = UnmountDurably(*mount);
  return status.ok() ? kExitOk : Fail(io, "umount", status.error());
}

}  // namespace varve
