// The daemon's end of the control socket: who may speak, how much and for how long.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "fs/control/socket_path.h"
#include "store/base/result.h"

namespace varve {

struct ControlServerOptions {
  std::string socket_path;
  // How long a client may take for its request, or for taking in a line of the answer.
  std::chrono::milliseconds patience{10'000};
  std::size_t max_connections = 32;
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

// One thread accepts ("varve-control"), one a connection serves ("varve-ctl-conn"). Root and the
// user who runs the daemon are served, all others are told so and logged.
class ControlServer {
 public:
  // Sends one line to the client.
  using Reply = std::function<Status(std::string_view)>;
  // Answers one request; called from several threads. Ends with the last line sent.
  using Handler = std::function<void(std::string_view request, const Reply& reply)>;

  // Begins to listen. What lies at the path is removed: only the daemon that holds the volume's
  // disks gets this far.
  static Result<std::unique_ptr<ControlServer>> Start(const ControlServerOptions& options,
                                                      Handler handler);
  ~ControlServer();

  // Takes no more connections, waits for those there are and removes the socket. A handler that
  // waits for something must have been woken before. Idempotent.
  void Stop();

 private:
  ControlServer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
