// The callbacks of libfuse's low-level interface: each translates one request to one call of
// Filesystem and answers exactly once. Included by fs/fuse only.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "fs/core/filesystem.h"
#include "fs/fuse/request_epoch.h"

struct fuse_lowlevel_ops;

namespace varve {

// What the kernel may hold of a file as it was: its attributes, and if `offset` is not negative so
// many bytes.
struct StaleBytes {
  NodeId node;
  off_t offset = 0;
  std::size_t length = 0;  // more than 0
};

// What the callbacks find behind their request.
struct OperationsContext {
  Filesystem* filesystem = nullptr;
  bool writeback = false;
  RequestEpoch looks;  // requests whose answers the kernel keeps
  // The number of the kernel's greeting while it is unanswered; 0: none. See CompleteGreeting.
  std::atomic<std::uint64_t> greeting{0};
  std::function<void(const std::string&)> log;
  std::function<void()> on_ready;  // called once by init
  // Makes the kernel forget bytes and attributes. It waits for reads that wait for an answer, so of
  // those who serve requests one at a time may call it: who has set the flag. Then calls `answer`,
  // while the kernel's descriptor is certainly still ours; false: it is not, and nothing was done.
  std::function<bool(const StaleBytes&, const std::function<void()>& answer)> forget;
  std::atomic_flag forgets_here;
  // Does work on a thread that serves no requests; never waits.
  std::function<void(std::function<void()>)> later;
};

const fuse_lowlevel_ops& FuseOperations();

// True while the calling thread serves a request of the kernel.
bool ServesRequest();

}  // namespace varve
