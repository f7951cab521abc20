#include "fs/fuse/session.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>

#include "fs/fuse/greeting.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/read_ahead.h"
#include "fs/fuse/request_loop.h"
#include "fs/fuse/unmount.h"
#include "store/base/synchronized.h"

namespace varve {
namespace {

constexpr std::uint32_t kReadAheadKib = 4096;
// Invalidations waiting for their thread. A rollback hands over one; more than a few come only from
// callers that do not wait.
constexpr std::size_t kMaxQueued = 1024;
constexpr std::chrono::seconds kNotifyPatience{2};

struct SessionDeleter {
  void operator()(fuse_session* session) const { fuse_session_destroy(session); }
};

// libfuse speaks through one function for the whole program; a program has one session.
struct LibfuseLog {
  std::function<void(const std::string&)> log;
  std::string last;
};
Synchronized<LibfuseLog>& TheLibfuseLog() {
  static Synchronized<LibfuseLog> log;
  return log;
}

void HearLibfuse(fuse_log_level /*level*/, const char* format, va_list arguments) {
  std::array<char, 1024> text{};
  std::vsnprintf(text.data(), text.size(), format, arguments);
  std::string line = text.data();
  while (!line.empty() && line.back() == '\n') line.pop_back();
  auto heard = TheLibfuseLog().Lock();
  heard->last = line;
  if (heard->log) heard->log(line);
}

std::string MountOptions(const FuseSessionOptions& options) {
  std::string text = "default_permissions,subtype=varve,fsname=" + options.source;
  // libfuse adds nosuid and nodev unless told otherwise; that is right for all but root, for whom
  // fusermount3 would refuse it anyway.
  if (::geteuid() == 0) text += ",suid,dev";
  if (options.allow_other) text += ",allow_other";
  if (options.read_only) text += ",ro";
  for (const std::string& option : options.generic_options) text += "," + option;
  return text;
}

}  // namespace

struct FuseSession::Impl {
  FuseSessionOptions options;
  OperationsContext context;
  std::string mountpoint;

  // Set by Create; thread-safe by libfuse's own rules (exit, notify).
  std::unique_ptr<fuse_session, SessionDeleter> session;
  std::unique_ptr<RequestLoop> loop;

  std::mutex mutex;
  std::condition_variable changed;
  // Under mutex.
  bool mounted = false;
  bool ending = false;    // nothing more is notified, while requests are still served
  bool finished = false;  // nor are those
  bool stopping = false;
  bool greeted = false;
  bool closing = false;                     // the threads below shall end
  int notifying = 0;                        // calls of InvalidateNow under way
  std::deque<std::function<void()>> queue;  // work for the invalidator

  std::thread invalidator;
  std::thread starter;

  void Greeted(const std::function<void()>& on_ready);
  void InvalidateNow(const Invalidations& invalidations);
  bool ForgetBytes(const StaleBytes& stale, const std::function<void()>& answer);
  // Runs `notify` unless the connection ends or has ended; false: it does.
  bool WhileConnected(const std::function<void()>& notify);
  void Notify(const Invalidations& invalidations);
  void NotifyNode(NodeId node, off_t offset, off_t length);
  void ServeQueue();
  void Disconnect();
  void JoinThreads();
};

bool FuseSession::Impl::WhileConnected(const std::function<void()>& notify) {
  {
    // After the end there is no kernel to tell, and the descriptor may be somebody else's.
    std::lock_guard lock(mutex);
    if (ending || finished) return false;
    ++notifying;
  }
  notify();
  std::lock_guard lock(mutex);
  --notifying;
  if (ending || finished) changed.notify_all();
  return true;
}

void FuseSession::Impl::InvalidateNow(const Invalidations& invalidations) {
  WhileConnected([&] { Notify(invalidations); });
}

bool FuseSession::Impl::ForgetBytes(const StaleBytes& stale, const std::function<void()>& answer) {
  return WhileConnected([&] {
    NotifyNode(stale.node, stale.offset, static_cast<off_t>(stale.length));
    answer();
  });
}

void FuseSession::Impl::Notify(const Invalidations& invalidations) {
  // An answer made before the change and given after the kernel has forgotten would be remembered.
  context.looks.WaitForEarlier();
  // What the kernel does not know it need not forget: ENOENT is as good as success.
  for (const auto& name : invalidations.names) {
    const int result = fuse_lowlevel_notify_inval_entry(session.get(), name.parent.value,
                                                        name.name.c_str(), name.name.size());
    if (result != 0 && result != -ENOENT && result != -ENOTEMPTY && result != -EBADF) {
      options.log("invalidating a name: " + Error::FromErrno(-result, name.name).message());
    }
  }
  for (const NodeId node : invalidations.nodes) NotifyNode(node, 0, 0);
}

void FuseSession::Impl::NotifyNode(NodeId node, off_t offset, off_t length) {
  const int result = fuse_lowlevel_notify_inval_inode(session.get(), node.value, offset, length);
  if (result != 0 && result != -ENOENT && result != -EBADF) {
    options.log("invalidating node " + std::to_string(node.value) + ": " +
                Error::FromErrno(-result, "notify").message());
  }
}

void FuseSession::Impl::ServeQueue() {
  pthread_setname_np(pthread_self(), "varve-inval");
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [&] { return closing || !queue.empty(); });
    if (queue.empty()) return;
    const std::function<void()> work = std::move(queue.front());
    queue.pop_front();
    changed.notify_all();
    lock.unlock();
    work();
    lock.lock();
  }
}

// Runs on its own thread: the kernel takes the read-ahead of its own from the answer to its
// greeting, and that answer is sent only after the callback has returned.
void FuseSession::Impl::Greeted(const std::function<void()>& on_ready) {
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return closing || greeted; });
    if (!greeted) return;
  }
  if (::geteuid() == 0) {
    // This request is answered only after the greeting has been taken in, so the order is certain.
    struct stat ignored{};
    const int answered = ::stat(mountpoint.c_str(), &ignored);
    if (answered != 0) options.log(Error::FromErrno(errno, "stat " + mountpoint).message());
    const auto device = DeviceOfMount(mountpoint, options.source);
    const Status status = device.ok() ? SetReadAhead(*device, kReadAheadKib) : device.error();
    if (!status.ok()) options.log("read-ahead stays as it is: " + status.error().message());
  }
  on_ready();
}

// Ends the connection, if it has not ended: whoever waits for an answer hears that there is none.
void FuseSession::Impl::Disconnect() {
  {
    std::unique_lock lock(mutex);
    finished = true;
    changed.notify_all();
    // Notifications end soon, for there is nobody left to hold them up; the limit is for a kernel
    // that thinks otherwise.
    changed.wait_for(lock, kNotifyPatience, [&] { return notifying == 0; });
  }
  if (mounted) fuse_session_unmount(session.get());
  mounted = false;
  JoinThreads();
}

void FuseSession::Impl::JoinThreads() {
  {
    std::lock_guard lock(mutex);
    closing = true;
    changed.notify_all();
  }
  if (starter.joinable()) starter.join();
  if (invalidator.joinable()) invalidator.join();
}

FuseSession::FuseSession() : impl_(std::make_unique<Impl>()) {}

Result<std::unique_ptr<FuseSession>> FuseSession::Create(Filesystem& filesystem,
                                                         const FuseSessionOptions& options) {
  std::unique_ptr<FuseSession> session(new FuseSession());
  Impl& impl = *session->impl_;
  impl.options = options;
  TheLibfuseLog().Lock()->log = options.log;
  fuse_set_log_func(HearLibfuse);
  impl.context.filesystem = &filesystem;
  impl.context.writeback = options.writeback;
  impl.context.log = options.log;
  impl.context.forget = [&impl](const StaleBytes& stale, const std::function<void()>& answer) {
    return impl.ForgetBytes(stale, answer);
  };
  // Not bounded here: each is a write that its writer waits for.
  impl.context.later = [&impl](std::function<void()> work) {
    const std::lock_guard lock(impl.mutex);
    impl.queue.push_back(std::move(work));
    impl.changed.notify_all();
  };
  impl.context.on_ready = [&impl] {
    std::lock_guard lock(impl.mutex);
    impl.greeted = true;
    impl.changed.notify_all();
  };

  std::string program = "varve";
  std::string flag = "-o";
  std::string mount_options = MountOptions(options);
  std::array<char*, 3> argv{program.data(), flag.data(), mount_options.data()};
  fuse_args args = FUSE_ARGS_INIT(static_cast<int>(argv.size()), argv.data());
  const fuse_lowlevel_ops& table = FuseOperations();
  impl.session.reset(fuse_session_new(&args, &table, sizeof(table), &impl.context));
  fuse_opt_free_args(&args);
  if (impl.session == nullptr) {
    return Error(ErrorCode::kInvalidArgument, "libfuse refuses the options " + mount_options);
  }
  impl.loop = std::make_unique<RequestLoop>(impl.session.get(), options.threads);
  impl.invalidator = std::thread([&impl] { impl.ServeQueue(); });
  return session;
}

FuseSession::~FuseSession() {
  impl_->Disconnect();
  TheLibfuseLog().Lock()->log = nullptr;  // what it calls is the owner's
}

Status FuseSession::Mount(const std::string& mountpoint) {
  impl_->mountpoint = mountpoint;
  if (fuse_session_mount(impl_->session.get(), mountpoint.c_str()) != 0) {
    const std::string why = TheLibfuseLog().Lock()->last;
    return Error(ErrorCode::kPermission,
                 "mounting on " + mountpoint + " failed" + (why.empty() ? "" : " (" + why + ")") +
                     "; is /dev/fuse there and open to you, and do you own the directory?");
  }
  impl_->mounted = true;
  return impl_->options.writeback ? CompleteGreeting(impl_->session.get()) : Status();
}

Status FuseSession::Run(std::function<void()> on_ready) {
  impl_->starter =
      std::thread([this, on_ready = std::move(on_ready)] { impl_->Greeted(on_ready); });

  const int result = impl_->loop->Run();

  bool stopping = false;
  {
    std::lock_guard lock(impl_->mutex);
    stopping = impl_->stopping;
  }
  impl_->Disconnect();
  // A loop that ends because the mount was taken away answers 0 or the errno of its last read.
  if (result < 0 && !stopping && result != -ENODEV) {
    return Error::FromErrno(-result, "serving " + impl_->mountpoint);
  }
  return {};
}

void FuseSession::Stop() {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->stopping) return;
    impl_->stopping = true;
    if (impl_->finished) return;
  }
  const Status unmounted = Unmount(impl_->mountpoint, UnmountMode::kClean);
  if (unmounted.ok()) return;  // the kernel ends the session by itself
  impl_->options.log(unmounted.error().message() + "; detaching it");
  const Status detached = Unmount(impl_->mountpoint, UnmountMode::kDetach);
  if (!detached.ok()) impl_->options.log(detached.error().message());
  {
    // A notification waits for reads, and they for the threads that are about to end.
    std::unique_lock lock(impl_->mutex);
    impl_->ending = true;
    impl_->changed.wait_for(lock, kNotifyPatience, [&] { return impl_->notifying == 0; });
  }
  impl_->loop->Stop();
}

void FuseSession::Invalidate(const Invalidations& invalidations) {
  if (!ServesRequest()) return impl_->InvalidateNow(invalidations);
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] { return impl_->closing || impl_->queue.size() < kMaxQueued; });
  if (impl_->closing) return;
  impl_->queue.emplace_back([this, invalidations] { impl_->InvalidateNow(invalidations); });
  impl_->changed.notify_all();
}

}  // namespace varve
