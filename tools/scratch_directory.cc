#include "tools/scratch_directory.h"

#include <stdlib.h>

#include <boost/filesystem.hpp>
#include <cerrno>
#include <utility>

namespace varve {

Result<ScratchDirectory> ScratchDirectory::Create() {
  const char* parent = ::getenv("TMPDIR");
  std::string path = std::string(parent != nullptr && *parent != '\0' ? parent : "/var/tmp") +
                     "/varve-scratch-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return Error::FromErrno(errno, "mkdtemp " + path);
  return ScratchDirectory(std::move(path));
}

ScratchDirectory::ScratchDirectory(ScratchDirectory&& other) noexcept
    : path_(std::exchange(other.path_, std::string())) {}

ScratchDirectory::~ScratchDirectory() {
  if (path_.empty()) return;
  boost::system::error_code ignored;  // nothing depends on it, and nobody is left to be told
  boost::filesystem::remove_all(path_, ignored);
}

}  // namespace varve
