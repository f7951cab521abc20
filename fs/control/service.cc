#include "fs/control/service.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <shared_mutex>

#include "fs/control/health.h"
#include "fs/control/wire.h"
#include "fs/core/when.h"

namespace varve {
namespace {

constexpr int kMaxWaiters = 16;
constexpr std::chrono::seconds kWaitingSignOfLife{1};

Json MomentToJson(Lsn lsn, TimeNs time_ns) {
  return {{"lsn", lsn.value}, {"time_ns", time_ns}, {"time", FormatTime(time_ns)}};
}

Json RecordToJson(const LogRecord& record) {
  Json json = MomentToJson(record.lsn, record.time_ns);
  json["change"] = ToString(record.kind);
  json["path"] = BytesToJson(record.path);
  json["size"] = record.size;
  json["mode"] = record.mode;
  json["deleted"] = record.deleted;
  return json;
}

Json SnapshotToJson(const SnapshotRecord& snapshot) {
  Json json = MomentToJson(snapshot.lsn, snapshot.time_ns);
  json["name"] = BytesToJson(snapshot.name);
  return json;
}

Error ShuttingDown() { return Error(ErrorCode::kCancelled, "the volume is being unmounted"); }

}  // namespace

struct ControlService::Impl {
  ControlServiceOptions options;

  // Shared by requests under way; taken alone to end them.
  std::shared_mutex in_use;
  std::atomic<bool> closing = false;

  std::mutex mutex;
  std::condition_variable finished;
  std::optional<Status> outcome;  // under mutex
  int waiters = 0;                // under mutex

  Result<Json> Dispatch(const std::string& what, const Json& request,
                        const ControlServer::Reply& reply);
  Result<Json> Wait(const ControlServer::Reply& reply);
  Result<Json> DoLog(const Json& request, const ControlServer::Reply& reply);
  Result<Json> DoResolve(const Json& request);
  Result<Json> DoRollback(const Json& request);
  void LookThroughTheMount(const std::string& path) const;
  Result<Json> DoSnapshotCreate(const Json& request);
  Result<Json> DoSnapshotDelete(const Json& request);
  Result<Json> DoSnapshotList(const ControlServer::Reply& reply);
};

ControlService::ControlService(const ControlServiceOptions& options)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
}
ControlService::~ControlService() = default;

void ControlService::Handle(std::string_view line, const ControlServer::Reply& reply) {
  Result<Json> result = [&]() -> Result<Json> {
    ASSIGN_OR_RETURN(const Json request, ParseObject(line));
    ASSIGN_OR_RETURN(const std::string what, GetBytes(request, "request"));
    if (what == "wait") return impl_->Wait(reply);
    const std::shared_lock lock(impl_->in_use);
    if (impl_->closing) return ShuttingDown();
    return impl_->Dispatch(what, request, reply);
  }();
  const Json last =
      result.ok() ? Json{{"ok", true}, {"result", *result}} : ErrorToJson(result.error());
  // A client that has gone needs no answer, and there is nobody else to tell.
  const Status sent = reply(Dump(last));
  static_cast<void>(sent.ok());
}

void ControlService::BeginShutdown() {
  impl_->closing = true;
  const std::unique_lock wait_for_requests(impl_->in_use);
}

void ControlService::Finish(const Status& status) {
  std::lock_guard lock(impl_->mutex);
  impl_->outcome = status;
  impl_->finished.notify_all();
}

// Says "waiting" at once, so that the client knows that it will be told, and then every second, to
// see whether it is still there.
Result<Json> ControlService::Impl::Wait(const ControlServer::Reply& reply) {
  std::unique_lock lock(mutex);
  if (waiters >= kMaxWaiters) return Error(ErrorCode::kBusy, "too many wait already");
  ++waiters;
  Status sent;
  while (sent.ok() && !outcome.has_value()) {
    lock.unlock();
    sent = reply(Dump({{"record", "waiting"}}));
    lock.lock();
    finished.wait_for(lock, kWaitingSignOfLife, [&] { return outcome.has_value(); });
  }
  --waiters;
  RETURN_IF_ERROR(std::move(sent));
  if (!outcome->ok()) return outcome->error();
  return Json::object();
}

Result<Json> ControlService::Impl::Dispatch(const std::string& what, const Json& request,
                                            const ControlServer::Reply& reply) {
  if (what == "status") {
    Json json =
        StatusToJson(options.volume->status(), options.findings->summary(), options.mountpoint);
    json["pid"] = ::getpid();
    return json;
  }
  if (what == "log") return DoLog(request, reply);
  if (what == "resolve") return DoResolve(request);
  if (what == "rollback") return DoRollback(request);
  if (what == "snapshot-create") return DoSnapshotCreate(request);
  if (what == "snapshot-delete") return DoSnapshotDelete(request);
  if (what == "snapshot-list") return DoSnapshotList(reply);
  if (what == "sync") {
    RETURN_IF_ERROR(options.volume->SyncAll());
    return Json::object();
  }
  return Error(ErrorCode::kUnsupported,
               "the daemon does not know the request \"" + what +
                   "\"; is it older than this command? Unmount and mount again");
}

Result<Json> ControlService::Impl::DoLog(const Json& request, const ControlServer::Reply& reply) {
  ASSIGN_OR_RETURN(const std::string path, GetBytes(request, "path"));
  Status sent;
  RETURN_IF_ERROR(options.filesystem->Log(path, [&](const LogRecord& record) {
    sent = reply(Dump({{"record", RecordToJson(record)}}));
    return sent.ok() && !closing;
  }));
  RETURN_IF_ERROR(std::move(sent));
  if (closing) return ShuttingDown();
  return Json::object();
}

Result<Json> ControlService::Impl::DoResolve(const Json& request) {
  ASSIGN_OR_RETURN(const std::string when, GetBytes(request, "when"));
  ASSIGN_OR_RETURN(const Lsn lsn, options.filesystem->ResolveWhen(when));
  ASSIGN_OR_RETURN(const TimeNs time_ns, options.volume->TimeOf(lsn));
  return MomentToJson(lsn, time_ns);
}

// Several reads at once of a file that has become shorter, of whose size the kernel has not heard,
// are answered with zeros behind its end: which of them ends early is known of the last one only.
void ControlService::Impl::LookThroughTheMount(const std::string& path) const {
  struct statx seen{};
  // What cannot be looked at (another has renamed it meanwhile) has been looked up anew.
  static_cast<void>(::statx(AT_FDCWD, (options.mountpoint + path).c_str(),
                            AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_FORCE_SYNC, STATX_SIZE,
                            &seen));
}

Result<Json> ControlService::Impl::DoRollback(const Json& request) {
  ASSIGN_OR_RETURN(const std::string path, GetBytes(request, "path"));
  ASSIGN_OR_RETURN(const std::string when, GetBytes(request, "when"));
  ASSIGN_OR_RETURN(const Lsn lsn, options.filesystem->ResolveWhen(when));
  ASSIGN_OR_RETURN(const TimeNs to_ns, options.volume->TimeOf(lsn));
  ASSIGN_OR_RETURN(const auto done, options.filesystem->Rollback(path, lsn));
  for (const std::string& file : done.open_and_resized) LookThroughTheMount(file);
  ASSIGN_OR_RETURN(const TimeNs done_ns, options.volume->TimeOf(done.lsn));
  return Json{{"to", MomentToJson(lsn, to_ns)},
              {"version", MomentToJson(done.lsn, done_ns)},
              {"changed", done.changed}};
}

Result<Json> ControlService::Impl::DoSnapshotCreate(const Json& request) {
  ASSIGN_OR_RETURN(const std::string name, GetBytes(request, "name"));
  RETURN_IF_ERROR(options.filesystem->CreateSnapshot(name));
  ASSIGN_OR_RETURN(const auto snapshots, options.filesystem->Snapshots());
  for (const SnapshotRecord& snapshot : snapshots) {
    if (snapshot.name == name) return SnapshotToJson(snapshot);
  }
  return Error(ErrorCode::kNotFound, "snapshot " + name + " has been deleted meanwhile");
}

Result<Json> ControlService::Impl::DoSnapshotDelete(const Json& request) {
  ASSIGN_OR_RETURN(const std::string name, GetBytes(request, "name"));
  RETURN_IF_ERROR(options.filesystem->DeleteSnapshot(name));
  return Json::object();
}

Result<Json> ControlService::Impl::DoSnapshotList(const ControlServer::Reply& reply) {
  ASSIGN_OR_RETURN(const auto snapshots, options.filesystem->Snapshots());
  for (const SnapshotRecord& snapshot : snapshots) {
    RETURN_IF_ERROR(reply(Dump({{"record", SnapshotToJson(snapshot)}})));
  }
  return Json::object();
}

}  // namespace varve
