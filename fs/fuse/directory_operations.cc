// Callbacks about open directories.
#include <fuse_lowlevel.h>

#include <vector>

#include "fs/fuse/reply.h"

namespace varve::fuse_ops {
namespace {

// The kernel looks for a place in the listing it has cached by walking through it from the
// beginning. A directory (its size is its entries) with more than this is asked for instead.
constexpr off_t kMostEntriesCached = 10'000;

// Puts entries into `buffer` as the kernel wants them, as many as fit. Answers false for the one
// that does not.
class DirectoryBuffer {
 public:
  DirectoryBuffer(fuse_req_t req, std::size_t size) : req_(req), bytes_(size) {}

  bool AddName(const DirectoryEntry& entry) {
    const struct stat stat = StatOf(entry);
    return Took(fuse_add_direntry(req_, Free(), FreeBytes(), entry.name.c_str(), &stat,
                                  static_cast<off_t>(entry.next)));
  }

  bool AddPlus(const DirectoryEntry& entry) {
    fuse_entry_param param = ToEntry(entry.attributes);
    param.attr = StatOf(entry);
    const bool added = Took(fuse_add_direntry_plus(req_, Free(), FreeBytes(), entry.name.c_str(),
                                                   &param, static_cast<off_t>(entry.next)));
    if (added && entry.attributes.node && entry.name != "." && entry.name != "..") {
      counted_.push_back(entry.attributes.node);
    }
    return added;
  }

  const char* data() const { return bytes_.data(); }
  std::size_t used() const { return used_; }
  // Nodes the kernel now holds a reference to, if it gets the answer.
  const std::vector<NodeId>& counted() const { return counted_; }

 private:
  static struct stat StatOf(const DirectoryEntry& entry) {
    struct stat stat = entry.attributes.stat;
    if (stat.st_ino == 0) stat.st_ino = entry.attributes.node.value;
    return stat;
  }
  char* Free() { return bytes_.data() + used_; }
  std::size_t FreeBytes() const { return bytes_.size() - used_; }
  bool Took(std::size_t length) {
    if (length > FreeBytes()) return false;
    used_ += length;
    return true;
  }

  fuse_req_t req_;
  std::vector<char> bytes_;
  std::size_t used_ = 0;
  std::vector<NodeId> counted_;
};

void List(fuse_req_t req, std::size_t size, off_t offset, const fuse_file_info* file,
          varve::List list) {
  AnswerLook(req, "readdir", [&](Filesystem& filesystem) {
    DirectoryBuffer buffer(req, size);
    const Status status = filesystem.ListDirectory(
        FileHandle(file->fh), static_cast<std::uint64_t>(offset), list,
        [&](const DirectoryEntry& entry) {
          return list == varve::List::kPlus ? buffer.AddPlus(entry) : buffer.AddName(entry);
        });
    // What has been gathered before an error counts; the error comes again with the next call.
    if (!status.ok() && buffer.used() == 0) return ReplyError(req, status.error());
    if (fuse_reply_buf(req, buffer.data(), buffer.used()) == -ENOENT) {
      for (const NodeId node : buffer.counted()) filesystem.Forget(node, 1);
    }
  });
}

}  // namespace

void OpenDirectory(fuse_req_t req, fuse_ino_t node, fuse_file_info* file) {
  AnswerLook(req, "opendir", [&](Filesystem& filesystem) {
    const auto attributes = filesystem.GetAttributes(NodeId(node));
    if (!attributes.ok()) return ReplyError(req, attributes.error());
    const auto handle = filesystem.OpenDirectory(NodeId(node));
    if (!handle.ok()) return ReplyError(req, handle.error());
    file->fh = handle->value;
    // The kernel drops a cached listing when it changes the directory itself or is told to.
    const bool cached = attributes->cacheable && attributes->stat.st_size <= kMostEntriesCached;
    file->cache_readdir = cached ? 1 : 0;
    file->keep_cache = cached ? 1 : 0;
    if (fuse_reply_open(req, file) == -ENOENT) filesystem.ReleaseDirectory(*handle);
  });
}

void ReadDirectory(fuse_req_t req, fuse_ino_t /*node*/, std::size_t size, off_t offset,
                   fuse_file_info* file) {
  List(req, size, offset, file, varve::List::kNames);
}

void ReadDirectoryPlus(fuse_req_t req, fuse_ino_t /*node*/, std::size_t size, off_t offset,
                       fuse_file_info* file) {
  List(req, size, offset, file, varve::List::kPlus);
}

void ReleaseDirectory(fuse_req_t req, fuse_ino_t /*node*/, fuse_file_info* file) {
  Answer(req, "releasedir", [&](Filesystem& filesystem) {
    filesystem.ReleaseDirectory(FileHandle(file->fh));
    fuse_reply_err(req, 0);
  });
}

void FsyncDirectory(fuse_req_t req, fuse_ino_t node, int /*data_only*/, fuse_file_info* /*file*/) {
  Answer(req, "fsyncdir",
         [&](Filesystem& filesystem) { ReplyStatus(req, filesystem.SyncDirectory(NodeId(node))); });
}

}  // namespace varve::fuse_ops
