// Looking back: moments by name, the log of a file or directory, versions, snapshots.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/core/core.h"

namespace varve {

// What a name meant with one content: from `lsn` on.
struct FileVersion {
  Lsn lsn;
  TimeNs time_ns = 0;
  InodeId inode;
  InodeAttributes attributes;
  std::string file_name;  // its time, made unique
};

class History {
 public:
  explicit History(Core& core) : core_(core) {}

  Result<Lsn> Resolve(std::string_view when);
  Status Log(std::string_view path, const std::function<bool(const LogRecord&)>& visit);
  // Versions of the regular files that `name` meant in `directory`, oldest first.
  Result<std::vector<FileVersion>> VersionsOf(InodeId directory, std::string_view name);

  Status CreateSnapshot(std::string_view name);
  Status DeleteSnapshot(std::string_view name);

  // What a path means now. `entry` is nothing when its last name means nothing; the root has no
  // parent and no name. Any earlier name that means nothing is kNotFound.
  struct Place {
    InodeId parent;
    std::string name;
    InodeId inode;  // 0: nothing
    bool is_directory = false;
  };
  // With kEver, a name that means no directory now is taken for the last directory that it meant.
  enum class Directories { kNow, kEver };
  Result<Place> Locate(std::string_view path, Directories directories);

 private:
  using Visit = std::function<bool(const LogRecord&)>;
  // A time in which a name meant one thing.
  struct Reign {
    Lsn from;
    Lsn until;  // kLsnNow: it still does
    std::optional<Entry> entry;
  };
  Result<std::vector<Reign>> ReignsOf(InodeId directory, std::string_view name);
  // The last directory that `name` meant in `directory`; 0 if it never meant one.
  Result<InodeId> FormerDirectory(InodeId directory, std::string_view name);
  Result<CommitRecord> CommitAt(Lsn lsn);
  Result<bool> ChangedContent(const InodeVersion& version, const InodeAttributes& before,
                              const CommitRecord& commit) const;
  Status LogFile(const Place& place, const Visit& visit);
  // False: the visitor has had enough.
  Result<bool> LogReign(const Place& place, const Reign& reign, const Visit& visit);
  static std::string JoinPath(const std::string& directory, std::string_view name);
  Status LogDirectory(InodeId directory, const Visit& visit);
  Result<std::optional<std::string>> PathBelow(const View& view, InodeId inode,
                                               const InodeAttributes& attributes,
                                               InodeId directory);
  Result<bool> LogCommit(const CommitRecord& commit, InodeId directory, const Visit& visit);
  Result<std::optional<LogRecord>> DescribeEntry(const CommitRecord& commit, InodeId directory,
                                                 const CommitRecord::TouchedEntry& touched,
                                                 std::vector<InodeId>* told);

  Core& core_;
};

}  // namespace varve
