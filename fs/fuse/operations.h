// The callbacks of libfuse's low-level interface: each translates one request to one call of
// Filesystem and answers exactly once. Included by fs/fuse only.
#pragma once

#include <functional>
#include <string>

#include "fs/core/filesystem.h"
#include "fs/fuse/request_epoch.h"

struct fuse_lowlevel_ops;

namespace varve {

// What the callbacks find behind their request.
struct OperationsContext {
  Filesystem* filesystem = nullptr;
  bool writeback = false;
  RequestEpoch looks;  // requests whose answers the kernel keeps
  std::function<void(const std::string&)> log;
  std::function<void()> on_ready;  // called once by init
};

const fuse_lowlevel_ops& FuseOperations();

// True while the calling thread serves a request of the kernel.
bool ServesRequest();

}  // namespace varve
