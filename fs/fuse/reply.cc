#include "fs/fuse/reply.h"

#include <algorithm>
#include <vector>

namespace varve {
namespace {

thread_local int requests_served = 0;

double Timeout(const NodeAttributes& attributes) {
  return attributes.cacheable ? kCacheableSeconds : 0.0;
}

// Is `gid` one of the supplementary groups of the process that asks? No, if it is gone.
bool IsInGroups(fuse_req_t req, gid_t gid) {
  std::vector<gid_t> groups(64);
  for (;;) {
    const int count = fuse_req_getgroups(req, static_cast<int>(groups.size()), groups.data());
    if (count <= 0) return false;
    const auto known = static_cast<std::size_t>(count);
    if (known <= groups.size()) {
      return std::find(groups.begin(), groups.begin() + count, gid) != groups.begin() + count;
    }
    groups.resize(known);
  }
}

}  // namespace

RequestScope::RequestScope() { ++requests_served; }
RequestScope::~RequestScope() { --requests_served; }
bool ServesRequest() { return requests_served > 0; }

void LogEscaped(OperationsContext& context, const char* operation, const char* what) noexcept {
  try {
    context.log(std::string(operation) + ": answered with EIO: " + what);
  } catch (...) {
    // Not even memory for a line is left; the answer matters more.
  }
}

Caller CallerOf(fuse_req_t req) {
  const fuse_ctx* context = fuse_req_ctx(req);
  Caller caller{.uid = context->uid, .gid = context->gid, .umask = context->umask};
  caller.in_group = [req](std::uint32_t gid) { return IsInGroups(req, gid); };
  return caller;
}

fuse_entry_param ToEntry(const NodeAttributes& attributes) {
  fuse_entry_param entry{};
  entry.ino = attributes.node.value;
  entry.generation = attributes.generation;
  entry.attr = attributes.stat;
  entry.attr_timeout = Timeout(attributes);
  entry.entry_timeout = Timeout(attributes);
  return entry;
}

void ReplyEntry(fuse_req_t req, const Result<NodeAttributes>& result) {
  if (!result.ok()) return ReplyError(req, result.error());
  Filesystem& filesystem = FilesystemOf(req);  // before the answer: it frees the request
  const fuse_entry_param entry = ToEntry(*result);
  if (fuse_reply_entry(req, &entry) == -ENOENT) filesystem.Forget(result->node, 1);
}

void ReplyAttributes(fuse_req_t req, const Result<NodeAttributes>& result) {
  if (!result.ok()) return ReplyError(req, result.error());
  fuse_reply_attr(req, &result->stat, Timeout(*result));
}

void ReplyStatus(fuse_req_t req, const Status& status) {
  fuse_reply_err(req, status.ok() ? 0 : ErrnoOf(status.error()));
}

}  // namespace varve
