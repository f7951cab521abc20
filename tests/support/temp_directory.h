// A directory that is gone with its owner.
#pragma once

#include <boost/filesystem.hpp>
#include <string>

namespace varve {

class TempDirectory {
 public:
  TempDirectory()
      : path_(boost::filesystem::temp_directory_path() /
              boost::filesystem::unique_path("varve-test-%%%%-%%%%-%%%%")) {
    boost::filesystem::create_directory(path_);
  }
  ~TempDirectory() {
    boost::system::error_code ignored;  // a test may have removed or moved it itself
    boost::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  std::string path() const { return path_.string(); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  boost::filesystem::path path_;
};

}  // namespace varve
