// A mounted Filesystem: the connection to the kernel, its threads and its end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fs/core/filesystem.h"
#include "store/base/result.h"

namespace varve {

struct FuseSessionOptions {
  std::string source;  // what the mount table shows as the device: "varve#<volume uuid>"
  bool allow_other = false;
  bool read_only = false;
  bool writeback = false;  // the kernel holds dirty pages back
  // Words of mount(8) handed through as they are: "nosuid", "noexec", "noatime".
  std::vector<std::string> generic_options;
  // Most requests served at once. Threads are begun when all others are busy.
  std::uint32_t threads = 16;
  // Hears of what goes wrong inside; called from any thread.
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

// Create, Mount, Run; Stop and Invalidate from other threads while Run is under way. The order of
// destruction is the caller's: the Filesystem must outlive the session.
class FuseSession {
 public:
  static Result<std::unique_ptr<FuseSession>> Create(Filesystem& filesystem,
                                                     const FuseSessionOptions& options);
  // Unmounts, if it is still mounted.
  ~FuseSession();

  // Attaches to `mountpoint`, an absolute path. Requests wait in the kernel until Run.
  Status Mount(const std::string& mountpoint);
  // Serves on threads of its own until the filesystem is unmounted or Stop is called; all requests
  // taken have been answered when it returns. `on_ready` is called once, from a thread of the
  // session, when the kernel and Varve have agreed on how to talk: then the mount works.
  Status Run(std::function<void()> on_ready);
  // Unmounts as umount(8) would, so that the kernel writes back what it holds. A mount in use is
  // detached and its users see "not connected" from then on. Idempotent, thread-safe, not from a
  // request.
  void Stop();

  // Makes the kernel forget. From a thread that serves a request it is done by another thread a
  // little later, for the kernel may hold locks on behalf of that request; otherwise it is done on
  // return.
  void Invalidate(const Invalidations& invalidations);

 private:
  FuseSession();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
