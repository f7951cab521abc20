// Extended attributes of now and then.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fs/core/core.h"

namespace varve {

class Xattrs {
 public:
  explicit Xattrs(Core& core) : core_(core) {}

  Result<std::string> Get(InodeId inode, std::string_view name);
  Result<std::vector<std::string>> ListNames(InodeId inode, const Caller& caller);
  Status Set(InodeId inode, std::string_view name, std::string_view value, XattrMode mode);
  // An access control list: an empty one is none; an access list sets the mode's permissions too,
  // and is not kept if it says no more than they do.
  Status SetAcl(InodeId inode, std::string_view name, std::string_view value, const Caller& caller);
  Status Remove(InodeId inode, std::string_view name);

  // As of `at`; security.capability does not exist there.
  Result<std::string> GetThen(InodeId inode, Lsn at, std::string_view name);
  Result<std::vector<std::string>> ListNamesThen(InodeId inode, Lsn at, const Caller& caller);

 private:
  // Commits `change` with the inode's attributes and their new ctime, and what is dirty of it.
  Status Commit(InodeId inode, InodeAttributes attributes, Change change);
  Core& core_;
};

// kNotFound with os_errno ENODATA: the attribute does not exist.
Error NoSuchXattr(std::string_view name);

}  // namespace varve
