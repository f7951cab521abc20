#include "tools/daemon.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "fs/control/finding_log.h"
#include "fs/control/server.h"
#include "fs/control/service.h"
#include "fs/fuse/kernel_version.h"
#include "fs/fuse/session.h"
#include "store/base/unique_fd.h"
#include "tools/daemon_client.h"
#include "tools/find_disks.h"

namespace varve {
namespace {

// Turns signals into a call of FuseSession::Stop. The signals must be blocked in all threads.
class SignalWatcher {
 public:
  static sigset_t Signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    return signals;
  }

  static Result<std::unique_ptr<SignalWatcher>> Start(FuseSession& session, DaemonLog& log) {
    std::unique_ptr<SignalWatcher> watcher(new SignalWatcher());
    const sigset_t signals = Signals();
    watcher->signals_ = UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC));
    watcher->end_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
    if (!watcher->signals_ || !watcher->end_) return Error::FromErrno(errno, "signalfd");
    watcher->thread_ =
        std::thread([raw = watcher.get(), &session, &log] { raw->Watch(session, log); });
    return watcher;
  }

  ~SignalWatcher() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    if (::write(end_.get(), &one, sizeof(one)) != sizeof(one)) thread_.detach();
    if (thread_.joinable()) thread_.join();
  }

 private:
  SignalWatcher() = default;

  void Watch(FuseSession& session, DaemonLog& log) {
    pthread_setname_np(pthread_self(), "varve-signals");
    std::array<pollfd, 2> waits{pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                pollfd{.fd = end_.get(), .events = POLLIN, .revents = 0}};
    while (true) {
      if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
      if (waits[1].revents != 0) return;
      if (waits[0].revents == 0) continue;
      signalfd_siginfo info{};
      if (::read(signals_.get(), &info, sizeof(info)) != sizeof(info)) continue;
      log.Write(std::string("unmounting: ") + ::strsignal(static_cast<int>(info.ssi_signo)));
      session.Stop();
    }
  }

  UniqueFd signals_;
  UniqueFd end_;
  std::thread thread_;
};

std::vector<std::string> WarningsAbout(const VolumeStatus& status) {
  std::vector<std::string> warnings;
  for (const DiskStatus& disk : status.disks) {
    if (disk.state == DiskState::kOnline) continue;
    std::string line = "degraded: disk " + std::to_string(disk.slot.value) + " (" + disk.path +
                       ") is " + std::string(ToString(disk.state));
    if (!disk.reason.empty()) line += ": " + disk.reason;
    warnings.push_back(std::move(line));
  }
  if (status.read_only) warnings.push_back("read-only: " + status.read_only_reason);
  return warnings;
}

// After umount(8) a volume is still being closed for a while, and a command may be looking at its
// disks: that is waited for. A volume that is mounted is not.
Result<FoundDisks> FindDisksLetGo(const std::vector<std::string>& given, DaemonLog& log) {
  constexpr std::chrono::seconds kPatience{20};
  constexpr std::chrono::milliseconds kPause{50};
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  const auto is_mounted = [](const std::string& disk) { return StatusOfMountedDisk(disk).ok(); };
  bool said = false;
  while (true) {
    auto found = FindDisks(given, DiskAccess::kReadWrite);
    if (found.ok() || found.error().code() != ErrorCode::kBusy ||
        std::chrono::steady_clock::now() >= deadline || std::ranges::any_of(given, is_mounted)) {
      return found;
    }
    if (!said) log.Write(found.error().message() + "; waiting for it to be let go");
    said = true;
    std::this_thread::sleep_for(kPause);
  }
}

// The parts of a mounted volume, put together in this order and taken apart in the reverse one.
class Daemon {
 public:
  Daemon(const DaemonRequest& request, DaemonLog& log) : request_(request), log_(log) {}

  Status Start() {
    RETURN_IF_ERROR(OpenVolume());
    FilesystemOptions options = ToFilesystemOptions(request_.options);
    if (FlushesBeforeDirectWrites()) {
      options.direct_writes = FilesystemOptions::DirectWrites::kAlone;
    }
    filesystem_ = std::make_unique<Filesystem>(*volume_, options);
    const Status started = StartServing();
    if (started.ok()) return {};
    const Status closed = Close();
    if (!closed.ok()) log_.Write(closed.error().message());
    return started;
  }

  Status Serve(const DaemonReady& ready) {
    const Status served = session_->Run([&] {
      log_.Write("mounted " + source_ + " on " + request_.mountpoint);
      ready(WarningsAbout(volume_->status()));
    });
    watcher_.reset();
    service_->BeginShutdown();
    Status closed = Close();
    Status outcome = served.ok() ? closed : served;
    if (!closed.ok()) log_.Write("not everything is durable: " + closed.error().message());
    service_->Finish(outcome);
    server_->Stop();
    log_.Write("unmounted " + request_.mountpoint);
    return outcome;
  }

 private:
  Status OpenVolume() {
    VolumeOptions options = ToVolumeOptions(request_.options);
    options.findings = [this](const Finding& finding) {
      findings_.Add(finding);
      log_.Write(finding.what + (finding.next_step.empty() ? "" : "; " + finding.next_step));
    };
    ASSIGN_OR_RETURN(FoundDisks found, FindDisksLetGo(request_.disks, log_));
    for (const std::string& note : found.notes) log_.Write(note);
    ASSIGN_OR_RETURN(auto disks, DiskSet::Assemble(std::move(found.disks)));
    ASSIGN_OR_RETURN(volume_, Volume::Open(std::move(disks), options,
                                           [this](const std::string& line) { log_.Write(line); }));
    uuid_ = volume_->status().label.volume_uuid.ToString();
    source_ = "varve#" + uuid_;
    return {};
  }

  Status StartServing() {
    const MountOptions& options = request_.options;
    FuseSessionOptions fuse;
    fuse.source = source_;
    fuse.allow_other = options.allow_other;
    fuse.read_only = options.read_only;
    fuse.writeback = options.writeback;
    fuse.generic_options = options.generic;
    fuse.threads = options.threads;
    fuse.log = [this](const std::string& line) { log_.Write(line); };
    ASSIGN_OR_RETURN(session_, FuseSession::Create(*filesystem_, fuse));
    filesystem_->OnInvalidate(
        [this](const Invalidations& invalidations) { session_->Invalidate(invalidations); });

    service_ =
        std::make_unique<ControlService>(ControlServiceOptions{.volume = volume_.get(),
                                                               .filesystem = filesystem_.get(),
                                                               .findings = &findings_,
                                                               .mountpoint = request_.mountpoint});
    ControlServerOptions control;
    ASSIGN_OR_RETURN(control.socket_path, PrepareSocketPath(uuid_));
    control.log = fuse.log;
    ASSIGN_OR_RETURN(
        server_, ControlServer::Start(control, [this](std::string_view line, const auto& reply) {
          service_->Handle(line, reply);
        }));
    ASSIGN_OR_RETURN(watcher_, SignalWatcher::Start(*session_, log_));
    return session_->Mount(request_.mountpoint);
  }

  // Everything durable, the disks let go.
  Status Close() {
    watcher_.reset();
    Status flushed = filesystem_->Shutdown();
    Status closed = volume_->Close();
    filesystem_.reset();
    volume_.reset();
    return flushed.ok() ? std::move(closed) : std::move(flushed);
  }

  const DaemonRequest& request_;
  DaemonLog& log_;
  FindingLog findings_;
  std::string uuid_;
  std::string source_;
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<Filesystem> filesystem_;
  std::unique_ptr<FuseSession> session_;
  std::unique_ptr<ControlService> service_;
  std::unique_ptr<ControlServer> server_;
  std::unique_ptr<SignalWatcher> watcher_;
};

}  // namespace

namespace {

// Chunks of 64 KiB are made by one thread and freed by another, all the time: giving their memory
// back to the kernel and fetching it again costs more than filling it, and an arena for every
// thread would keep as much idle as is in use.
void TuneAllocator() {
  constexpr int kKeptBytes = 64 * 1024 * 1024;
  // A refusal (not glibc's malloc) leaves everything as it was.
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  ::mallopt(M_MMAP_THRESHOLD, 2 * 1024 * 1024);
}

}  // namespace

Status RunDaemon(const DaemonRequest& request, DaemonLog& log, const DaemonReady& ready) {
  // Blocked before any thread begins, so that no thread is interrupted and one alone takes them.
  const sigset_t signals = SignalWatcher::Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  TuneAllocator();
  Daemon daemon(request, log);
  RETURN_IF_ERROR(daemon.Start());
  return daemon.Serve(ready);
}

}  // namespace varve
