// The kinds of calls that the random differential test makes.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

#include "tests/mount/differential_random_world.h"

namespace varve {
namespace {

int Fd(RandomWorld& world, const RandomCall& call) { return world.slot(call.slot).get(); }
int OtherFd(RandomWorld& world, const RandomCall& call) {
  return world.slot(call.other_slot).get();
}

// The kernel's FUSE does not move a fifo's times, as is known; and nobody reads what is in it.
bool IsFifo(int fd) {
  struct stat stat{};
  return fd >= 0 && ::fstat(fd, &stat) == 0 && S_ISFIFO(stat.st_mode);
}

std::string Bytes(const RandomCall& call) {
  std::string bytes(call.length, '\0');
  const auto first = static_cast<char>('a' + call.variant % 26);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(first + static_cast<char>(i % 7));
  }
  return bytes;
}

std::string Told(ssize_t count, const std::string& buffer) {
  if (count < 0) return Answer(count);
  return Describe(std::string_view(buffer).substr(0, static_cast<std::size_t>(count)));
}

// --- Descriptors ---

std::string Open(RandomWorld& world, const RandomCall& call) {
  const int flags = call.open_flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  UniqueFd fd(::open(call.path.c_str(), flags, call.mode & ~static_cast<mode_t>(S_ISGID)));
  const std::string answer = fd ? "opened" : Answer(-1);
  if (fd) world.slot(call.slot) = std::move(fd);
  return answer;
}

std::string OpenAt(RandomWorld& world, const RandomCall& call) {
  const int flags = call.open_flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  UniqueFd fd(::openat(OtherFd(world, call), call.path.c_str(), flags,
                       call.mode & ~static_cast<mode_t>(S_ISGID)));
  const std::string answer = fd ? "opened" : Answer(-1);
  if (fd) world.slot(call.slot) = std::move(fd);
  return answer;
}

std::string Close(RandomWorld& world, const RandomCall& call) {
  const bool was_open = static_cast<bool>(world.slot(call.slot));
  world.slot(call.slot).Reset();
  return was_open ? "closed" : "was closed";
}

std::string PRead(RandomWorld& world, const RandomCall& call) {
  std::string buffer(call.length, '\0');
  const ssize_t count = ::pread(Fd(world, call), buffer.data(), buffer.size(), call.offset);
  return Told(count, buffer);
}

std::string Read(RandomWorld& world, const RandomCall& call) {
  if (IsFifo(Fd(world, call))) return "a fifo";
  std::string buffer(call.length, '\0');
  return Told(::read(Fd(world, call), buffer.data(), buffer.size()), buffer);
}

std::string PWrite(RandomWorld& world, const RandomCall& call) {
  const std::string bytes = Bytes(call);
  return Answer(::pwrite(Fd(world, call), bytes.data(), bytes.size(), call.offset));
}

std::string Write(RandomWorld& world, const RandomCall& call) {
  if (IsFifo(Fd(world, call))) return "a fifo";
  const std::string bytes = Bytes(call);
  return Answer(::write(Fd(world, call), bytes.data(), bytes.size()));
}

// Of a directory the end is another, as is known.
std::string Seek(RandomWorld& world, const RandomCall& call) {
  struct stat stat{};
  const int fd = Fd(world, call);
  if (fd >= 0 && ::fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode)) return "a directory";
  static constexpr int kWhence[] = {SEEK_SET, SEEK_CUR, SEEK_END};
  return Answer(::lseek(fd, call.offset, kWhence[call.variant % 3]));
}

std::string FTruncate(RandomWorld& world, const RandomCall& call) {
  return Answer(::ftruncate(Fd(world, call), call.offset));
}

std::string Allocate(RandomWorld& world, const RandomCall& call) {
  static constexpr int kModes[] = {0, FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                                   FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
  return Answer(::fallocate(Fd(world, call), kModes[call.variant % 5], call.offset,
                            static_cast<off_t>(call.length)));
}

std::string Sync(RandomWorld& world, const RandomCall& call) {
  const int fd = Fd(world, call);
  return Answer(call.variant % 2 == 0 ? ::fsync(fd) : ::fdatasync(fd));
}

// Through a mapping, within the file as it is.
std::string MapAndStore(RandomWorld& world, const RandomCall& call) {
  const int fd = Fd(world, call);
  struct stat stat{};
  if (fd < 0 || ::fstat(fd, &stat) != 0) return Answer(-1);
  constexpr std::size_t kWindow = 256 * 1024;
  const std::size_t size = std::min(kWindow, static_cast<std::size_t>(stat.st_size));
  const int flags = call.variant % 4 == 0 ? MAP_PRIVATE : MAP_SHARED;
  void* memory = ::mmap(nullptr, kWindow, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (memory == MAP_FAILED) return Answer(-1);
  std::string answer = "mapped";
  const auto offset = static_cast<std::size_t>(call.offset);
  if (S_ISREG(stat.st_mode) && offset < size) {
    const std::size_t length = std::min(call.length, size - offset);
    char* at = static_cast<char*>(memory) + offset;
    answer += " " + Describe({at, length});
    std::memcpy(at, Bytes(call).data(), length);
    answer += " " + Answer(::msync(memory, kWindow, MS_SYNC));
  }
  ::munmap(memory, kWindow);
  return answer;
}

// How much is copied at once is nobody's promise, so it is repeated; but not for ever.
std::string CopyRange(RandomWorld& world, const RandomCall& call) {
  off_t from = call.offset;
  off_t to = call.other_offset;
  std::size_t left = call.length;
  std::string answer;
  for (int round = 0; round < 100 && left > 0; ++round) {
    const ssize_t count =
        ::copy_file_range(Fd(world, call), &from, OtherFd(world, call), &to, left, 0);
    if (count <= 0) {
      answer = Answer(count) + " after ";
      break;
    }
    left -= static_cast<std::size_t>(count);
  }
  return answer + std::to_string(call.length - left);
}

std::string SendFile(RandomWorld& world, const RandomCall& call) {
  if (IsFifo(OtherFd(world, call)) || IsFifo(Fd(world, call))) return "a fifo";
  off_t from = call.offset;
  return Answer(::sendfile(OtherFd(world, call), Fd(world, call), &from, call.length % 4096));
}

std::string LockRange(RandomWorld& world, const RandomCall& call) {
  static constexpr short kTypes[] = {F_RDLCK, F_WRLCK, F_UNLCK};
  struct flock lock{};
  lock.l_type = kTypes[call.variant % 3];
  lock.l_whence = SEEK_SET;
  lock.l_start = call.offset % 10;
  lock.l_len = static_cast<off_t>(call.length % 10);
  return Answer(::fcntl(Fd(world, call), F_OFD_SETLK, &lock));
}

std::string LockWhole(RandomWorld& world, const RandomCall& call) {
  static constexpr int kModes[] = {LOCK_SH, LOCK_EX, LOCK_UN};
  return Answer(::flock(Fd(world, call), kModes[call.variant % 3] | LOCK_NB));
}

// --- Names ---

std::string MakeDirectory(RandomWorld&, const RandomCall& call) {
  return Answer(::mkdir(call.path.c_str(), call.mode));
}
std::string MakeDirectoryAt(RandomWorld& world, const RandomCall& call) {
  return Answer(::mkdirat(Fd(world, call), call.path.c_str(), call.mode));
}
std::string RemoveDirectory(RandomWorld&, const RandomCall& call) {
  return Answer(::rmdir(call.path.c_str()));
}
std::string Unlink(RandomWorld&, const RandomCall& call) {
  return Answer(::unlink(call.path.c_str()));
}
std::string UnlinkAt(RandomWorld& world, const RandomCall& call) {
  const int flags = call.variant % 3 == 0 ? AT_REMOVEDIR : 0;
  return Answer(::unlinkat(Fd(world, call), call.path.c_str(), flags));
}
std::string MakeNode(RandomWorld&, const RandomCall& call) {
  static constexpr mode_t kTypes[] = {S_IFREG, S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
  const mode_t type = kTypes[call.variant % 6];
  const bool device = type == S_IFCHR || type == S_IFBLK;
  return Answer(::mknod(call.path.c_str(), type | (call.mode & ~static_cast<mode_t>(S_ISGID)),
                        device ? makedev(1, type == S_IFCHR ? 3 : 200) : 0));
}
std::string Symlink(RandomWorld&, const RandomCall& call) {
  const std::string target = (call.variant % 3 == 0 ? "../" : "") + call.other_path;
  return Answer(::symlink(target.c_str(), call.path.c_str()));
}
std::string ReadLink(RandomWorld&, const RandomCall& call) {
  std::string target(5000, '\0');
  return Told(::readlink(call.path.c_str(), target.data(), target.size()), target);
}
std::string Link(RandomWorld&, const RandomCall& call) {
  const int flags = call.variant % 3 == 0 ? AT_SYMLINK_FOLLOW : 0;
  return Answer(::linkat(AT_FDCWD, call.path.c_str(), AT_FDCWD, call.other_path.c_str(), flags));
}
std::string LinkDescriptor(RandomWorld& world, const RandomCall& call) {
  return Answer(::linkat(Fd(world, call), "", AT_FDCWD, call.path.c_str(), AT_EMPTY_PATH));
}
std::string Rename(RandomWorld&, const RandomCall& call) {
  static constexpr unsigned kFlags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
  return Answer(::renameat2(AT_FDCWD, call.path.c_str(), AT_FDCWD, call.other_path.c_str(),
                            kFlags[call.variant % 5]));
}
std::string RenameAt(RandomWorld& world, const RandomCall& call) {
  return Answer(::renameat(Fd(world, call), call.path.c_str(), OtherFd(world, call),
                           call.other_path.c_str()));
}

std::string List(RandomWorld&, const RandomCall& call) {
  DIR* directory = ::opendir(call.path.c_str());
  if (directory == nullptr) return Answer(-1);
  std::multiset<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory)) {
    names.insert(fmt::format("{}:{}", std::string(entry->d_name).substr(0, 8), entry->d_type));
  }
  std::string answer = errno == 0 ? "" : Answer(-1);
  ::closedir(directory);
  for (const std::string& name : names) answer += " " + name;
  return answer;
}

// --- Attributes ---

std::string Stat(RandomWorld&, const RandomCall& call) {
  struct stat stat{};
  if (::stat(call.path.c_str(), &stat) != 0) return Answer(-1);
  return ViewStat(stat).text;
}
std::string Access(RandomWorld&, const RandomCall& call) {
  return Answer(::faccessat(AT_FDCWD, call.path.c_str(), static_cast<int>(call.variant % 8), 0));
}
std::string Chmod(RandomWorld&, const RandomCall& call) {
  return Answer(::chmod(call.path.c_str(), call.mode));
}
std::string FChmod(RandomWorld& world, const RandomCall& call) {
  return Answer(::fchmod(Fd(world, call), call.mode));
}
std::string Chown(RandomWorld&, const RandomCall& call) {
  const int flags = call.variant % 3 == 0 ? AT_SYMLINK_NOFOLLOW : 0;
  return Answer(::fchownat(AT_FDCWD, call.path.c_str(), call.uid, call.gid, flags));
}
std::string FChown(RandomWorld& world, const RandomCall& call) {
  return Answer(::fchown(Fd(world, call), call.uid, call.gid));
}
std::string SetTimes(RandomWorld&, const RandomCall& call) {
  const int flags = call.variant % 3 == 0 ? AT_SYMLINK_NOFOLLOW : 0;
  return Answer(::utimensat(AT_FDCWD, call.path.c_str(), call.times.data(), flags));
}
std::string FSetTimes(RandomWorld& world, const RandomCall& call) {
  return Answer(::futimens(Fd(world, call), call.times.data()));
}
std::string Truncate(RandomWorld&, const RandomCall& call) {
  return Answer(::truncate(call.path.c_str(), call.offset));
}

// --- Extended attributes ---

std::string SetXattr(RandomWorld&, const RandomCall& call) {
  static constexpr int kFlags[] = {0, 0, XATTR_CREATE, XATTR_REPLACE};
  return Answer(::lsetxattr(call.path.c_str(), call.key.c_str(), call.value.data(),
                            call.value.size(), kFlags[call.variant % 4]));
}
std::string FSetXattr(RandomWorld& world, const RandomCall& call) {
  return Answer(
      ::fsetxattr(Fd(world, call), call.key.c_str(), call.value.data(), call.value.size(), 0));
}
std::string GetXattr(RandomWorld&, const RandomCall& call) {
  std::string value(call.variant % 300, '\0');
  const ssize_t count = ::getxattr(call.path.c_str(), call.key.c_str(), value.data(), value.size());
  return value.empty() ? Answer(count) : Told(count, value);
}
// The order is nobody's promise.
std::string ListXattrs(RandomWorld&, const RandomCall& call) {
  std::string names(4096, '\0');
  const ssize_t count = ::listxattr(call.path.c_str(), names.data(), names.size());
  if (count < 0) return Answer(count);
  std::set<std::string> sorted;
  for (std::size_t at = 0; at < static_cast<std::size_t>(count);) {
    const std::string name = names.c_str() + at;
    sorted.insert(name);
    at += name.size() + 1;
  }
  std::string answer = Answer(count);
  for (const std::string& name : sorted) answer += " " + name;
  return answer;
}
std::string RemoveXattr(RandomWorld&, const RandomCall& call) {
  return Answer(::removexattr(call.path.c_str(), call.key.c_str()));
}

}  // namespace

const std::vector<RandomKind>& RandomKinds() {
  static const std::vector<RandomKind> kinds{
      {"open", 12, "psfm", Open},
      {"openat", 4, "tpsfm", OpenAt},
      {"close", 5, "s", Close},
      {"pread", 6, "sol", PRead},
      {"read", 2, "sl", Read},
      {"pwrite", 9, "solv", PWrite},
      {"write", 4, "slv", Write},
      {"lseek", 2, "sov", Seek},
      {"ftruncate", 3, "so", FTruncate},
      {"fallocate", 4, "sovl", Allocate},
      {"fsync", 1, "sv", Sync},
      {"mmap", 3, "solv", MapAndStore},
      {"copy_file_range", 3, "stoOl", CopyRange},
      {"sendfile", 1, "stol", SendFile},
      {"lock", 1, "svol", LockRange},
      {"flock", 1, "sv", LockWhole},
      {"mkdir", 8, "pm", MakeDirectory},
      {"mkdirat", 2, "spm", MakeDirectoryAt},
      {"rmdir", 4, "p", RemoveDirectory},
      {"unlink", 5, "p", Unlink},
      {"unlinkat", 2, "spv", UnlinkAt},
      {"mknod", 4, "pmv", MakeNode},
      {"symlink", 4, "pqv", Symlink},
      {"readlink", 1, "p", ReadLink},
      {"link", 5, "pqv", Link},
      {"link of a descriptor", 1, "sp", LinkDescriptor},
      {"rename", 9, "pqv", Rename},
      {"renameat", 2, "sptq", RenameAt},
      {"list", 3, "p", List},
      {"stat", 3, "p", Stat},
      {"access", 3, "pv", Access},
      {"chmod", 6, "pm", Chmod},
      {"fchmod", 1, "sm", FChmod},
      {"chown", 4, "puv", Chown},
      {"fchown", 1, "su", FChown},
      {"utimensat", 3, "pTv", SetTimes},
      {"futimens", 1, "sT", FSetTimes},
      {"truncate", 3, "po", Truncate},
      {"lsetxattr", 4, "pxv", SetXattr},
      {"fsetxattr", 1, "sx", FSetXattr},
      {"getxattr", 2, "pxv", GetXattr},
      {"listxattr", 1, "p", ListXattrs},
      {"removexattr", 2, "px", RemoveXattr},
  };
  return kinds;
}

}  // namespace varve
