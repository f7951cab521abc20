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
  std::vector<PastTree::Item> items;
  std::uint64_t items_after = 0;  // the offset that `items` begin after
  bool items_valid = false;
};

class DirectoryListing {
 public:
  using Visit = std::function<bool(const DirectoryEntry&)>;
  DirectoryListing(Core& core, PastTree& past) : core_(core), past_(past) {}

  Status ListDirectory(DirectoryHandle& directory, std::uint64_t offset, List list,
                       const Visit& visit);

 private:
  Status ListPresent(InodeId inode, std::uint64_t offset, List list, const Visit& visit);
  Status ListPast(DirectoryHandle& directory, std::uint64_t offset, List list, const Visit& visit);
  // False: the visitor has had enough.
  Result<bool> VisitPast(const PastTree::Item& item, List list, const Visit& visit);
  Result<bool> VisitPresent(const Entry& entry, List list, const Visit& visit);

  Core& core_;
  PastTree& past_;
};

}  // namespace varve
