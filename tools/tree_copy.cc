#include "tools/tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>

#include "store/base/unique_fd.h"
#include "tools/file_facts.h"
#include "tools/paths.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#endif

namespace varve {
namespace {

constexpr std::size_t kBufferBytes = 1024 * 1024;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Status ForEachName(const std::string& path,
                   const std::function<Status(const std::string&)>& visit) {
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (directory == nullptr) return Error::FromErrno(errno, path);
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") RETURN_IF_ERROR(visit(name));
  }
  if (errno != 0) return Error::FromErrno(errno, path);
  return {};
}

Result<struct stat> StatLink(const std::string& path) {
  struct stat stat{};
  if (::lstat(path.c_str(), &stat) != 0) return Error::FromErrno(errno, path);
  return stat;
}

Status Measure(const std::string& path, TreeSize& size) {
  ASSIGN_OR_RETURN(const struct stat stat, StatLink(path));
  if (!S_ISDIR(stat.st_mode)) {
    ++size.files;
    if (S_ISREG(stat.st_mode)) size.bytes += static_cast<std::uint64_t>(stat.st_size);
    return {};
  }
  ++size.directories;
  return ForEachName(path,
                     [&](const std::string& name) { return Measure(JoinPath(path, name), size); });
}

class Copier {
 public:
  explicit Copier(const std::function<void(std::uint64_t)>& progress)
      : progress_(progress), buffer_(kBufferBytes) {}

  // `to` must not exist.
  Status Copy(const std::string& from, const std::string& to) {
    ASSIGN_OR_RETURN(const struct stat stat, StatLink(from));
    if (!S_ISDIR(stat.st_mode) && stat.st_nlink > 1) {
      const auto [first, is_new] = linked_.emplace(std::pair(stat.st_dev, stat.st_ino), to);
      if (!is_new) {
        if (::link(first->second.c_str(), to.c_str()) != 0) return Error::FromErrno(errno, to);
        ++result_.copied.files;
        return {};
      }
    }
    switch (stat.st_mode & S_IFMT) {
      case S_IFREG:
        RETURN_IF_ERROR(CopyFile(from, to));
        break;
      case S_IFDIR:
        RETURN_IF_ERROR(CopyDirectory(from, to));
        break;
      case S_IFLNK:
        RETURN_IF_ERROR(CopyLink(from, to));
        break;
      default:
        if (!MakeNode(stat, from, to)) return {};
    }
    ++(S_ISDIR(stat.st_mode) ? result_.copied.directories : result_.copied.files);
    return CopyAttributes(stat, from, to);
  }

  TreeCopyResult TakeResult() { return std::move(result_); }

 private:
  void Warn(std::string line) {
    if (result_.warnings.size() < TreeCopyResult::kMaxWarnings) {
      result_.warnings.push_back(std::move(line));
    }
  }

  // Copies the data from `at` up to the next hole and answers where that is; the size at the end.
  Result<off_t> CopyRun(int in, int out, off_t at, off_t end, const std::string& name) {
    while (at < end) {
      const auto wanted = static_cast<std::size_t>(std::min<off_t>(end - at, kBufferBytes));
      const ssize_t count = ::read(in, buffer_.data(), wanted);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Error::FromErrno(errno, "reading " + name);
      if (count == 0) break;
      RETURN_IF_ERROR(WriteAll(out, static_cast<std::size_t>(count), name));
      at += count;
      result_.copied.bytes += static_cast<std::uint64_t>(count);
      progress_(static_cast<std::uint64_t>(count));
    }
    return at;
  }

  Status WriteAll(int out, std::size_t size, const std::string& name) {
    for (std::size_t done = 0; done < size;) {
      const ssize_t count = ::write(out, buffer_.data() + done, size - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Error::FromErrno(errno, "writing the copy of " + name);
      done += static_cast<std::size_t>(count);
    }
    return {};
  }

  Status CopyFile(const std::string& from, const std::string& to) {
    const UniqueFd in(::open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!in) return Error::FromErrno(errno, from);
    UniqueFd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out) return Error::FromErrno(errno, to);
    struct stat stat{};
    if (::fstat(in.get(), &stat) != 0) return Error::FromErrno(errno, from);
    off_t at = 0;
    while (at < stat.st_size) {
      const off_t data = ::lseek(in.get(), at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;  // a hole up to the end
      // Where holes cannot be asked for, all is data.
      at = data < 0 ? at : data;
      off_t end = data < 0 ? stat.st_size : ::lseek(in.get(), at, SEEK_HOLE);
      if (end < 0) end = stat.st_size;
      if (::lseek(in.get(), at, SEEK_SET) < 0) return Error::FromErrno(errno, from);
      if (::lseek(out.get(), at, SEEK_SET) < 0) return Error::FromErrno(errno, to);
      ASSIGN_OR_RETURN(const off_t reached, CopyRun(in.get(), out.get(), at, end, from));
      if (reached < end) return Error(ErrorCode::kIo, from + " ends before its size");
      at = reached;
    }
    if (::ftruncate(out.get(), stat.st_size) != 0) return Error::FromErrno(errno, to);
    // Closed here, for some filesystems tell only then that a write has failed.
    if (::close(out.Release()) != 0) return Error::FromErrno(errno, "closing " + to);
    return {};
  }

  Status CopyDirectory(const std::string& from, const std::string& to) {
    if (::mkdir(to.c_str(), 0700) != 0) return Error::FromErrno(errno, to);
    return ForEachName(from, [&](const std::string& name) {
      return Copy(JoinPath(from, name), JoinPath(to, name));
    });
  }

  Status CopyLink(const std::string& from, const std::string& to) {
    ASSIGN_OR_RETURN(const std::string target, ReadLinkTarget(from));
    if (::symlink(target.c_str(), to.c_str()) != 0) return Error::FromErrno(errno, to);
    return {};
  }

  bool MakeNode(const struct stat& stat, const std::string& from, const std::string& to) {
    if (::mknod(to.c_str(), (stat.st_mode & S_IFMT) | 0600, stat.st_rdev) == 0) return true;
    Warn("not restored: " + Error::FromErrno(errno, from).message());
    return false;
  }

  Status CopyAttributes(const struct stat& stat, const std::string& from, const std::string& to) {
    CopyXattrs(from, to);
    if (::geteuid() == 0 && ::lchown(to.c_str(), stat.st_uid, stat.st_gid) != 0) {
      return Error::FromErrno(errno, "giving the copy its owner: " + to);
    }
    // After the owner: changing that clears bits of the mode.
    if (!S_ISLNK(stat.st_mode) && ::chmod(to.c_str(), stat.st_mode & 07777) != 0) {
      return Error::FromErrno(errno, "giving the copy its mode: " + to);
    }
    const std::array<timespec, 2> times{stat.st_atim, stat.st_mtim};
    if (::utimensat(AT_FDCWD, to.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
      return Error::FromErrno(errno, "giving the copy its times: " + to);
    }
    return {};
  }

  void CopyXattrs(const std::string& from, const std::string& to) {
    std::vector<char> names(64 * 1024);
    const ssize_t length = ::llistxattr(from.c_str(), names.data(), names.size());
    if (length < 0) {
      if (errno != ENOTSUP) Warn("extended attributes: " + Error::FromErrno(errno, from).message());
      return;
    }
    std::vector<char> value(64 * 1024);
    for (ssize_t at = 0; at < length;) {
      const std::string name = names.data() + at;
      at += static_cast<ssize_t>(name.size()) + 1;
      const ssize_t size = ::lgetxattr(from.c_str(), name.c_str(), value.data(), value.size());
      if (size < 0 || ::lsetxattr(to.c_str(), name.c_str(), value.data(),
                                  static_cast<std::size_t>(size), 0) != 0) {
        Warn("extended attribute " + name + ": " + Error::FromErrno(errno, from).message());
      }
    }
  }

  const std::function<void(std::uint64_t)>& progress_;
  std::vector<char> buffer_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // first copies of what has several names
  TreeCopyResult result_;
};

Status CheckDestination(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(const struct stat source, StatLink(from));
  const auto target = StatLink(to);
  if (!target.ok()) {
    return target.error().os_errno() == ENOENT ? Status() : Status(target.error());
  }
  if (S_ISDIR(target->st_mode) || S_ISDIR(source.st_mode)) {
    return Error(ErrorCode::kExists, to + " exists");
  }
  return {};
}

// A private directory next to `to`, gone with everything in it when this is.
class Workshop {
 public:
  static Result<std::unique_ptr<Workshop>> Make(const std::string& to) {
    std::string path = JoinPath(ParentOf(to), ".varve-restore-XXXXXX");
    if (::mkdtemp(path.data()) == nullptr) return Error::FromErrno(errno, "making " + path);
    return std::make_unique<Workshop>(path);
  }
  explicit Workshop(std::string path) : path_(std::move(path)) {}
  ~Workshop() {
    boost::system::error_code ignored;
    boost::filesystem::remove_all(path_, ignored);
  }
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;

  std::string piece() const { return JoinPath(path_, "copy"); }

 private:
  const std::string path_;
};

}  // namespace

Result<TreeSize> MeasureTree(const std::string& path) {
  TreeSize size;
  RETURN_IF_ERROR(Measure(path, size));
  return size;
}

Result<TreeCopyResult> CopyTree(const std::string& from, const std::string& to,
                                const std::function<void(std::uint64_t)>& progress) {
  RETURN_IF_ERROR(CheckDestination(from, to));
  ASSIGN_OR_RETURN(const auto workshop, Workshop::Make(to));
  Copier copier(progress);
  RETURN_IF_ERROR(copier.Copy(from, workshop->piece()));
  ASSIGN_OR_RETURN(const struct stat made, StatLink(workshop->piece()));
  // rename(2) refuses a directory itself unless it would replace an empty one: not even that.
  const unsigned flags = S_ISDIR(made.st_mode) ? RENAME_NOREPLACE : 0;
  if (::renameat2(AT_FDCWD, workshop->piece().c_str(), AT_FDCWD, to.c_str(), flags) != 0) {
    return Error::FromErrno(errno, "putting the copy in place: " + to);
  }
  return copier.TakeResult();
}

}  // namespace varve
