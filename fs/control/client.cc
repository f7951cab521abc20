#include "fs/control/client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "fs/control/socket_path.h"

namespace varve {

Result<ControlClient> ControlClient::ConnectTo(const std::string& socket_path,
                                               std::uint32_t daemon_uid) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return Error(ErrorCode::kNameTooLong, "the socket's path is too long: " + socket_path);
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::FromErrno(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const bool nobody = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR;
    Error error = Error::FromErrno(errno, "connecting to the daemon at " + socket_path);
    return nobody ? Error(ErrorCode::kNotFound, error.message(), error.os_errno()) : error;
  }
  ASSIGN_OR_RETURN(const Peer peer, PeerOf(fd.get()));
  if (peer.uid != daemon_uid) {
    return Error(ErrorCode::kPermission, "user " + std::to_string(peer.uid) + " listens at " +
                                             socket_path + ", not the one who mounted the volume");
  }
  return ControlClient(LineSocket(std::move(fd)));
}

Result<ControlClient> ControlClient::Connect(const VarveMount& mount) {
  Error last(ErrorCode::kNotFound, "no place to look for the daemon");
  for (const std::string& path : SocketPathCandidates(mount.volume_uuid, mount.user_id)) {
    auto client = ConnectTo(path, mount.user_id);
    if (client.ok()) return client;
    last = client.error();
    // Elsewhere it would be somebody else's; only "nobody there" is a reason to look on.
    if (last.code() != ErrorCode::kNotFound && last.code() != ErrorCode::kPermission) break;
  }
  return last;
}

Result<Json> ControlClient::Call(std::string_view what, Json more,
                                 const std::function<bool(const Json&)>& visit) {
  more["request"] = std::string(what);
  const std::string line = Dump(more);
  if (line.size() >= kMaxRequestBytes) {
    return Error(ErrorCode::kTooLarge, "the request is too long");
  }
  // A daemon that refuses us says so before it has read anything: look at its answer first.
  const Status sent = socket_.WriteLine(line);
  while (true) {
    auto reply_line = socket_.ReadLine(kMaxReplyLineBytes);
    if (!reply_line.ok()) {
      if (!sent.ok()) return sent.error();
      if (reply_line.error().code() == ErrorCode::kNotFound) {
        return Error(ErrorCode::kCancelled, "the daemon has ended without an answer");
      }
      return reply_line.error();
    }
    auto reply = ParseObject(*reply_line);
    if (!reply.ok()) return reply.error().In("the daemon's answer");
    if (const auto record = reply->find("record"); record != reply->end()) {
      if (visit && !visit(*record)) return Json::object();
      continue;
    }
    if (!reply->value("ok", false)) return ErrorFromJson(*reply);
    return reply->value("result", Json::object());
  }
}

Result<Json> AskDaemon(const VarveMount& mount, std::string_view what, Json more,
                       const std::function<bool(const Json&)>& visit) {
  ASSIGN_OR_RETURN(ControlClient client, ControlClient::Connect(mount));
  return client.Call(what, std::move(more), visit);
}

}  // namespace varve
