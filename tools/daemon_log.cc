#include "tools/daemon_log.h"

#include <fcntl.h>
#include <syslog.h>

#include <cerrno>

#include "fs/core/when.h"

namespace varve {

std::unique_ptr<DaemonLog> DaemonLog::ToSyslog() {
  std::unique_ptr<DaemonLog> log(new DaemonLog());
  log->to_syslog_ = true;
  ::openlog("varve", LOG_PID | LOG_NDELAY, LOG_DAEMON);
  return log;
}

std::unique_ptr<DaemonLog> DaemonLog::ToStandardError() {
  std::unique_ptr<DaemonLog> log(new DaemonLog());
  log->fd_ = STDERR_FILENO;
  return log;
}

Result<std::unique_ptr<DaemonLog>> DaemonLog::ToFile(const std::string& path) {
  std::unique_ptr<DaemonLog> log(new DaemonLog());
  log->file_ = UniqueFd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
  if (!log->file_) return Error::FromErrno(errno, "opening the log " + path);
  log->fd_ = log->file_.get();
  return log;
}

DaemonLog::~DaemonLog() {
  if (to_syslog_) ::closelog();
}

void DaemonLog::Write(const std::string& line) {
  if (to_syslog_) {
    ::syslog(LOG_NOTICE, "%s", line.c_str());
    return;
  }
  const std::string text = FormatTime(SystemClock().Now()) + " " + line + "\n";
  const std::lock_guard lock(mutex_);
  // A log that cannot be written has nowhere to say so.
  if (::write(fd_, text.data(), text.size()) < 0) return;
}

}  // namespace varve
