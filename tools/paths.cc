#include "tools/paths.h"

#include <sys/stat.h>

#include <boost/filesystem.hpp>
#include <cerrno>

namespace varve {
namespace {

namespace bfs = boost::filesystem;

// Without "//", "/./" and a slash at the end, which changes nothing but what a final link means.
std::string Tidy(const std::string& path) {
  const std::string absolute = bfs::absolute(path).string();
  std::string tidy;
  std::size_t at = 0;
  while (at < absolute.size()) {
    const std::size_t slash = std::min(absolute.find('/', at), absolute.size());
    const std::string part = absolute.substr(at, slash - at);
    if (!part.empty() && part != ".") tidy += "/" + part;
    at = slash + 1;
  }
  return tidy.empty() ? "/" : tidy;
}

bool IsDirectoryItself(const std::string& path) {
  struct stat stat{};
  return ::lstat(path.c_str(), &stat) == 0 && S_ISDIR(stat.st_mode);
}

bool HasDotDot(std::string_view path) {
  return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string_view::npos;
}

}  // namespace

Result<std::string> CanonicalPath(const std::string& path) {
  boost::system::error_code error;
  const bfs::path canonical = bfs::canonical(path, error);
  if (error) return Error::FromErrno(error.value(), path);
  return canonical.string();
}

Result<std::string> CanonicalDirectoryOf(const std::string& path) {
  if (path.empty()) return Error(ErrorCode::kInvalidArgument, "an empty path");
  const std::string tidy = Tidy(path);
  const std::string name = BaseNameOf(tidy);
  if (name.empty() || name == "..") return CanonicalPath(tidy);
  ASSIGN_OR_RETURN(const std::string directory, CanonicalPath(ParentOf(tidy)));
  return JoinPath(directory, name);
}

bool IsWithin(const std::string& path, const std::string& directory) {
  if (directory == "/") return true;
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string joined(directory);
  if (name.empty()) return joined;
  if (!joined.ends_with('/')) joined += '/';
  joined += name;
  return joined;
}

std::string ParentOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return "/";
  return std::string(path.substr(0, slash));
}

std::string BaseNameOf(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

Result<PartialPath> SplitAtExisting(const std::string& path) {
  if (path.empty()) return Error(ErrorCode::kInvalidArgument, "an empty path");
  const std::string tidy = Tidy(path);
  PartialPath partial;
  std::string prefix = tidy;
  // The last component counts as a directory only if it is one itself, not through a link.
  if (!IsDirectoryItself(prefix)) {
    partial.rest = BaseNameOf(prefix);
    prefix = ParentOf(prefix);
  }
  while (true) {
    boost::system::error_code error;
    const bfs::path canonical = bfs::canonical(prefix, error);
    if (!error && bfs::is_directory(canonical, error)) {
      partial.ancestor = canonical.string();
      break;
    }
    if (error && error.value() != ENOENT && error.value() != ENOTDIR) {
      return Error::FromErrno(error.value(), prefix);
    }
    if (prefix == "/") return Error(ErrorCode::kNotFound, "there is no directory /");
    partial.rest = JoinPath(BaseNameOf(prefix), partial.rest);
    prefix = ParentOf(prefix);
  }
  if (HasDotDot(partial.rest)) {
    return Error(ErrorCode::kInvalidArgument, path + ": \"..\" below what does not exist today");
  }
  return partial;
}

}  // namespace varve
