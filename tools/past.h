// A path as it was: reached through the mount's own .snapshots, so that the kernel checks
// permissions as it does everywhere.
#pragma once

#include <string>

#include "tools/daemon_client.h"

namespace varve {

struct PastPath {
  std::string path;     // can be opened
  std::string present;  // what it is called outside .snapshots, canonical but for its last part
  Moment moment;
  VarveMount mount;
};

// kNotFound, with what to do, if there was no such thing.
Result<PastPath> LocatePast(const std::string& path, const std::string& when);

}  // namespace varve
