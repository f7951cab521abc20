// What all callbacks share: finding the Filesystem, guarding against exceptions, answering.
// Included by fs/fuse only.
#pragma once

#include <fuse_lowlevel.h>

#include <exception>
#include <string>
#include <utility>

#include "fs/core/filesystem.h"
#include "fs/fuse/errno_map.h"
#include "fs/fuse/operations.h"

namespace varve {

// Varve is the only writer and tells the kernel of every change that did not come through it, so
// what is cacheable may be kept as long as the kernel likes.
inline constexpr double kCacheableSeconds = 3600.0;

inline OperationsContext& ContextOf(fuse_req_t req) {
  return *static_cast<OperationsContext*>(fuse_req_userdata(req));
}
inline Filesystem& FilesystemOf(fuse_req_t req) { return *ContextOf(req).filesystem; }

// Usable while the request is; what it answers of groups is asked of the kernel each time.
Caller CallerOf(fuse_req_t req);
// A node of the past or of `.snapshots`.
inline bool IsPast(NodeId node) { return (node.value >> 62 & 1) != 0; }

fuse_entry_param ToEntry(const NodeAttributes& attributes);

// Each answers the request, and gives back what the answer would have handed over if the kernel no
// longer wants it (the request was interrupted).
void ReplyEntry(fuse_req_t req, const Result<NodeAttributes>& result);
void ReplyAttributes(fuse_req_t req, const Result<NodeAttributes>& result);
void ReplyStatus(fuse_req_t req, const Status& status);
inline void ReplyError(fuse_req_t req, const Error& error) { fuse_reply_err(req, ErrnoOf(error)); }

// Marks the calling thread as serving a request.
class RequestScope {
 public:
  RequestScope();
  ~RequestScope();
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;
};

void LogEscaped(OperationsContext& context, const char* operation, const char* what) noexcept;

// Runs `body`, which computes first and answers with its last step. No exception gets past it into
// libfuse's C: one thrown before the answer becomes EIO and a line in the log.
template <typename Body>
void Answer(fuse_req_t req, const char* operation, Body&& body) noexcept {
  RequestScope scope;
  OperationsContext& context = ContextOf(req);
  try {
    std::forward<Body>(body)(*context.filesystem);
    return;
  } catch (const std::exception& exception) {
    LogEscaped(context, operation, exception.what());
  } catch (...) {
    LogEscaped(context, operation, "an exception of unknown type");
  }
  fuse_reply_err(req, EIO);
}

// The same for requests whose answer the kernel keeps: see RequestEpoch.
template <typename Body>
void AnswerLook(fuse_req_t req, const char* operation, Body&& body) noexcept {
  const RequestEpoch::Scope look(ContextOf(req).looks);
  Answer(req, operation, std::forward<Body>(body));
}

// The callbacks, by the file they are in. libfuse's names, so that the table reads as its manual.
namespace fuse_ops {

void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name);
void Forget(fuse_req_t req, fuse_ino_t node, std::uint64_t count);
void ForgetMulti(fuse_req_t req, std::size_t count, fuse_forget_data* forgets);
void GetAttr(fuse_req_t req, fuse_ino_t node, fuse_file_info* file);
void SetAttr(fuse_req_t req, fuse_ino_t node, struct stat* attr, int to_set, fuse_file_info* file);
void ReadLink(fuse_req_t req, fuse_ino_t node);
void MakeNode(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev);
void MakeDirectory(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode);
void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name);
void RemoveDirectory(fuse_req_t req, fuse_ino_t parent, const char* name);
void Symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name);
void Rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned int flags);
void Link(fuse_req_t req, fuse_ino_t node, fuse_ino_t new_parent, const char* new_name);
void StatFs(fuse_req_t req, fuse_ino_t node);
void SetXattr(fuse_req_t req, fuse_ino_t node, const char* name, const char* value,
              std::size_t size, int flags);
void GetXattr(fuse_req_t req, fuse_ino_t node, const char* name, std::size_t size);
void ListXattr(fuse_req_t req, fuse_ino_t node, std::size_t size);
void RemoveXattr(fuse_req_t req, fuse_ino_t node, const char* name);

void Create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file);
void CreateNameless(fuse_req_t req, fuse_ino_t parent, mode_t mode, fuse_file_info* file);
void Open(fuse_req_t req, fuse_ino_t node, fuse_file_info* file);
void Read(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset, fuse_file_info* file);
void Write(fuse_req_t req, fuse_ino_t node, const char* bytes, std::size_t size, off_t offset,
           fuse_file_info* file);
void Flush(fuse_req_t req, fuse_ino_t node, fuse_file_info* file);
void Release(fuse_req_t req, fuse_ino_t node, fuse_file_info* file);
void Fsync(fuse_req_t req, fuse_ino_t node, int data_only, fuse_file_info* file);
void Allocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
              fuse_file_info* file);
void CopyRange(fuse_req_t req, fuse_ino_t from, off_t from_offset, fuse_file_info* from_file,
               fuse_ino_t to, off_t to_offset, fuse_file_info* to_file, std::size_t length,
               int flags);
void Seek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence, fuse_file_info* file);

void OpenDirectory(fuse_req_t req, fuse_ino_t node, fuse_file_info* file);
void ReadDirectory(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset,
                   fuse_file_info* file);
void ReadDirectoryPlus(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset,
                       fuse_file_info* file);
void ReleaseDirectory(fuse_req_t req, fuse_ino_t node, fuse_file_info* file);
void FsyncDirectory(fuse_req_t req, fuse_ino_t node, int data_only, fuse_file_info* file);

}  // namespace fuse_ops

}  // namespace varve
