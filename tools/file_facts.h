// What lstat(2) tells of a file, for showing.
#pragma once

#include <sys/stat.h>

#include <string>

#include "fs/control/wire.h"
#include "store/base/result.h"

namespace varve {

struct FileFacts {
  std::string name;
  struct stat stat{};
  std::string target;  // of a symbolic link
};

Result<FileFacts> ReadFileFacts(const std::string& path, const std::string& name);
// Of a symbolic link.
Result<std::string> ReadLinkTarget(const std::string& path);

// Names if there are any, numbers otherwise.
std::string OwnerName(uid_t uid);
std::string GroupName(gid_t gid);

Json ToJson(const FileFacts& facts);

}  // namespace varve
