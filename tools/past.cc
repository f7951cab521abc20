#include "tools/past.h"

#include <sys/stat.h>

#include <cerrno>

namespace varve {
namespace {

bool Exists(const std::string& path) {
  struct stat stat{};
  return ::lstat(path.c_str(), &stat) == 0;
}

bool MeansAbsent(int os_errno) { return os_errno == ENOENT || os_errno == ENOTDIR; }

}  // namespace

Result<PastPath> LocatePast(const std::string& path, const std::string& when) {
  ASSIGN_OR_RETURN(const MountedPath found, FindMounted(path));
  PastPath past;
  past.mount = found.mount;
  past.present = found.path.full();
  ASSIGN_OR_RETURN(past.moment, ResolveMoment(found.mount, when));

  // The nearest directory that exists today knows its own past, whatever it was called then. If
  // that does not hold the rest, a directory further up may: the way there led through another one
  // then.
  std::string ancestor = found.path.ancestor;
  std::string rest = found.path.rest;
  while (true) {
    const std::string snapshots = JoinPath(ancestor, ".snapshots");
    past.path = JoinPath(JoinPath(snapshots, past.moment.directory), rest);
    if (Exists(past.path)) return past;
    if (!MeansAbsent(errno)) return Error::FromErrno(errno, past.path);
    if (!Exists(snapshots)) {
      if (!MeansAbsent(errno)) return Error::FromErrno(errno, snapshots);
      return Error(ErrorCode::kUnsupported, "the past is switched off in " + past.mount.mountpoint +
                                                "; mount it without -o snapdir=off");
    }
    if (ancestor == past.mount.mountpoint || ancestor == "/") break;
    rest = JoinPath(BaseNameOf(ancestor), rest);
    ancestor = ParentOf(ancestor);
  }
  const std::string root = JoinPath(past.mount.mountpoint, ".snapshots");
  if (!Exists(JoinPath(root, past.moment.directory))) {
    return Error(ErrorCode::kNotFound,
                 "there is no moment or snapshot \"" + when +
                     "\" in this volume; varve snapshot list shows the names");
  }
  return Error(ErrorCode::kNotFound, path + " did not exist at " + past.moment.text +
                                         "; varve log " + path + " shows when it did");
}

}  // namespace varve
