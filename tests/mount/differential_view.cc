#include "tests/mount/differential_view.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "store/base/unique_fd.h"

namespace varve {
namespace {

constexpr std::size_t kShortBytes = 48;
constexpr std::size_t kBlock = 4096;
constexpr std::size_t kMaxListedDisagreements = 8;
constexpr std::int64_t kNsInSecond = 1'000'000'000;

std::int64_t ToNs(const timespec& time) {
  return std::int64_t{time.tv_sec} * kNsInSecond + time.tv_nsec;
}

std::string DescribeTime(const timespec& time) {
  constexpr std::time_t kHour = 3600;
  const std::time_t age = std::time(nullptr) - time.tv_sec;
  if (age > -kHour && age < kHour) return "now";
  return fmt::format("{}.{:09}", time.tv_sec, time.tv_nsec);
}

std::string_view TypeName(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "dir";
    case S_IFLNK:
      return "link";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "char";
    case S_IFBLK:
      return "block";
    default:
      return "nothing known";
  }
}

// Blocks of zeros count as holes, so that it does not matter which of them are.
std::string DigestContents(int file, off_t size) {
  std::size_t digest = 0;
  std::string block(64 * kBlock, '\0');
  off_t at = ::lseek(file, 0, SEEK_DATA);
  while (at >= 0 && at < size) {
    at -= at % static_cast<off_t>(kBlock);
    const ssize_t count = ::pread(file, block.data(), block.size(), at);
    if (count < 0) return "unreadable: " + Answer(count);
    if (count == 0) break;
    const auto length = static_cast<std::size_t>(count);
    for (std::size_t offset = 0; offset < length; offset += kBlock) {
      const std::string_view part =
          std::string_view(block).substr(offset, std::min(kBlock, length - offset));
      if (part.find_first_not_of('\0') == std::string_view::npos) continue;
      const auto where = static_cast<std::size_t>(at) + offset;
      digest = digest * 1'000'003 + (std::hash<std::string_view>()(part) ^ where);
    }
    at = ::lseek(file, at + count, SEEK_DATA);
  }
  return fmt::format("digest {:016x}", digest);
}

std::string DescribeTarget(int directory, const std::string& name) {
  std::array<char, 4097> target{};
  const ssize_t length = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  if (length < 0) return "unreadable: " + Answer(length);
  return Describe({target.data(), static_cast<std::size_t>(length)});
}

// There is no lgetxattr below a directory: its path is given through /proc, as root may.
std::string DescribeXattrs(int directory, const std::string& name) {
  const std::string path =
      directory == AT_FDCWD ? name : fmt::format("/proc/self/fd/{}/{}", directory, name);
  std::array<char, 65536> list{};
  const ssize_t length = ::llistxattr(path.c_str(), list.data(), list.size());
  if (length < 0) return " xattrs " + Answer(length);
  std::map<std::string, std::string> found;
  for (const char* at = list.data(); at < list.data() + length; at += std::strlen(at) + 1) {
    std::vector<char> value(65536);
    const ssize_t got = ::lgetxattr(path.c_str(), at, value.data(), value.size());
    found[at] = got < 0 ? Answer(got) : Describe({value.data(), static_cast<std::size_t>(got)});
  }
  std::string text;
  for (const auto& [key, value] : found) text += " " + key + "=" + value;
  return text;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// What readdir says of an entry must be what stat says of it.
std::string CheckListing(const dirent& entry, const struct stat& stat) {
  std::string text;
  if (entry.d_ino != stat.st_ino) text += " listed with another inode number";
  if (entry.d_type != DT_UNKNOWN && entry.d_type != IFTODT(stat.st_mode)) {
    text += " listed with another type";
  }
  return text;
}

bool IsSame(const NodeView& one, const NodeView& two) {
  return one.inode == two.inode && one.ctime_ns == two.ctime_ns && one.mtime_ns == two.mtime_ns &&
         one.stat_text == two.stat_text;
}

std::optional<struct stat> StatOf(int directory, const std::string& name) {
  struct stat stat{};
  if (::fstatat(directory, name.c_str(), &stat, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return stat;
}

// Walks a tree, with what is known of it from an earlier view, if anything is.
class TreeWalk {
 public:
  explicit TreeWalk(const TreeView* earlier) : earlier_(earlier) {}

  TreeView Walk(int directory) {
    const bool same = Visit(directory, ".", ".");
    Below(directory, "", same);
    return std::move(view_);
  }

 private:
  // Whether the node is as it was.
  bool Visit(int directory, const std::string& name, const std::string& path) {
    const std::optional<struct stat> stat = StatOf(directory, name);
    if (stat && earlier_ != nullptr) {
      const auto before = earlier_->find(path);
      if (before != earlier_->end() && IsSame(before->second, ViewStat(*stat))) {
        view_[path] = before->second;
        return true;
      }
    }
    if (!view_.emplace(path, ViewNode(directory, name)).second) {
      view_[path].text += " listed twice";
    }
    return false;
  }

  void Below(int directory, const std::string& prefix, bool same) {
    for (const std::string& name : same ? NamesFromEarlier(prefix) : ReadNames(directory, prefix)) {
      const bool child_is_same = Visit(directory, name, prefix + name);
      const std::optional<struct stat> stat = StatOf(directory, name);
      if (!stat || !S_ISDIR(stat->st_mode)) continue;
      const UniqueFd below(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      Below(below.get(), prefix + name + "/", child_is_same);
    }
  }

  std::vector<std::string> NamesFromEarlier(const std::string& prefix) const {
    std::vector<std::string> names;
    for (auto at = earlier_->lower_bound(prefix);
         at != earlier_->end() && at->first.starts_with(prefix); ++at) {
      const std::string name = at->first.substr(prefix.size());
      if (name != "." && name.find('/') == std::string::npos) names.push_back(name);
    }
    return names;
  }

  std::vector<std::string> ReadNames(int directory, const std::string& prefix) {
    std::vector<std::string> names;
    const int listed = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDirectory> stream(listed < 0 ? nullptr : ::fdopendir(listed));
    if (stream == nullptr) {
      view_[prefix + "*"].text = "unlistable: " + Answer(-1);
      return names;
    }
    int dots = 0;
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") {
        ++dots;
        continue;
      }
      const std::optional<struct stat> stat = StatOf(directory, name);
      const std::string doubt = stat ? CheckListing(*entry, *stat) : " listed and not there";
      if (!doubt.empty()) view_[prefix + name + "*"].text = doubt;
      names.push_back(name);
    }
    if (dots != 2) view_[prefix + "*"].text = "listed without . and ..";
    return names;
  }

  const TreeView* const earlier_;
  TreeView view_;
};

}  // namespace

std::string Answer(long result) {
  if (result >= 0) return std::to_string(result);
  const char* name = ::strerrorname_np(errno);
  return name != nullptr ? name : "errno " + std::to_string(errno);
}

std::string Describe(std::string_view bytes) {
  if (bytes.size() > kShortBytes) {
    return fmt::format("{} bytes {:016x}", bytes.size(), std::hash<std::string_view>()(bytes));
  }
  std::string text = "'";
  for (const char byte : bytes) {
    const bool plain = byte >= ' ' && byte <= '~' && byte != '\\';
    text +=
        plain ? std::string(1, byte) : fmt::format("\\{:02x}", static_cast<unsigned char>(byte));
  }
  return text + "'";
}

std::string DescribeContents(int file, off_t size) {
  if (size > static_cast<off_t>(kShortBytes)) return DigestContents(file, size);
  std::array<char, kShortBytes + 1> bytes{};
  const ssize_t count = ::pread(file, bytes.data(), bytes.size(), 0);
  if (count < 0) return "unreadable: " + Answer(count);
  return Describe({bytes.data(), static_cast<std::size_t>(count)});
}

NodeView ViewStat(const struct stat& stat) {
  NodeView view;
  view.text = fmt::format("{} {:04o} nlink {} uid {} gid {}", TypeName(stat.st_mode),
                          stat.st_mode & 07777, stat.st_nlink, stat.st_uid, stat.st_gid);
  // How large a directory is, each filesystem says its own way.
  if (!S_ISDIR(stat.st_mode)) view.text += fmt::format(" size {}", stat.st_size);
  if (S_ISCHR(stat.st_mode) || S_ISBLK(stat.st_mode)) {
    view.text += fmt::format(" device {}:{}", major(stat.st_rdev), minor(stat.st_rdev));
  }
  // Looking at where a link leads moves its atime, so a look would not be told from an effect.
  if (!S_ISLNK(stat.st_mode)) view.text += " atime " + DescribeTime(stat.st_atim);
  view.text += " mtime " + DescribeTime(stat.st_mtim);
  if (DescribeTime(stat.st_ctim) != "now") view.text += " ctime " + DescribeTime(stat.st_ctim);
  view.stat_text = view.text;
  view.mtime_ns = ToNs(stat.st_mtim);
  view.ctime_ns = ToNs(stat.st_ctim);
  view.inode = stat.st_ino;
  return view;
}

NodeView ViewNode(int directory, const std::string& name) {
  const std::optional<struct stat> stat = StatOf(directory, name);
  if (!stat) {
    NodeView missing;
    missing.text = Answer(-1);
    return missing;
  }
  NodeView view = ViewStat(*stat);
  if (S_ISREG(stat->st_mode)) {
    const UniqueFd file(::openat(directory, name.c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NOATIME | O_NONBLOCK | O_CLOEXEC));
    view.text +=
        file ? " " + DescribeContents(file.get(), stat->st_size) : " unreadable: " + Answer(-1);
  }
  if (S_ISLNK(stat->st_mode)) view.text += " to " + DescribeTarget(directory, name);
  view.text += DescribeXattrs(directory, name);
  return view;
}

TreeView ViewTree(int directory) { return TreeWalk(nullptr).Walk(directory); }

TreeView ViewTreeAgain(int directory, const TreeView& earlier) {
  return TreeWalk(&earlier).Walk(directory);
}

std::string DescribeExcessOfBlocks(int varve, int ext4, const TreeView& view) {
  const auto blocks_of = [](int directory, const std::string& path) -> std::optional<blkcnt_t> {
    struct stat stat{};
    if (::fstatat(directory, path.c_str(), &stat, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    if (!S_ISREG(stat.st_mode)) return std::nullopt;
    const UniqueFd file(
        ::openat(directory, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC));
    if (!file || ::fsync(file.get()) != 0 || ::fstat(file.get(), &stat) != 0) return std::nullopt;
    return stat.st_blocks;
  };
  std::string text;
  for (const auto& [path, node] : view) {
    const auto one = blocks_of(varve, path);
    const auto two = blocks_of(ext4, path);
    if (one && two && *one > *two) {
      text += fmt::format("\n  {}: {} blocks instead of {}", path, *one, *two);
    }
  }
  return text;
}

std::string DescribeChange(const TreeView& before, const TreeView& after) {
  std::map<std::uint64_t, TreeView::const_iterator> known;  // by inode; one name of each
  for (auto at = before.begin(); at != before.end(); ++at) known.emplace(at->second.inode, at);
  std::string text;
  for (const auto& [path, node] : before) {
    if (!after.contains(path)) text += path + ": gone; ";
  }
  for (const auto& [path, node] : after) {
    const auto there = before.find(path);
    const bool stayed = there != before.end() && there->second.inode == node.inode;
    const auto origin = known.find(node.inode);
    if (!stayed && origin == known.end()) {
      text += path + ": new " + node.text + "; ";
      continue;
    }
    const NodeView& old = stayed ? there->second : origin->second->second;
    std::string change;
    if (!stayed) change += " is now what was " + origin->second->first;
    if (node.text != old.text) change += " " + node.text;
    if (node.mtime_ns != old.mtime_ns) change += " mtime moved";
    if (node.ctime_ns != old.ctime_ns) change += " ctime moved";
    if (!change.empty()) text += path + ":" + change + "; ";
  }
  return text;
}

std::string DescribeDisagreement(const TreeView& varve, const TreeView& ext4) {
  std::string text;
  std::size_t count = 0;
  const auto tell = [&](const std::string& path, const std::string& one, const std::string& two) {
    if (one == two || ++count > kMaxListedDisagreements) return;
    text += "\n  " + path + "\n    varve: " + one + "\n    ext4:  " + two;
  };
  for (const auto& [path, node] : varve) {
    const auto there = ext4.find(path);
    tell(path, node.text, there == ext4.end() ? "nothing" : there->second.text);
  }
  for (const auto& [path, node] : ext4) {
    if (!varve.contains(path)) tell(path, "nothing", node.text);
  }
  return text;
}

}  // namespace varve
