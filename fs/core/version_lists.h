// Versions of files that have been listed lately, so that whoever asks for each of a list does not
// have the whole list made for each.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/ids.h"
#include "store/base/synchronized.h"

namespace varve {

// Thread-safe. History only grows, so what is in a list is true for ever; what is not may have
// happened since. Memory: bounded by kMostVersions over all lists.
class VersionLists {
 public:
  static constexpr std::size_t kMostVersions = 65'536;

  struct Version {
    InodeId inode;
    Lsn lsn;
  };
  // By the name that a version has as a file.
  using List = std::map<std::string, Version, std::less<>>;

  // Of the file `name` of the directory; nothing if it is not known here.
  std::optional<Version> Find(InodeId directory, std::string_view name,
                              std::string_view version) const;
  bool HasListOf(InodeId directory, std::string_view name) const;
  // Replaces an older list of the same file. Lists give way to newer ones; one that is too long by
  // itself is not kept.
  void Keep(InodeId directory, std::string_view name, List versions);

 private:
  struct Kept {
    InodeId directory;
    std::string name;
    List versions;
  };
  using Lists = std::list<Kept>;  // a few; the newest first
  static Lists::const_iterator FindList(const Lists& lists, InodeId directory,
                                        std::string_view name);

  mutable Synchronized<Lists> lists_;
};

}  // namespace varve
