#include "store/disk/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <mutex>
#include <optional>
#include <set>

#include "store/base/unique_fd.h"
#include "store/disk/disk_label.h"
#include "store/disk/posix_file.h"

namespace varve {
namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;

// An object name in the words of the filesystem: a file, perhaps in a directory.
struct SplitName {
  std::string group;  // empty for the root
  std::string file;
};

SplitName Split(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos) return {"", std::string(name)};
  return {std::string(name.substr(0, slash)), std::string(name.substr(slash + 1))};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

enum class EntryKind { kFile, kDirectory, kOther };

EntryKind KindOf(int directory_fd, const dirent& entry) {
  if (entry.d_type == DT_REG) return EntryKind::kFile;
  if (entry.d_type == DT_DIR) return EntryKind::kDirectory;
  if (entry.d_type != DT_UNKNOWN) return EntryKind::kOther;
  struct stat info{};
  if (::fstatat(directory_fd, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return EntryKind::kOther;  // removed since
  }
  if (S_ISREG(info.st_mode)) return EntryKind::kFile;
  return S_ISDIR(info.st_mode) ? EntryKind::kDirectory : EntryKind::kOther;
}

// The entries of one directory that could be (parts of) object names; others, "lost+found" for one,
// are not Varve's.
struct DirectoryEntries {
  std::vector<std::string> files;
  std::vector<std::string> directories;
};

Result<DirectoryEntries> ReadDirectory(int parent_fd, const std::string& name,
                                       const std::string& description) {
  UniqueFd fd(::openat(parent_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return Error::FromErrno(errno, "opening " + description);
  std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd.get()));
  if (directory == nullptr) return Error::FromErrno(errno, "listing " + description);
  const int directory_fd = fd.Release();  // now closed with `directory`
  DirectoryEntries entries;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    if (!CheckObjectName(entry->d_name).ok()) continue;
    const EntryKind kind = KindOf(directory_fd, *entry);
    if (kind == EntryKind::kFile) entries.files.emplace_back(entry->d_name);
    if (kind == EntryKind::kDirectory) entries.directories.emplace_back(entry->d_name);
  }
  if (errno != 0) return Error::FromErrno(errno, "listing " + description);
  return entries;
}

Error Lost(int os_errno, const std::string& what) {
  return Error(ErrorCode::kDiskLost, Error::FromErrno(os_errno, what).message(), os_errno);
}

class PosixDisk : public Disk {
 public:
  PosixDisk(UniqueFd root, std::string path, DiskAccess access, const struct stat& identity)
      : root_(std::move(root)), path_(std::move(path)), access_(access), identity_(identity) {
    struct stat label{};
    has_label_ =
        ::fstatat(root_.get(), std::string(kLabelObject).c_str(), &label, AT_SYMLINK_NOFOLLOW) == 0;
  }

  Result<std::unique_ptr<DiskFile>> Open(std::string_view name, OpenMode mode) override;
  Status Remove(std::string_view name) override;
  Status Rename(std::string_view from, std::string_view to) override;
  Result<std::vector<std::string>> List(std::string_view prefix) override;
  Status SyncNames() override;
  Result<DiskSpace> Space() override;
  std::string Describe() const override { return path_; }
  Status Probe() override;

  // What an earlier process did to names may not be durable yet: the first SyncNames takes all
  // groups.
  Status MarkAllGroupsTouched();

 private:
  enum class GroupMode { kExisting, kCreate };

  std::string PathOf(std::string_view name) const { return path_ + "/" + std::string(name); }
  Status CheckWritable() const;
  // The directory of a group, the root's when `group` is empty. Errors name `wanted`, what it is
  // opened for.
  Result<UniqueFd> OpenGroup(const std::string& group, GroupMode mode, std::string_view wanted);
  void Touch(const std::string& group);
  Status SyncGroup(const std::string& group);

  const UniqueFd root_;
  const std::string path_;
  const DiskAccess access_;
  const struct stat identity_;
  // Whether losing the label would mean that the disk has been emptied behind our back.
  std::atomic<bool> has_label_{false};

  std::mutex touched_mutex_;
  std::set<std::string> touched_;  // groups with names not yet durable; "" is the root

  // Held over a whole SyncNames: a second caller must not return while the first is still syncing
  // the names of both. Taken before touched_mutex_.
  std::mutex sync_mutex_;
  std::optional<Error> sync_error_;  // sticky; guarded by sync_mutex_
};

Status PosixDisk::CheckWritable() const {
  if (access_ == DiskAccess::kReadWrite) return {};
  return Error(ErrorCode::kReadOnly, path_ + " is open for reading only");
}

void PosixDisk::Touch(const std::string& group) {
  std::lock_guard lock(touched_mutex_);
  touched_.insert(group);
}

Status PosixDisk::MarkAllGroupsTouched() {
  ASSIGN_OR_RETURN(auto entries, ReadDirectory(root_.get(), ".", path_));
  std::lock_guard lock(touched_mutex_);
  touched_.insert("");
  touched_.insert(entries.directories.begin(), entries.directories.end());
  return {};
}

Result<UniqueFd> PosixDisk::OpenGroup(const std::string& group, GroupMode mode,
                                      std::string_view wanted) {
  const std::string name = group.empty() ? "." : group;
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(::openat(root_.get(), name.c_str(), kFlags));
  if (!fd && errno == ENOENT && mode == GroupMode::kCreate) {
    if (::mkdirat(root_.get(), name.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
      return Error::FromErrno(errno, "creating " + PathOf(group));
    }
    Touch("");
    fd = UniqueFd(::openat(root_.get(), name.c_str(), kFlags));
  }
  if (!fd) return Error::FromErrno(errno, "opening " + PathOf(wanted));
  return fd;
}

Result<std::unique_ptr<DiskFile>> PosixDisk::Open(std::string_view name, OpenMode mode) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const bool creates = Creates(mode);
  if (!ForReading(mode)) RETURN_IF_ERROR(CheckWritable());
  const SplitName split = Split(name);
  ASSIGN_OR_RETURN(
      UniqueFd group,
      OpenGroup(split.group, creates ? GroupMode::kCreate : GroupMode::kExisting, name));
  // O_NONBLOCK: a FIFO put there by someone must not hang the open. It does nothing to files.
  int flags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  flags |= ForReading(mode) ? O_RDONLY : O_RDWR;
  if (creates) flags |= O_CREAT | (MustBeNew(mode) ? O_EXCL : 0);
  UniqueFd fd(::openat(group.get(), split.file.c_str(), flags, kFileMode));
  if (!fd) return Error::FromErrno(errno, "opening " + PathOf(name));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return Error::FromErrno(errno, "fstat of " + PathOf(name));
  if (!S_ISREG(info.st_mode)) {
    return Error(ErrorCode::kCorrupt, PathOf(name) + " is not a regular file");
  }
  // After the object has appeared: touched before, another thread's SyncNames could take the mark
  // and miss the object.
  if (creates) Touch(split.group);
  if (creates && name == kLabelObject) has_label_ = true;
  UniqueFd direct;
  if (IsStream(mode)) {
    // Not every filesystem can; then everything goes the ordinary way.
    const int direction = ForReading(mode) ? O_RDONLY : O_WRONLY;
    direct = UniqueFd(::openat(group.get(), split.file.c_str(),
                               direction | O_DIRECT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    // Were it another file by now, Sync would not reach what is written to it.
    struct stat same{};
    if (direct && (::fstat(direct.get(), &same) != 0 || same.st_dev != info.st_dev ||
                   same.st_ino != info.st_ino)) {
      direct.Reset();
    }
  }
  return std::make_unique<PosixFile>(
      std::move(fd), std::move(direct), PathOf(name),
      ForReading(mode) ? FileAccess::kReadOnly : FileAccess::kReadWrite);
}

Status PosixDisk::Remove(std::string_view name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  RETURN_IF_ERROR(CheckWritable());
  const SplitName split = Split(name);
  ASSIGN_OR_RETURN(UniqueFd group, OpenGroup(split.group, GroupMode::kExisting, name));
  const bool is_label = name == kLabelObject;
  const bool had_label = has_label_;
  if (is_label) has_label_ = false;  // before it goes, lest a Probe in between cry wolf
  if (::unlinkat(group.get(), split.file.c_str(), 0) != 0) {
    if (is_label) has_label_ = had_label;
    return Error::FromErrno(errno, "removing " + PathOf(name));
  }
  Touch(split.group);
  return {};
}

Status PosixDisk::Rename(std::string_view from, std::string_view to) {
  RETURN_IF_ERROR(CheckObjectName(from));
  RETURN_IF_ERROR(CheckObjectName(to));
  RETURN_IF_ERROR(CheckWritable());
  const SplitName source = Split(from);
  const SplitName target = Split(to);
  ASSIGN_OR_RETURN(UniqueFd source_group, OpenGroup(source.group, GroupMode::kExisting, from));
  ASSIGN_OR_RETURN(UniqueFd target_group, OpenGroup(target.group, GroupMode::kCreate, to));
  if (::renameat(source_group.get(), source.file.c_str(), target_group.get(),
                 target.file.c_str()) != 0) {
    return Error::FromErrno(errno, "renaming " + PathOf(from) + " to " + std::string(to));
  }
  Touch(source.group);
  Touch(target.group);
  if (to == kLabelObject) has_label_ = true;
  if (from == kLabelObject && to != kLabelObject) has_label_ = false;
  return {};
}

Result<std::vector<std::string>> PosixDisk::List(std::string_view prefix) {
  std::vector<std::string> names;
  auto add = [&](std::string name) {
    if (name.starts_with(prefix) && CheckObjectName(name).ok()) names.push_back(std::move(name));
  };
  ASSIGN_OR_RETURN(auto root, ReadDirectory(root_.get(), ".", path_));
  for (const std::string& file : root.files) add(file);
  for (const std::string& group : root.directories) {
    // Only groups whose names can start with the prefix are read.
    const std::string group_prefix = group + "/";
    const std::size_t common = std::min(group_prefix.size(), prefix.size());
    if (group_prefix.compare(0, common, prefix, 0, common) != 0) continue;
    ASSIGN_OR_RETURN(auto entries, ReadDirectory(root_.get(), group, PathOf(group)));
    for (const std::string& file : entries.files) add(group_prefix + file);
  }
  std::ranges::sort(names);
  return names;
}

Status PosixDisk::SyncGroup(const std::string& group) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenGroup(group, GroupMode::kExisting, group));
  if (::fsync(fd.get()) != 0) return Error::FromErrno(errno, "fsync of " + PathOf(group));
  return {};
}

Status PosixDisk::SyncNames() {
  if (access_ == DiskAccess::kReadOnly) return {};  // nothing was changed through this
  std::lock_guard syncing(sync_mutex_);
  if (sync_error_) return *sync_error_;
  std::set<std::string> groups;
  {
    std::lock_guard lock(touched_mutex_);
    groups.swap(touched_);
  }
  // Groups first, then the root that names them. What failed once is never retried into success.
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
    if (Status synced = SyncGroup(*group); !synced.ok()) {
      sync_error_ = synced.error();
      return synced;
    }
  }
  return {};
}

Result<DiskSpace> PosixDisk::Space() {
  struct statvfs info{};
  if (::fstatvfs(root_.get(), &info) != 0) return Error::FromErrno(errno, "statvfs of " + path_);
  DiskSpace space;
  space.total_bytes = static_cast<std::uint64_t>(info.f_blocks) * info.f_frsize;
  space.free_bytes = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  space.device = static_cast<std::uint64_t>(identity_.st_dev);
  return space;
}

Status PosixDisk::Probe() {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) return Lost(errno, path_ + " has gone away");
  if (now.st_dev != identity_.st_dev || now.st_ino != identity_.st_ino) {
    return Error(ErrorCode::kDiskLost, path_ + " is no longer the directory that was opened");
  }
  struct stat root{};
  if (::fstat(root_.get(), &root) != 0) return Error::FromErrno(errno, "fstat of " + path_);
  if (root.st_nlink == 0) return Error(ErrorCode::kDiskLost, path_ + " has been removed");
  struct stat label{};
  if (has_label_ &&
      ::fstatat(root_.get(), std::string(kLabelObject).c_str(), &label, AT_SYMLINK_NOFOLLOW) != 0) {
    return Lost(errno, "the label of " + path_ + " has gone away");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Disk>> OpenPosixDisk(const std::string& path, DiskAccess access) {
  UniqueFd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Error::FromErrno(errno, path);
  // flock belongs to the open file description: it ends with this process, however it ends, and
  // keeps out a second open in this process too.
  const int operation = access == DiskAccess::kReadWrite ? LOCK_EX : LOCK_SH;
  while (::flock(root.get(), operation | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return Error(ErrorCode::kBusy, path + " is in use: mounted, or under repair", EBUSY);
    }
    if (errno != EINTR) return Error::FromErrno(errno, "locking " + path);
  }
  struct stat identity{};
  if (::fstat(root.get(), &identity) != 0) return Error::FromErrno(errno, "fstat of " + path);
  boost::system::error_code failed;
  const auto canonical = boost::filesystem::canonical(path, failed);
  if (failed) return Error::FromErrno(failed.value(), path);
  auto disk = std::make_unique<PosixDisk>(std::move(root), canonical.string(), access, identity);
  if (access == DiskAccess::kReadWrite) RETURN_IF_ERROR(disk->MarkAllGroupsTouched());
  return std::unique_ptr<Disk>(std::move(disk));
}

}  // namespace varve
