#include "fs/control/socket_path.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "store/base/unique_fd.h"

namespace varve {
namespace {

constexpr std::size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

std::string FileName(std::string_view volume_uuid) { return std::string(volume_uuid) + ".sock"; }

std::string RuntimeDirectory() {
  const char* value = std::getenv("XDG_RUNTIME_DIR");
  return value != nullptr && value[0] == '/' ? value : "";
}

// A directory that is ours alone: in /tmp anybody may have made one of that name before.
Status MakeOwnDirectory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return Error::FromErrno(errno, "mkdir " + path);
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return Error::FromErrno(errno, "opening " + path);
  struct stat stat{};
  if (::fstat(fd.get(), &stat) != 0) return Error::FromErrno(errno, "fstat " + path);
  if (stat.st_uid != ::geteuid()) {
    return Error(ErrorCode::kPermission, path + " belongs to another user");
  }
  if ((stat.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error(ErrorCode::kPermission, path + " can be written by others");
  }
  return {};
}

}  // namespace

Result<std::string> PrepareSocketPath(std::string_view volume_uuid) {
  std::string directory = "/run/varve";
  mode_t mode = 0755;  // others may knock, and are told that they may not come in
  if (::geteuid() != 0) {
    mode = 0700;
    const std::string runtime = RuntimeDirectory();
    directory = "/tmp/varve-" + std::to_string(::geteuid());
    const std::string wanted = runtime + "/varve";
    if (!runtime.empty() && wanted.size() + 1 + FileName(volume_uuid).size() <= kMaxSocketPath &&
        MakeOwnDirectory(wanted, mode).ok()) {
      return wanted + "/" + FileName(volume_uuid);
    }
  }
  const Status made = MakeOwnDirectory(directory, mode);
  if (!made.ok()) return made.error().In("preparing the control socket");
  return directory + "/" + FileName(volume_uuid);
}

std::vector<std::string> SocketPathCandidates(std::string_view volume_uuid, std::uint32_t uid) {
  const std::string name = "/" + FileName(volume_uuid);
  if (uid == 0) return {"/run/varve" + name};
  std::vector<std::string> paths;
  const std::string runtime = RuntimeDirectory();
  if (!runtime.empty() && uid == ::geteuid()) paths.push_back(runtime + "/varve" + name);
  const std::string id = std::to_string(uid);
  paths.push_back("/run/user/" + id + "/varve" + name);
  paths.push_back("/tmp/varve-" + id + name);
  return paths;
}

Result<Peer> PeerOf(int socket) {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return Error::FromErrno(errno, "asking who is at the other end of the control socket");
  }
  return Peer{.uid = credentials.uid, .pid = credentials.pid};
}

}  // namespace varve
