// The command line's end of the control socket.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "fs/control/line_socket.h"
#include "fs/control/mounts.h"
#include "fs/control/wire.h"
#include "store/base/result.h"

namespace varve {

// One request a connection.
class ControlClient {
 public:
  // To the daemon of a mount. kNotFound when nobody listens, kPermission when the one who listens
  // is not the user who mounted it.
  static Result<ControlClient> Connect(const VarveMount& mount);
  static Result<ControlClient> ConnectTo(const std::string& socket_path, std::uint32_t daemon_uid);

  // Sends {"request": what, ...more}, hands each record to `visit` until that answers false, and
  // answers the result. A daemon that hangs up without an answer is kCancelled.
  Result<Json> Call(std::string_view what, Json more = Json::object(),
                    const std::function<bool(const Json&)>& visit = {});

 private:
  explicit ControlClient(LineSocket socket) : socket_(std::move(socket)) {}
  LineSocket socket_;
};

// Connect and Call in one.
Result<Json> AskDaemon(const VarveMount& mount, std::string_view what, Json more = Json::object(),
                       const std::function<bool(const Json&)>& visit = {});

}  // namespace varve
