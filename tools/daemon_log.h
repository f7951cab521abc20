// Where a daemon says what it has to say.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace varve {

// Thread-safe. Lines in a file and on standard error begin with the time.
class DaemonLog {
 public:
  // The system's log, under the name "varve".
  static std::unique_ptr<DaemonLog> ToSyslog();
  static std::unique_ptr<DaemonLog> ToStandardError();
  // Appends to the file, which is made if it is missing.
  static Result<std::unique_ptr<DaemonLog>> ToFile(const std::string& path);
  ~DaemonLog();

  void Write(const std::string& line);

 private:
  DaemonLog() = default;
  bool to_syslog_ = false;
  UniqueFd file_;
  int fd_ = -1;  // where lines go, unless to the system's log
  std::mutex mutex_;
};

}  // namespace varve
