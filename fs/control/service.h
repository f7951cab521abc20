// Answers the command line's requests about a mounted volume.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "fs/control/finding_log.h"
#include "fs/control/server.h"
#include "fs/core/filesystem.h"
#include "store/volume/volume.h"

namespace varve {

struct ControlServiceOptions {
  Volume* volume = nullptr;
  Filesystem* filesystem = nullptr;
  const FindingLog* findings = nullptr;
  std::string mountpoint;
};

// Requests: status; log (path); resolve (when); rollback (path, when); snapshot-create,
// snapshot-delete (name); snapshot-list; sync; wait (answers when the volume has been closed).
// Thread-safe.
class ControlService {
 public:
  explicit ControlService(const ControlServiceOptions& options);
  ~ControlService();

  void Handle(std::string_view request, const ControlServer::Reply& reply);

  // Refuses what comes from now on and returns when nothing is under way any more, so that
  // Filesystem and Volume may be closed. Those who wait go on waiting.
  void BeginShutdown();
  // Tells those who wait how it ended.
  void Finish(const Status& status);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
