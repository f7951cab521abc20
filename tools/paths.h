// Names of files, as the command line is given them.
#pragma once

#include <string>
#include <string_view>

#include "store/base/result.h"

namespace varve {

// As realpath(3), with the error naming the path.
Result<std::string> CanonicalPath(const std::string& path);
// Absolute, its directory canonical, its last component as it is: what lstat(2) would look at.
// The directory must exist.
Result<std::string> CanonicalDirectoryOf(const std::string& path);

// True if `path` is `directory` or below it; both canonical.
bool IsWithin(const std::string& path, const std::string& directory);
// "/a" + "b" = "/a/b", "/" + "b" = "/b", "/a" + "" = "/a".
std::string JoinPath(std::string_view directory, std::string_view name);
// "/a/b" -> "/a", "/a" -> "/".
std::string ParentOf(std::string_view path);
// "/a/b" -> "b".
std::string BaseNameOf(std::string_view path);

// A path of which only the beginning may exist today.
struct PartialPath {
  std::string ancestor;  // canonical: the longest part that is a directory today
  std::string rest;      // what follows, without a slash in front; empty if all of it is there
  std::string full() const { return JoinPath(ancestor, rest); }
};
// The last component is not followed if it is a symbolic link. kInvalidArgument if `rest` would
// contain "..", kPermission if a directory on the way cannot be looked into.
Result<PartialPath> SplitAtExisting(const std::string& path);

}  // namespace varve
