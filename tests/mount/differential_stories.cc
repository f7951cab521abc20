#include "tests/mount/differential_stories.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "tests/mount/differential_view.h"

namespace varve {

UniqueFd OpenFile(const std::string& path, int flags, mode_t mode) {
  return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, mode));
}

std::string ReadText(int fd, std::size_t length, off_t offset) {
  std::string bytes(length, '\0');
  const ssize_t count = ::pread(fd, bytes.data(), length, offset);
  if (count < 0) return Answer(count);
  bytes.resize(static_cast<std::size_t>(count));
  return Describe(bytes);
}

std::string WriteText(int fd, const std::string& text, off_t offset) {
  return Answer(::pwrite(fd, text.data(), text.size(), offset));
}

std::string Look(const std::string& path) { return ViewNode(AT_FDCWD, path).text; }

std::string ListSegments(int fd) {
  std::string text;
  off_t at = 0;
  for (int i = 0; i < 100; ++i) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0) return text + Answer(data);
    at = ::lseek(fd, data, SEEK_HOLE);
    text += fmt::format("{}-{} ", data, at);
    if (at < 0) return text + Answer(at);
  }
  return text + "and so on";
}

std::string SyncedBlocks(int fd) {
  struct stat stat{};
  if (::fsync(fd) != 0 || ::fstat(fd, &stat) != 0) return Answer(-1);
  return std::to_string(stat.st_blocks);
}

std::string InChild(const std::function<std::string()>& run) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return "pipe: " + Answer(-1);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return "fork: " + Answer(-1);
  if (child == 0) {
    const std::string told = run();
    const bool said = ::write(ends[1], told.data(), told.size()) >= 0;
    ::_exit(said ? 0 : 1);
  }
  write_end.Reset();
  std::string told;
  std::array<char, 1024> bytes{};
  for (;;) {
    const ssize_t count = ::read(read_end.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    told.append(bytes.data(), static_cast<std::size_t>(count));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) told += fmt::format(" ended by {}", status);
  return told;
}

}  // namespace varve
