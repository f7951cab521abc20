#include "tests/support/mount_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "store/base/unique_fd.h"

namespace varve {
namespace {

constexpr std::chrono::seconds kPatience{120};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ADD_FAILURE() << "pipe: " << std::strerror(errno);
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
  }
  UniqueFd read, write;
};

pid_t Spawn(const std::vector<std::string>& words, int out_fd, int err_fd) {
  std::vector<std::string> copies = words;
  std::vector<char*> argv;
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
  pid_t child = 0;
  const int failed = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    ADD_FAILURE() << "cannot start " << words[0] << ": " << std::strerror(failed);
    return 0;
  }
  return child;
}

int WaitForEnd(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Appends what can be read; false at the end.
bool ReadSome(int fd, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t count = ::read(fd, buffer.data(), buffer.size());
  if (count < 0) return errno == EINTR;
  text.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

// Reads both to their ends.
void Drain(Pipe& out, Pipe& err, RunResult& result) {
  std::array<pollfd, 2> waits{pollfd{.fd = out.read.get(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = err.read.get(), .events = POLLIN, .revents = 0}};
  while (waits[0].fd >= 0 || waits[1].fd >= 0) {
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
    if (waits[0].revents != 0 && !ReadSome(out.read.get(), result.out)) waits[0].fd = -1;
    if (waits[1].revents != 0 && !ReadSome(err.read.get(), result.err)) waits[1].fd = -1;
  }
}

std::string BinaryInstead(std::string built) {
  const char* given = std::getenv("VARVE_BINARY");
  return given != nullptr ? given : std::move(built);
}

}  // namespace

RunResult RunProgram(const std::vector<std::string>& words) {
  RunResult result;
  Pipe out;
  Pipe err;
  const pid_t child = Spawn(words, out.write.get(), err.write.get());
  if (child == 0) return result;
  out.write.Reset();
  err.write.Reset();
  Drain(out, err, result);
  result.status = WaitForEnd(child);
  return result;
}

MountFixture::MountFixture(std::string binary)
    : binary_(BinaryInstead(std::move(binary))), mountpoint_(directory_ / "mount") {
  boost::filesystem::create_directory(mountpoint_);
}

MountFixture::~MountFixture() {
  if (daemon_ > 0) KillDaemon();
  // A daemon in the background, of a test that failed half-way, ends when its mount is gone.
  TakeMountAway();
}

void MountFixture::TakeMountAway() {
  if (::geteuid() == 0) {
    ::umount2(mountpoint_.c_str(), MNT_DETACH);
  } else {
    RunProgram({"fusermount3", "-u", "-z", mountpoint_});
  }
}

std::optional<std::string> MountFixture::WhyCannotMount() {
  const UniqueFd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fuse) return std::string("/dev/fuse: ") + std::strerror(errno);
  return std::nullopt;
}

RunResult MountFixture::Format(int disk_count, const std::vector<std::string>& more) {
  std::vector<std::string> words{"mkfs"};
  words.insert(words.end(), more.begin(), more.end());
  disks_.clear();
  for (int i = 0; i < disk_count; ++i) disks_.push_back(directory_ / ("disk" + std::to_string(i)));
  words.insert(words.end(), disks_.begin(), disks_.end());
  return Run(words);
}

RunResult MountFixture::Mount(const std::string& options) {
  RunResult result;
  const auto disk = std::find_if(disks_.begin(), disks_.end(), [](const std::string& path) {
    return PathExists(path + "/label");
  });
  std::vector<std::string> words{binary_, "mount", "-f", "-o",
                                 "log=" + Outside("log") + (options.empty() ? "" : "," + options)};
  words.push_back(disk == disks_.end() ? disks_.at(0) : *disk);
  words.push_back(mountpoint_);
  Pipe out;
  Pipe err;
  const pid_t child = Spawn(words, out.write.get(), err.write.get());
  if (child == 0) return result;
  out.write.Reset();
  err.write.Reset();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (result.out.find("mounted on") == std::string::npos) {
    pollfd wait{.fd = out.read.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, 1000) > 0 && !ReadSome(out.read.get(), result.out)) break;
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the mount does not come up";
      ::kill(child, SIGKILL);
      break;
    }
  }
  if (result.out.find("mounted on") == std::string::npos) {
    Drain(out, err, result);
    result.status = WaitForEnd(child);
    return result;
  }
  // Warnings have been printed before; more than a pipe holds is not expected of it from here on.
  ::fcntl(err.read.get(), F_SETFL, O_NONBLOCK);
  ReadSome(err.read.get(), result.err);
  daemon_ = child;
  result.status = 0;
  return result;
}

RunResult MountFixture::Unmount() {
  RunResult result = Run({"umount", mountpoint_});
  if (result.status != 0) return result;
  result.status = WaitForDaemon();
  return result;
}

int MountFixture::WaitForDaemon() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  int status = 0;
  while (::waitpid(daemon_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the daemon does not end";
      KillDaemon();
      return -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  daemon_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int MountFixture::EndDaemon(int signal) {
  if (::kill(daemon_, signal) != 0) ADD_FAILURE() << "kill: " << std::strerror(errno);
  return WaitForDaemon();
}

void MountFixture::KillDaemon() {
  ::kill(daemon_, SIGKILL);
  WaitForEnd(daemon_);
  daemon_ = 0;
  TakeMountAway();
}

void MountFixture::LoseDisk(int index) {
  boost::system::error_code error;
  // The daemon may be writing to it: what appears behind us is removed by another round.
  for (int round = 0; round < 100 && PathExists(disk(index)); ++round) {
    boost::filesystem::remove_all(disk(index), error);
  }
  EXPECT_FALSE(PathExists(disk(index))) << error.message();
}

RunResult MountFixture::Run(const std::vector<std::string>& words) const {
  std::vector<std::string> all{binary_};
  all.insert(all.end(), words.begin(), words.end());
  return RunProgram(all);
}

void WriteFile(const std::string& path, const std::string& contents) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << contents;
  file.close();
  EXPECT_TRUE(file.good()) << "writing " << path;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << "reading " << path << ": " << std::strerror(errno);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(file.bad()) << "reading " << path;
  return text.str();
}

bool PathExists(const std::string& path) {
  struct stat stat{};
  return ::lstat(path.c_str(), &stat) == 0;
}

std::vector<std::string> ListNames(const std::string& directory) {
  std::vector<std::string> names;
  boost::system::error_code error;
  for (boost::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  EXPECT_FALSE(error) << directory << ": " << error.message();
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace varve
