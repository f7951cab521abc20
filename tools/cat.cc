// varve cat: a file's contents as they were.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "store/base/unique_fd.h"
#include "tools/at_options.h"
#include "tools/past.h"
#include "tools/verbs.h"

namespace varve {
namespace {

constexpr std::size_t kBufferBytes = 1024 * 1024;

Status Print(const PastPath& past, std::ostream& out) {
  // Not blocking, lest a fifo of that time be waited for.
  const UniqueFd fd(::open(past.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Error::FromErrno(errno, past.path);
  struct stat stat{};
  if (::fstat(fd.get(), &stat) != 0) return Error::FromErrno(errno, past.path);
  if (S_ISDIR(stat.st_mode)) {
    return Error(ErrorCode::kIsDirectory, past.present + " was a directory; see varve ls");
  }
  if (!S_ISREG(stat.st_mode)) {
    return Error(ErrorCode::kUnsupported, past.present + " was not a regular file; see varve stat");
  }
  std::vector<char> buffer(kBufferBytes);
  while (true) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::FromErrno(errno, "reading " + past.path);
    if (count == 0) return {};
    if (!out.write(buffer.data(), count)) return Error(ErrorCode::kIo, "cannot write the output");
  }
}

}  // namespace

int RunCat(const Args& args, Io& io) {
  AtOptions at;
  CLI::App app("Prints a file as it was at a moment.", "varve cat");
  at.AddTo(app);
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto past = LocatePast(at.path, at.when);
  if (!past.ok()) return Fail(io, "cat", past.error());
  const Status status = Print(*past, io.out);
  return status.ok() ? kExitOk : Fail(io, "cat", status.error());
}

}  // namespace varve
