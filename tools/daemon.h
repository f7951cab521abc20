// The process behind a mount: opens the volume, serves the kernel and the command line, and ends
// with everything durable.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/daemon_log.h"
#include "tools/mount_options.h"

namespace varve {

struct DaemonRequest {
  std::vector<std::string> disks;
  std::string mountpoint;  // canonical
  MountOptions options;
};

// Called once, when the mount works, with what the user should know (a disk missing).
using DaemonReady = std::function<void(const std::vector<std::string>& warnings)>;

// Returns when the filesystem has been unmounted, or SIGTERM, SIGINT or SIGHUP has come; success
// means that everything is durable. Called while the process has one thread; it blocks those
// signals for good.
Status RunDaemon(const DaemonRequest& request, DaemonLog& log, const DaemonReady& ready);

}  // namespace varve
