// Asking the daemon, for verbs that are given a path in a mounted volume.
#pragma once

#include <string>

#include "fs/control/client.h"
#include "fs/core/when.h"
#include "tools/paths.h"

namespace varve {

// What `varve status` shows of a mounted volume.
Result<Json> StatusOfMount(const VarveMount& mount);
// The same of the one that a directory, by its canonical path, is a disk of, found by asking all
// daemons. kNotFound when none of those that answer knows it.
Result<Json> StatusOfMountedDisk(const std::string& disk);

// A path in a mounted volume; it need not exist today.
struct MountedPath {
  VarveMount mount;
  PartialPath path;
  std::string in_volume() const { return PathInVolume(mount, path.full()); }
};
// kInvalidArgument for a path inside `.snapshots`.
Result<MountedPath> FindMounted(const std::string& path);

// A moment, fixed: asked twice it is the same.
struct Moment {
  std::string directory;  // what it is called in .snapshots
  std::string text;       // for people
};
// The daemon says what `when` means. Who may not ask it gets the moment by local rules, as far as
// that goes: times are fixed here, a snapshot's name stays.
Result<Moment> ResolveMoment(const VarveMount& mount, const std::string& when);

}  // namespace varve
