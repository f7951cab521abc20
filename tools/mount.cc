// varve mount: starts the daemon and returns when the mount works.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <csignal>

#include "fs/control/mounts.h"
#include "store/base/unique_fd.h"
#include "tools/daemon.h"
#include "tools/paths.h"
#include "tools/remount.h"
#include "tools/verbs.h"

namespace varve {
namespace {

namespace bfs = boost::filesystem;

constexpr std::string_view kOptionsHelp = R"(options (-o), separated by commas:
  ro                 nothing can be changed through the mount
  snapdir=HOW        .snapshots in every directory: hidden (default), visible, owner, off
  allow_other        other users may use the mount (default for root; noallow_other)
  commit=MS          unsynced writes are durable after this long (default 1000)
  memory=SIZE        bound of the daemon's buffers and caches (default 512M, at least 64M)
  threads=N          most requests served at once (default 16)
  writeback          the kernel collects writes before it hands them on
  log=FILE           log there, not to the system's log
  nonempty           mount over a directory that is not empty
  nosuid nodev noexec noatime nodiratime sync dirsync   as in mount(8)
  remount            with ro, rw and those: changes a mount that is there
)";

// A mountpoint to which nothing is lost by mounting on it.
Result<std::string> CheckMountpoint(const std::string& path, const MountOptions& options) {
  ASSIGN_OR_RETURN(std::string canonical, CanonicalPath(path));
  ASSIGN_OR_RETURN(const auto mounts, ListVarveMounts());
  for (const VarveMount& mount : mounts) {
    if (mount.mountpoint == canonical) {
      return Error(ErrorCode::kBusy, canonical + " has a Varve volume mounted on it already");
    }
  }
  boost::system::error_code error;
  if (!bfs::is_directory(canonical, error)) {
    return Error(ErrorCode::kNotDirectory, path + " is not a directory");
  }
  if (!options.nonempty && !bfs::is_empty(canonical, error)) {
    if (error) return Error::FromErrno(error.value(), "reading " + path);
    return Error(
        ErrorCode::kNotEmpty,
        path + " is not empty; use another directory, or -o nonempty to hide what is in it");
  }
  return canonical;
}

Result<DaemonRequest> MakeRequest(const std::vector<std::string>& places,
                                  const std::vector<std::string>& option_texts) {
  DaemonRequest request;
  ASSIGN_OR_RETURN(request.options, ParseMountOptions(option_texts));
  ASSIGN_OR_RETURN(request.mountpoint, CheckMountpoint(places.back(), request.options));
  for (std::size_t i = 0; i + 1 < places.size(); ++i) {
    ASSIGN_OR_RETURN(std::string disk, CanonicalPath(places[i]));
    if (IsWithin(request.mountpoint, disk) || IsWithin(disk, request.mountpoint)) {
      return Error(ErrorCode::kInvalidArgument, "the mountpoint " + request.mountpoint +
                                                    " and the disk " + disk +
                                                    " must not lie in one another");
    }
    request.disks.push_back(std::move(disk));
  }
  if (!request.options.log_file.empty()) {
    request.options.log_file = bfs::absolute(request.options.log_file).string();
  }
  return request;
}

Result<std::unique_ptr<DaemonLog>> OpenLog(const MountOptions& options, bool foreground) {
  if (!options.log_file.empty()) return DaemonLog::ToFile(options.log_file);
  if (foreground) return DaemonLog::ToStandardError();
  return DaemonLog::ToSyslog();
}

int RunForeground(const DaemonRequest& request, Io& io) {
  auto log = OpenLog(request.options, /*foreground=*/true);
  if (!log.ok()) return Fail(io, "mount", log.error());
  const Status status = RunDaemon(request, **log, [&](const std::vector<std::string>& warnings) {
    for (const std::string& line : warnings) io.err << "varve mount: warning: " << line << "\n";
    io.out << "mounted on " << request.mountpoint << std::endl;
  });
  return status.ok() ? kExitOk : Fail(io, "mount", status.error());
}

// What the daemon tells the process that waits for it, a line each: 'W' a warning, 'E' why it did
// not work, 'R' it works.
void Tell(int fd, char kind, const std::string& text) {
  std::string line = kind + text;
  for (char& c : line) c = c == '\n' ? ' ' : c;
  line += '\n';
  if (::write(fd, line.data(), line.size()) < 0) return;  // nobody waits any more
}

void PointAtNull(int fd) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  ::dup2(null, fd);
  ::close(null);
}

[[noreturn]] void BeDaemon(const DaemonRequest& request, UniqueFd parent) {
  ::setsid();
  if (::chdir("/") != 0) Tell(parent.get(), 'W', "cannot leave the working directory");
  // What libraries print before the mount works is still for the user.
  PointAtNull(STDIN_FILENO);
  PointAtNull(STDOUT_FILENO);
  auto log = OpenLog(request.options, /*foreground=*/false);
  if (!log.ok()) {
    Tell(parent.get(), 'E', log.error().message());
    ::_exit(kExitError);
  }
  bool told = false;
  const Status status = RunDaemon(request, **log, [&](const std::vector<std::string>& warnings) {
    for (const std::string& line : warnings) Tell(parent.get(), 'W', line);
    Tell(parent.get(), 'R', "");
    told = true;
    PointAtNull(STDERR_FILENO);
    parent.Reset();
  });
  if (!status.ok()) {
    (*log)->Write("failed: " + status.error().message());
    if (!told) Tell(parent.get(), 'E', status.error().message());
  }
  ::_exit(status.ok() ? kExitOk : kExitError);
}

std::vector<std::string> ReadLines(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  std::vector<std::string> lines;
  std::size_t at = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', at)) {
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

int RunBackground(const DaemonRequest& request, Io& io) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Fail(io, "mount", Error::FromErrno(errno, "pipe"));
  }
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  io.out.flush();
  io.err.flush();
  const pid_t child = ::fork();
  if (child < 0) return Fail(io, "mount", Error::FromErrno(errno, "fork"));
  if (child == 0) {
    read_end.Reset();
    BeDaemon(request, std::move(write_end));
  }
  write_end.Reset();
  bool works = false;
  bool said = false;
  for (const std::string& line : ReadLines(read_end.get())) {
    if (line[0] == 'W') io.err << "varve mount: warning: " << line.substr(1) << "\n";
    if (line[0] == 'R') works = true;
    if (line[0] == 'E') {
      Fail(io, "mount", line.substr(1));
      said = true;
    }
  }
  if (works) return kExitOk;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (said) return kExitError;
  const std::string how =
      WIFSIGNALED(status) ? "was ended by signal " + std::to_string(WTERMSIG(status)) : "ended";
  return Fail(io, "mount", "the daemon " + how + " before the mount worked; see its log");
}

}  // namespace

int RunMount(const Args& args, Io& io) {
  std::vector<std::string> option_texts;
  std::vector<std::string> places;
  bool foreground = false;
  CLI::App app("Mounts a volume. One disk is enough: its label names the others.", "varve mount");
  app.add_option("-o,--options", option_texts, "options, see below")->allow_extra_args(false);
  app.add_flag("-f,--foreground", foreground, "stay in the foreground, log to standard error");
  app.add_option("PLACES", places, "DISK... MOUNTPOINT: disks of the volume; an empty directory")
      ->required()
      ->expected(2, kMaxDisks + 1);
  app.footer(std::string(kOptionsHelp));
  if (const auto status = ParseArgs(app, args, io)) return *status;

  if (const auto flags = RemountFlags(option_texts)) {
    const Status remounted = Remount(places.back(), *flags);
    return remounted.ok() ? kExitOk : Fail(io, "mount", remounted.error());
  }
  const auto request = MakeRequest(places, option_texts);
  if (!request.ok()) return Fail(io, "mount", request.error());
  return foreground ? RunForeground(*request, io) : RunBackground(*request, io);
}

}  // namespace varve
