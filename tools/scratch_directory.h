// A directory for a while, with all that is in it.
#pragma once

#include <string>

#include "store/base/result.h"

namespace varve {

class ScratchDirectory {
 public:
  // Below $TMPDIR, or /var/tmp.
  static Result<ScratchDirectory> Create();
  ScratchDirectory(ScratchDirectory&& other) noexcept;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory();

  const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace varve
