// Where the daemon of a volume listens for the command line, and who is at the other end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace varve {

// Makes, if need be, the directory for this process's sockets and answers the socket's path:
// /run/varve for root; $XDG_RUNTIME_DIR/varve or /tmp/varve-<uid>, private and verified to be
// our own, for others.
Result<std::string> PrepareSocketPath(std::string_view volume_uuid);

// Where the daemon of user `uid` may listen, the likeliest first.
std::vector<std::string> SocketPathCandidates(std::string_view volume_uuid, std::uint32_t uid);

// User and process at the other end of a connected socket, as the kernel knows them.
struct Peer {
  std::uint32_t uid = 0;
  std::int32_t pid = 0;
};
Result<Peer> PeerOf(int socket);

}  // namespace varve
