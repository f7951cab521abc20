#include "tools/file_facts.h"

#include <grp.h>
#include <pwd.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>

#include "tools/text.h"

namespace varve {

Result<std::string> ReadLinkTarget(const std::string& path) {
  std::array<char, PATH_MAX + 1> buffer{};
  const ssize_t length = ::readlink(path.c_str(), buffer.data(), buffer.size());
  if (length < 0) return Error::FromErrno(errno, path);
  return std::string(buffer.data(), static_cast<std::size_t>(length));
}

Result<FileFacts> ReadFileFacts(const std::string& path, const std::string& name) {
  FileFacts facts;
  facts.name = name;
  if (::lstat(path.c_str(), &facts.stat) != 0) return Error::FromErrno(errno, path);
  if (S_ISLNK(facts.stat.st_mode)) {
    ASSIGN_OR_RETURN(facts.target, ReadLinkTarget(path));
  }
  return facts;
}

std::string OwnerName(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return entry != nullptr ? entry->pw_name : std::to_string(uid);
}

std::string GroupName(gid_t gid) {
  const group* entry = ::getgrgid(gid);
  return entry != nullptr ? entry->gr_name : std::to_string(gid);
}

Json ToJson(const FileFacts& facts) {
  std::array<char, 16> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", facts.stat.st_mode & 07777u);
  Json json = {{"name", facts.name},
               {"type", TypeName(facts.stat.st_mode)},
               {"mode", mode.data()},
               {"links", facts.stat.st_nlink},
               {"uid", facts.stat.st_uid},
               {"gid", facts.stat.st_gid},
               {"size", facts.stat.st_size},
               {"modified", FormatTimespec(facts.stat.st_mtim)},
               {"changed", FormatTimespec(facts.stat.st_ctim)},
               {"accessed", FormatTimespec(facts.stat.st_atim)}};
  if (S_ISLNK(facts.stat.st_mode)) json["target"] = facts.target;
  if (S_ISCHR(facts.stat.st_mode) || S_ISBLK(facts.stat.st_mode)) {
    json["device"] = {gnu_dev_major(facts.stat.st_rdev), gnu_dev_minor(facts.stat.st_rdev)};
  }
  return json;
}

}  // namespace varve
