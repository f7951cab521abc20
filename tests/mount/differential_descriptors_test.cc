// Every call that takes a descriptor, on descriptors of every kind, also of what has been removed.
#include "tests/mount/differential_descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

namespace varve {
namespace {

constexpr off_t kFar = off_t{1} << 42;

DescriptorCall ReadAt(std::size_t length, off_t offset) {
  return {fmt::format("pread {} at {}", length, offset),
          [=](int fd) { return Read(fd, length, offset); }};
}

DescriptorCall WriteAt(std::size_t length, off_t offset) {
  return {fmt::format("pwrite {} at {}", length, offset), [=](int fd) {
            const std::string bytes(length, 'W');
            const std::string answer = Answer(::pwrite(fd, bytes.data(), length, offset));
            return answer + " " + Read(fd, 30, 0);
          }};
}

TEST_F(DescriptorsDifferentialTest, ReadingAndWriting) {
  CompareAll({
      {"fstat", [](int) { return std::string(); }},
      {"read",
       [](int fd) {
         std::array<char, 7> bytes{};
         const ssize_t count = ::read(fd, bytes.data(), bytes.size());
         return count < 0 ? Answer(count)
                          : Describe({bytes.data(), static_cast<std::size_t>(count)});
       }},
      {"read into nothing", [](int fd) { return Answer(::read(fd, nullptr, 0)); }},
      {"read into bad memory",
       [](int fd) { return Answer(::syscall(SYS_read, fd, 16, std::size_t{8})); }},
      ReadAt(100, 4),
      ReadAt(100, 20),
      ReadAt(1, kFar),
      ReadAt(1, -1),
      {"write", [](int fd) { return Answer(::write(fd, "0123456789", 10)); }},
      {"write nothing", [](int fd) { return Answer(::write(fd, "", 0)); }},
      {"writev",
       [](int fd) {
         std::array<iovec, 2> parts{iovec{const_cast<char*>("ab"), 2},
                                    iovec{const_cast<char*>("cde"), 3}};
         return Answer(::writev(fd, parts.data(), parts.size()));
       }},
      WriteAt(5, 3),
      WriteAt(5, 100),
      WriteAt(5000, 60'000),
      WriteAt(70'000, 65'530),
      WriteAt(1, kFar),
      WriteAt(1, -1),
      WriteAt(0, kFar),
      {"pwrite 2 at 2^63-2", [](int fd) { return Answer(::pwrite(fd, "xy", 2, INT64_MAX - 1)); }},
      {"write after a seek past the end",
       [](int fd) {
         const std::string sought = Answer(::lseek(fd, 100'000, SEEK_SET));
         return sought + " " + Answer(::write(fd, "end", 3)) + " " +
                Answer(::lseek(fd, 0, SEEK_CUR));
       }},
  });
}

DescriptorCall Allocate(const std::string& name, int mode, off_t offset, off_t length) {
  return {fmt::format("fallocate {} {}+{}", name, offset, length), [=](int fd) {
            const std::string answer = Answer(::fallocate(fd, mode, offset, length));
            return answer + " " + Read(fd, 40, 0);
          }};
}

TEST_F(DescriptorsDifferentialTest, SizesAndSpace) {
  const auto truncate = [](off_t size) -> DescriptorCall {
    return {fmt::format("ftruncate {}", size),
            [=](int fd) { return Answer(::ftruncate(fd, size)); }};
  };
  constexpr int kKeep = FALLOC_FL_KEEP_SIZE;
  std::vector<DescriptorCall> calls{truncate(0),    truncate(7),  truncate(200'000),
                                    truncate(kFar), truncate(-1), truncate(INT64_MAX)};
  const std::vector<std::pair<std::string, int>> modes{
      {"0", 0},
      {"KEEP_SIZE", kKeep},
      {"PUNCH_HOLE", FALLOC_FL_PUNCH_HOLE},
      {"PUNCH_HOLE|KEEP_SIZE", FALLOC_FL_PUNCH_HOLE | kKeep},
      {"ZERO_RANGE", FALLOC_FL_ZERO_RANGE},
      {"ZERO_RANGE|KEEP_SIZE", FALLOC_FL_ZERO_RANGE | kKeep},
      {"COLLAPSE_RANGE", FALLOC_FL_COLLAPSE_RANGE},
      {"INSERT_RANGE", FALLOC_FL_INSERT_RANGE},
      {"UNSHARE_RANGE", FALLOC_FL_UNSHARE_RANGE},
      {"a mode there is not", 0x1000}};
  for (const auto& [name, mode] : modes) {
    for (const auto& [offset, length] : std::vector<std::pair<off_t, off_t>>{
             {5, 6}, {10, 100'000}, {70'000, 10}, {0, 4096}, {0, 0}, {-1, 5}, {5, -1}}) {
      calls.push_back(Allocate(name, mode, offset, length));
    }
  }
  calls.push_back(Allocate("PUNCH_HOLE|KEEP_SIZE", FALLOC_FL_PUNCH_HOLE | kKeep, 0, kFar));
  calls.push_back(Allocate("0", 0, INT64_MAX - 5, 100));
  CompareAll(calls);
}

DescriptorCall SeekTo(const std::string& name, off_t offset, int whence) {
  return {fmt::format("lseek {} {}", name, offset),
          [=](int fd) { return Answer(::lseek(fd, offset, whence)); }};
}

std::string ListNamesOf(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return Answer(copy);
  DIR* directory = ::fdopendir(copy);
  if (directory == nullptr) {
    const std::string answer = Answer(-1);
    ::close(copy);
    return answer;
  }
  std::map<std::string, int> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory)) ++names[entry->d_name];
  std::string answer = errno == 0 ? "" : Answer(-1);
  ::closedir(directory);
  for (const auto& [name, count] : names) answer += fmt::format(" {}x{}", name, count);
  return answer;
}

TEST_F(DescriptorsDifferentialTest, SeekingAndListing) {
  CompareAll({
      SeekTo("SET", 5, SEEK_SET),
      SeekTo("SET", kFar, SEEK_SET),
      SeekTo("SET", -1, SEEK_SET),
      SeekTo("CUR", -1, SEEK_CUR),
      SeekTo("END", 0, SEEK_END),
      SeekTo("END", 10, SEEK_END),
      SeekTo("END", -100, SEEK_END),
      SeekTo("DATA", 0, SEEK_DATA),
      SeekTo("DATA", 19, SEEK_DATA),
      SeekTo("DATA", 20, SEEK_DATA),
      SeekTo("DATA", -1, SEEK_DATA),
      SeekTo("HOLE", 0, SEEK_HOLE),
      SeekTo("HOLE", 20, SEEK_HOLE),
      SeekTo("HOLE", kFar, SEEK_HOLE),
      SeekTo("no whence there is", 0, 77),
      {"listing", ListNamesOf},
      {"fchdir", [](int fd) { return Answer(::fchdir(fd)); }},
      {"openat child O_RDONLY",
       [](int fd) {
         const UniqueFd child(::openat(fd, "child", O_RDONLY | O_CLOEXEC));
         return child ? "opened" : Answer(-1);
       }},
      {"openat new O_CREAT",
       [](int fd) {
         const UniqueFd child(::openat(fd, "new", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
         return child ? "opened" : Answer(-1);
       }},
      {"openat ..",
       [](int fd) {
         const UniqueFd child(::openat(fd, "..", O_RDONLY | O_CLOEXEC));
         return child ? "opened" : Answer(-1);
       }},
      {"mkdirat new", [](int fd) { return Answer(::mkdirat(fd, "new", 0755)); }},
      {"symlinkat new", [](int fd) { return Answer(::symlinkat("target", fd, "new")); }},
      {"mknodat new", [](int fd) { return Answer(::mknodat(fd, "new", S_IFIFO | 0644, 0)); }},
      {"renameat to new",
       [](int fd) { return Answer(::renameat(AT_FDCWD, "file-owner", fd, "new")); }},
      {"linkat to new",
       [](int fd) { return Answer(::linkat(AT_FDCWD, "file-owner", fd, "new", 0)); }},
      {"unlinkat child", [](int fd) { return Answer(::unlinkat(fd, "child", 0)); }},
      {"unlinkat subdir", [](int fd) { return Answer(::unlinkat(fd, "subdir", AT_REMOVEDIR)); }},
      {"linkat of the descriptor",
       [](int fd) { return Answer(::linkat(fd, "", AT_FDCWD, "new", AT_EMPTY_PATH)); }},
      {"linkat through /proc",
       [](int fd) {
         const std::string path = fmt::format("/proc/self/fd/{}", fd);
         return Answer(::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "new", AT_SYMLINK_FOLLOW));
       }},
      {"open again through /proc",
       [](int fd) {
         const std::string path = fmt::format("/proc/self/fd/{}", fd);
         const UniqueFd again(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
         return again ? "opened " + Read(again.get(), 100, 0) : Answer(-1);
       }},
      {"readlinkat",
       [](int fd) {
         std::array<char, 64> target{};
         return Answer(::readlinkat(fd, "", target.data(), target.size()));
       }},
  });
}

TEST_F(DescriptorsDifferentialTest, Attributes) {
  constexpr auto kSame = static_cast<uid_t>(-1);
  const auto times = [](const std::string& name, timespec atime, timespec mtime) -> DescriptorCall {
    return {"futimens " + name, [=](int fd) {
              const std::array<timespec, 2> both{atime, mtime};
              return Answer(::futimens(fd, both.data()));
            }};
  };
  CompareAll({
      {"fchmod 06711", [](int fd) { return Answer(::fchmod(fd, 06711)); }},
      {"fchmod 0", [](int fd) { return Answer(::fchmod(fd, 0)); }},
      {"fchown 60001:60003", [](int fd) { return Answer(::fchown(fd, 60001, kSharedGroup)); }},
      {"fchown -1:-1", [](int fd) { return Answer(::fchown(fd, kSame, kSame)); }},
      {"fchownat with an empty path",
       [](int fd) { return Answer(::fchownat(fd, "", 60001, kSharedGroup, AT_EMPTY_PATH)); }},
      times("then", {1'000'000'000, 7}, {1'000'000'001, 8}),
      times("now", {0, UTIME_NOW}, {0, UTIME_NOW}),
      times("omit", {0, UTIME_OMIT}, {0, UTIME_OMIT}),
      {"fsetxattr user", [](int fd) { return Answer(::fsetxattr(fd, "user.new", "x", 1, 0)); }},
      {"fsetxattr trusted",
       [](int fd) { return Answer(::fsetxattr(fd, "trusted.new", "x", 1, 0)); }},
      {"fgetxattr",
       [](int fd) {
         std::array<char, 64> value{};
         return Answer(::fgetxattr(fd, "user.a", value.data(), value.size()));
       }},
      {"flistxattr",
       [](int fd) {
         std::array<char, 64> names{};
         return Answer(::flistxattr(fd, names.data(), names.size()));
       }},
      {"fremovexattr", [](int fd) { return Answer(::fremovexattr(fd, "user.a")); }},
  });
}

std::string Lock(int fd, int command, short type, off_t start, off_t length) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  const int result = ::fcntl(fd, command, &lock);
  return fmt::format("{} type {} {}+{}", Answer(result), lock.l_type, lock.l_start, lock.l_len);
}

TEST_F(DescriptorsDifferentialTest, SyncingLockingAndTheRest) {
  CompareAll({
      {"fsync", [](int fd) { return Answer(::fsync(fd)); }},
      {"fdatasync", [](int fd) { return Answer(::fdatasync(fd)); }},
      {"syncfs", [](int fd) { return Answer(::syncfs(fd)); }},
      {"sync_file_range",
       [](int fd) { return Answer(::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE)); }},
      {"posix_fadvise",
       [](int fd) { return std::to_string(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)); }},
      {"readahead", [](int fd) { return Answer(::readahead(fd, 0, 4096)); }},
      {"flock LOCK_SH", [](int fd) { return Answer(::flock(fd, LOCK_SH | LOCK_NB)); }},
      {"flock LOCK_EX", [](int fd) { return Answer(::flock(fd, LOCK_EX | LOCK_NB)); }},
      {"flock LOCK_UN", [](int fd) { return Answer(::flock(fd, LOCK_UN)); }},
      {"F_SETLK read", [](int fd) { return Lock(fd, F_SETLK, F_RDLCK, 3, 4); }},
      {"F_SETLK write", [](int fd) { return Lock(fd, F_SETLK, F_WRLCK, 3, 0); }},
      {"F_SETLK unlock", [](int fd) { return Lock(fd, F_SETLK, F_UNLCK, 0, 0); }},
      {"F_GETLK", [](int fd) { return Lock(fd, F_GETLK, F_WRLCK, 0, 10); }},
      {"F_OFD_SETLK", [](int fd) { return Lock(fd, F_OFD_SETLK, F_WRLCK, kFar, 10); }},
      {"F_SETLEASE read", [](int fd) { return Answer(::fcntl(fd, F_SETLEASE, F_RDLCK)); }},
      {"F_GETLEASE", [](int fd) { return Answer(::fcntl(fd, F_GETLEASE)); }},
      {"F_NOTIFY", [](int fd) { return Answer(::fcntl(fd, F_NOTIFY, DN_MODIFY)); }},
      {"FIONREAD",
       [](int fd) {
         int count = 0;
         return Answer(::ioctl(fd, FIONREAD, &count)) + fmt::format(" {}", count);
       }},
      {"FS_IOC_GETFLAGS",
       [](int fd) {
         long flags = 0;
         return Answer(::ioctl(fd, FS_IOC_GETFLAGS, &flags));
       }},
      {"FIGETBSZ",
       [](int fd) {
         int size = 0;
         return Answer(::ioctl(fd, FIGETBSZ, &size));
       }},
      {"an ioctl there is not", [](int fd) { return Answer(::ioctl(fd, 0x12345678, nullptr)); }},
  });
}

}  // namespace
}  // namespace varve
