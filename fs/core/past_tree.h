// `.snapshots` and what lies below it: the past as directories and files that can only be read.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "fs/core/core.h"
#include "fs/core/history.h"
#include "fs/core/past_nodes.h"
#include "fs/core/version_lists.h"

namespace varve {

class PastTree {
 public:
  PastTree(Core& core, History& history) : core_(core), history_(history) {}

  // D/.snapshots: whether and for whom it exists is options().snapdir.
  Result<NodeAttributes> LookupSnapshots(InodeId directory, const Caller& caller);
  // Each answer counts one kernel reference.
  Result<NodeAttributes> Lookup(const PastNode& parent, std::string_view name);
  void Forget(NodeId node, std::uint64_t count) { nodes_.Forget(node, count); }
  Result<PastNode> Find(NodeId node) const { return nodes_.Find(node); }
  NodeAttributes Acquire(const PastNode& node, const struct stat& stat);

  Result<struct stat> GetStat(const PastNode& node);
  // Of a directory of `.snapshots`: the access list of the present directory, for looking only, as
  // its mode is; nothing else.
  Result<std::string> GetXattr(const PastNode& node, std::string_view name);
  // kThen only; kStale when there is no such inode then.
  Result<InodeAttributes> GetInode(const PastNode& node);

  // What a directory lists beside "." and "..", a page at a time.
  struct Item {
    std::string name;
    PastNode node;
    std::uint32_t type = 0;
    Cookie cookie = 0;  // grows from item to item
  };
  struct Page {
    static constexpr Cookie kEnd = std::numeric_limits<Cookie>::max();
    std::vector<Item> items;
    // All items with cookies in (after, upto] are here; kEnd: those up to the last.
    Cookie after = kEnd;
    Cookie upto = kEnd;
    bool GoesOnFrom(Cookie seen) const { return after <= seen && seen < upto; }
  };
  // Pages of kThen have this many items, but the last.
  static constexpr std::size_t kPageItems = 1024;
  // For kThen, where a cookie is a position, counted from 1: the page after `position` items, the
  // last of which is `name`.
  Result<Page> ListThen(const PastNode& directory, Cookie position, std::string_view name);
  // For the others.
  Result<Page> List(const PastNode& directory, Cookie after);
  // The node that ".." is, for its inode number.
  Result<PastNode> ParentOf(const PastNode& node);

 private:
  Result<PastNode> Resolve(const PastNode& parent, std::string_view name);
  Result<PastNode> ResolveMoment(InodeId directory, std::string_view when);
  Result<std::vector<Item>> ListMoments(InodeId directory);
  Result<Page> ListNames(InodeId directory, Cookie after);
  Result<std::vector<Item>> ListVersions(const PastNode& node);

  Core& core_;
  History& history_;
  PastNodes nodes_;
  VersionLists lists_;
};

}  // namespace varve
