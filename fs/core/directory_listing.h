// Listing directories of now and then.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "fs/core/core.h"
#include "fs/core/open_files.h"
#include "fs/core/past_tree.h"

namespace varve {

// An open directory. Of the past, or a `.snapshots`: what it listed last is kept, so that the next
// call goes on where that one stopped.
struct DirectoryHandle {
  InodeId inode;                 // of the present
  std::optional<PastNode> past;  // instead
  std::mutex mutex;              // over what follows
  // Of the present: entries with this cookie and above came after this reading of the directory was
  // begun, and are for the next; else a reader who renames what it reads would never come to an
  // end. The reading goes on as long as the offsets asked for lie in [from, to], what was given
  // last.
  Cookie upto = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  PastTree::Page page;
  // kThen: the last name of each full page seen so far, from the first on. The past is found by
  // name, and offsets are positions in it.
  std::vector<std::string> page_ends;
};

class DirectoryListing {
 public:
  using Visit = std::function<bool(const DirectoryEntry&)>;
  DirectoryListing(Core& core, PastTree& past) : core_(core), past_(past) {}

  Status ListDirectory(DirectoryHandle& directory, std::uint64_t offset, List list,
                       const Visit& visit);

 private:
  Status ListPresent(DirectoryHandle& directory, std::uint64_t offset, List list,
                     const Visit& visit);
  Status ListPast(DirectoryHandle& directory, std::uint64_t offset, List list, const Visit& visit);
  // Brings the page that goes on after the item with the cookie `seen`.
  Status TurnTo(DirectoryHandle& directory, Cookie seen);
  // False: the visitor has had enough.
  Result<bool> VisitPast(const PastTree::Item& item, List list, const Visit& visit);
  Result<bool> VisitPresent(const Entry& entry, List list, const Visit& visit);

  Core& core_;
  PastTree& past_;
};

}  // namespace varve
