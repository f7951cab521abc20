#include "fs/fuse/unmount.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

#include "store/base/unique_fd.h"

namespace varve {
namespace {

// What a program says on its standard error, to its end, at most 4 KiB of it.
std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 512> buffer{};
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    if (text.size() < 4096) text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class SpawnSettings {
 public:
  explicit SpawnSettings(int error_fd) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, error_fd, STDERR_FILENO);
    // The caller may hold signals back; a program of its own starts without that.
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnSettings() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

Status RunFusermount(const std::string& mountpoint, UnmountMode mode) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::FromErrno(errno, "pipe");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);

  std::vector<std::string> words{"fusermount3", "-u"};
  if (mode == UnmountMode::kDetach) words.emplace_back("-z");
  words.insert(words.end(), {"--", mountpoint});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const SpawnSettings settings(write_end.get());
  pid_t child = 0;
  const int failed = ::posix_spawnp(&child, "fusermount3", settings.actions(),
                                    settings.attributes(), argv.data(), environ);
  if (failed != 0) return Error::FromErrno(failed, "starting fusermount3 (package fuse3)");
  write_end.Reset();
  const std::string said = ReadAll(read_end.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Error::FromErrno(errno, "waiting for fusermount3");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const bool busy = said.find("busy") != std::string::npos;
  return Error(busy ? ErrorCode::kBusy : ErrorCode::kPermission,
               "unmounting " + mountpoint + ": " + (said.empty() ? "fusermount3 failed" : said));
}

}  // namespace

Status Unmount(const std::string& mountpoint, UnmountMode mode) {
  if (::geteuid() != 0) return RunFusermount(mountpoint, mode);
  const int flags = UMOUNT_NOFOLLOW | (mode == UnmountMode::kDetach ? MNT_DETACH : 0);
  if (::umount2(mountpoint.c_str(), flags) == 0) return {};
  if (errno == EBUSY) {
    return Error(ErrorCode::kBusy, "unmounting " + mountpoint + ": it is in use", EBUSY);
  }
  return Error::FromErrno(errno, "unmounting " + mountpoint);
}

}  // namespace varve
