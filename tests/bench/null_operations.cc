#include "tests/bench/null_operations.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include "tests/bench/null_tree.h"

namespace varve {
namespace {

constexpr double kCacheableSeconds = 3600.0;
constexpr unsigned kMaxTransferBytes = 1024 * 1024;
constexpr unsigned kMaxBackground = 64;

NullTree& TreeOf(fuse_req_t req) { return *static_cast<NullTree*>(fuse_req_userdata(req)); }

fuse_entry_param ToEntry(const NullNode& node) {
  fuse_entry_param entry{};
  entry.ino = node.stat.st_ino;
  entry.attr = node.stat;
  entry.attr_timeout = kCacheableSeconds;
  entry.entry_timeout = kCacheableSeconds;
  return entry;
}

// Takes so many references of the kernel's away.
void Drop(NullTree& tree, fuse_ino_t node, std::uint64_t count) {
  const std::lock_guard lock(tree.mutex);
  tree.Forget(node, count);
}

// Answers are given without the lock: the kernel may come back with the next question at once.
void ReplyEntry(fuse_req_t req, const fuse_entry_param& entry) {
  NullTree& tree = TreeOf(req);
  if (fuse_reply_entry(req, &entry) == -ENOENT) Drop(tree, entry.ino, 1);
}

void Init(void* /*userdata*/, fuse_conn_info* connection) {
  constexpr unsigned kWishes = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_ATOMIC_O_TRUNC |
                               FUSE_CAP_DONT_MASK | FUSE_CAP_PARALLEL_DIROPS |
                               FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                               FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_POSIX_ACL;
  connection->want = kWishes & connection->capable;
  connection->max_write = kMaxTransferBytes;
  connection->max_readahead = std::min(connection->max_readahead, kNullReadaheadBytes);
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kMaxBackground * 3 / 4;
  connection->time_gran = 1;
}

void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  NullTree& tree = TreeOf(req);
  fuse_entry_param entry{};
  entry.entry_timeout = kCacheableSeconds;  // that there is none is kept as well
  {
    const std::lock_guard lock(tree.mutex);
    if (NullNode* node = tree.Find(tree.At(parent), name); node != nullptr) {
      ++node->known;
      entry = ToEntry(*node);
    }
  }
  if (entry.ino != 0) return ReplyEntry(req, entry);
  fuse_reply_entry(req, &entry);
}

void Forget(fuse_req_t req, fuse_ino_t node, std::uint64_t count) {
  Drop(TreeOf(req), node, count);
  fuse_reply_none(req);
}

void ForgetMulti(fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
  for (std::size_t i = 0; i < count; ++i) Drop(TreeOf(req), forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

void GetAttr(fuse_req_t req, fuse_ino_t node, fuse_file_info* /*file*/) {
  NullTree& tree = TreeOf(req);
  struct stat stat{};
  {
    const std::lock_guard lock(tree.mutex);
    stat = tree.At(node).stat;
  }
  fuse_reply_attr(req, &stat, kCacheableSeconds);
}

void Resize(struct stat& stat, off_t size) {
  stat.st_size = size;
  stat.st_blocks = (size + 511) / 512;
  stat.st_mtim = stat.st_ctim = NullNow();
}

void SetAttr(fuse_req_t req, fuse_ino_t node, struct stat* attr, int to_set,
             fuse_file_info* /*file*/) {
  NullTree& tree = TreeOf(req);
  struct stat stat{};
  {
    const std::lock_guard lock(tree.mutex);
    struct stat& now = tree.At(node).stat;
    now.st_ctim = NullNow();
    if (to_set & FUSE_SET_ATTR_MODE) now.st_mode = (now.st_mode & S_IFMT) | (attr->st_mode & 07777);
    if (to_set & FUSE_SET_ATTR_UID) now.st_uid = attr->st_uid;
    if (to_set & FUSE_SET_ATTR_GID) now.st_gid = attr->st_gid;
    if (to_set & FUSE_SET_ATTR_SIZE) Resize(now, attr->st_size);
    if (to_set & FUSE_SET_ATTR_ATIME) now.st_atim = attr->st_atim;
    if (to_set & FUSE_SET_ATTR_MTIME) now.st_mtim = attr->st_mtim;
    if (to_set & FUSE_SET_ATTR_ATIME_NOW) now.st_atim = NullNow();
    if (to_set & FUSE_SET_ATTR_MTIME_NOW) now.st_mtim = NullNow();
    stat = now;
  }
  fuse_reply_attr(req, &stat, kCacheableSeconds);
}

// A new node under a name that is free; the number of the error otherwise.
int MakeNamed(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
              fuse_entry_param& entry, const std::string& target = {}) {
  NullTree& tree = TreeOf(req);
  const std::lock_guard lock(tree.mutex);
  NullNode& directory = tree.At(parent);
  if (directory.stat.st_nlink == 0) return ENOENT;
  if (directory.names.contains(name)) return EEXIST;
  const fuse_ctx* caller = fuse_req_ctx(req);
  struct stat attributes{};
  attributes.st_mode = mode & ~caller->umask;
  attributes.st_uid = caller->uid;
  attributes.st_gid = caller->gid;
  attributes.st_size = static_cast<off_t>(target.size());
  NullNode& node = tree.Make(attributes);
  node.target = target;
  tree.AddName(directory, name, node);
  ++node.known;
  entry = ToEntry(node);
  return 0;
}

void MakeDirectory(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  fuse_entry_param entry{};
  const int failed = MakeNamed(req, parent, name, S_IFDIR | (mode & 07777), entry);
  if (failed != 0) {
    fuse_reply_err(req, failed);
  } else {
    ReplyEntry(req, entry);
  }
}

void Symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  fuse_entry_param entry{};
  const int failed = MakeNamed(req, parent, name, S_IFLNK | 0777, entry, target);
  if (failed != 0) {
    fuse_reply_err(req, failed);
  } else {
    ReplyEntry(req, entry);
  }
}

void ReadLink(fuse_req_t req, fuse_ino_t node) {
  NullTree& tree = TreeOf(req);
  std::string target;
  {
    const std::lock_guard lock(tree.mutex);
    target = tree.At(node).target;
  }
  fuse_reply_readlink(req, target.c_str());
}

// As Varve has it: what is opened for writing only passes the kernel's cache by.
void ChooseCache(fuse_file_info* file) {
  file->keep_cache = 1;
  file->direct_io = (file->flags & O_ACCMODE) == O_WRONLY ? 1 : 0;
}

void Create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* file) {
  NullTree& tree = TreeOf(req);
  fuse_entry_param entry{};
  const int failed = MakeNamed(req, parent, name, S_IFREG | (mode & 07777), entry);
  if (failed != 0) {
    fuse_reply_err(req, failed);
    return;
  }
  ChooseCache(file);
  if (fuse_reply_create(req, &entry, file) == -ENOENT) Drop(tree, entry.ino, 1);
}

void Open(fuse_req_t req, fuse_ino_t node, fuse_file_info* file) {
  if (file->flags & O_TRUNC) {
    NullTree& tree = TreeOf(req);
    const std::lock_guard lock(tree.mutex);
    Resize(tree.At(node).stat, 0);
  }
  ChooseCache(file);
  fuse_reply_open(req, file);
}

void Read(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset,
          fuse_file_info* /*file*/) {
  static const std::vector<char> zeros(kMaxTransferBytes);
  NullTree& tree = TreeOf(req);
  off_t left = 0;
  {
    const std::lock_guard lock(tree.mutex);
    left = tree.At(node).stat.st_size - offset;
  }
  const auto there = static_cast<std::size_t>(std::max<off_t>(left, 0));
  fuse_reply_buf(req, zeros.data(), std::min({size, there, zeros.size()}));
}

void Write(fuse_req_t req, fuse_ino_t node, const char* /*bytes*/, std::size_t size, off_t offset,
           fuse_file_info* /*file*/) {
  NullTree& tree = TreeOf(req);
  {
    const std::lock_guard lock(tree.mutex);
    struct stat& stat = tree.At(node).stat;
    Resize(stat, std::max(stat.st_size, offset + static_cast<off_t>(size)));
  }
  fuse_reply_write(req, size);
}

void Flush(fuse_req_t req, fuse_ino_t /*node*/, fuse_file_info* /*file*/) {
  fuse_reply_err(req, 0);
}
void Fsync(fuse_req_t req, fuse_ino_t /*node*/, int /*data_only*/, fuse_file_info* /*file*/) {
  fuse_reply_err(req, 0);
}

enum class What { kFile, kDirectory };

// The number of the error that keeps the node from losing its name; 0 if nothing does.
int WhyNotRemove(const NullNode* node, What what) {
  if (node == nullptr) return ENOENT;
  const bool is_directory = S_ISDIR(node->stat.st_mode);
  if (what == What::kFile) return is_directory ? EISDIR : 0;
  if (!is_directory) return ENOTDIR;
  return node->names.empty() ? 0 : ENOTEMPTY;
}

void Remove(fuse_req_t req, fuse_ino_t parent, const char* name, What what) {
  NullTree& tree = TreeOf(req);
  int failed = 0;
  {
    const std::lock_guard lock(tree.mutex);
    NullNode& directory = tree.At(parent);
    NullNode* node = tree.Find(directory, name);
    failed = WhyNotRemove(node, what);
    if (failed == 0) tree.Unlink(directory, name, *node);
  }
  fuse_reply_err(req, failed);
}
void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Remove(req, parent, name, What::kFile);
}
void RemoveDirectory(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Remove(req, parent, name, What::kDirectory);
}

// The kernel sees to it that no directory is moved into itself.
int RenameLocked(NullTree& tree, NullNode& from, const char* name, NullNode& to,
                 const char* new_name, unsigned flags) {
  if ((flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0) return EINVAL;
  NullNode* node = tree.Find(from, name);
  if (node == nullptr || to.stat.st_nlink == 0) return ENOENT;
  NullNode* target = tree.Find(to, new_name);
  if (target == node) return 0;
  if (target != nullptr) {
    if ((flags & RENAME_NOREPLACE) != 0) return EEXIST;
    const What what = S_ISDIR(node->stat.st_mode) ? What::kDirectory : What::kFile;
    if (const int failed = WhyNotRemove(target, what); failed != 0) return failed;
    tree.Unlink(to, new_name, *target);
  }
  tree.RemoveName(from, name);
  tree.AddName(to, new_name, *node);
  node->stat.st_ctim = NullNow();
  return 0;
}

void Rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  NullTree& tree = TreeOf(req);
  int failed = 0;
  {
    const std::lock_guard lock(tree.mutex);
    failed = RenameLocked(tree, tree.At(parent), name, tree.At(new_parent), new_name, flags);
  }
  fuse_reply_err(req, failed);
}

void OpenDirectory(fuse_req_t req, fuse_ino_t /*node*/, fuse_file_info* file) {
  file->cache_readdir = 1;
  file->keep_cache = 1;
  fuse_reply_open(req, file);
}

enum class List { kNames, kPlus };

// A reply to readdir, entry by entry until it is full.
class Listing {
 public:
  Listing(fuse_req_t req, std::size_t size, List list) : req_(req), list_(list), bytes_(size) {}

  // `count` says that the kernel will hold a reference to the node. False when it does not fit.
  bool Add(const std::string& name, NullNode& node, off_t next, bool count) {
    std::size_t length = 0;
    char* const free = bytes_.data() + used_;
    if (list_ == List::kPlus) {
      const fuse_entry_param entry = ToEntry(node);
      length =
          fuse_add_direntry_plus(req_, free, bytes_.size() - used_, name.c_str(), &entry, next);
    } else {
      length = fuse_add_direntry(req_, free, bytes_.size() - used_, name.c_str(), &node.stat, next);
    }
    if (length > bytes_.size() - used_) return false;
    used_ += length;
    if (count && list_ == List::kPlus) {
      ++node.known;
      counted_.push_back(node.stat.st_ino);
    }
    return true;
  }

  void Reply() {
    NullTree& tree = TreeOf(req_);
    if (fuse_reply_buf(req_, bytes_.data(), used_) != -ENOENT) return;
    for (const fuse_ino_t node : counted_) Drop(tree, node, 1);
  }

 private:
  fuse_req_t req_;
  List list_;
  std::vector<char> bytes_;
  std::size_t used_ = 0;
  std::vector<fuse_ino_t> counted_;
};

void FillListing(NullTree& tree, NullNode& directory, off_t offset, Listing& listing) {
  if (offset < 1 && !listing.Add(".", directory, 1, false)) return;
  if (offset < 2 && !listing.Add("..", tree.Above(directory), 2, false)) return;
  for (auto it = directory.listing.upper_bound(offset); it != directory.listing.end(); ++it) {
    if (!listing.Add(it->second, *tree.Find(directory, it->second), it->first, true)) return;
  }
}

void ListDirectory(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset, List list) {
  NullTree& tree = TreeOf(req);
  Listing listing(req, size, list);
  {
    const std::lock_guard lock(tree.mutex);
    FillListing(tree, tree.At(node), offset, listing);
  }
  listing.Reply();
}
void ReadDirectory(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset,
                   fuse_file_info* /*file*/) {
  ListDirectory(req, node, size, offset, List::kNames);
}
void ReadDirectoryPlus(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset,
                       fuse_file_info* /*file*/) {
  ListDirectory(req, node, size, offset, List::kPlus);
}

void StatFs(fuse_req_t req, fuse_ino_t /*node*/) {
  struct statvfs space{};
  space.f_bsize = space.f_frsize = 4096;
  space.f_blocks = space.f_bfree = space.f_bavail = 1ULL << 30;
  space.f_files = space.f_ffree = space.f_favail = 1ULL << 30;
  space.f_namemax = 255;
  fuse_reply_statfs(req, &space);
}

}  // namespace

fuse_lowlevel_ops NullOperations() {
  fuse_lowlevel_ops ops{};
  ops.init = Init;
  ops.lookup = Lookup;
  ops.forget = Forget;
  ops.forget_multi = ForgetMulti;
  ops.getattr = GetAttr;
  ops.setattr = SetAttr;
  ops.mkdir = MakeDirectory;
  ops.symlink = Symlink;
  ops.readlink = ReadLink;
  ops.unlink = Unlink;
  ops.rmdir = RemoveDirectory;
  ops.rename = Rename;
  ops.statfs = StatFs;
  ops.create = Create;
  ops.open = Open;
  ops.read = Read;
  ops.write = Write;
  ops.flush = Flush;
  ops.release = Flush;
  ops.fsync = Fsync;
  ops.opendir = OpenDirectory;
  ops.readdir = ReadDirectory;
  ops.readdirplus = ReadDirectoryPlus;
  ops.releasedir = Flush;
  ops.fsyncdir = Fsync;
  return ops;
}

}  // namespace varve
