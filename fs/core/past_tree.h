// `.snapshots` and what lies below it: the past as directories and files that can only be read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fs/core/core.h"
#include "fs/core/history.h"
#include "fs/core/past_nodes.h"

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
  // kThen only; kStale when there is no such inode then.
  Result<InodeAttributes> GetInode(const PastNode& node);

  // What a directory lists beside "." and "..": for kThen a page of entries after a cookie, for the
  // others everything.
  struct Item {
    std::string name;
    PastNode node;
    std::uint32_t type = 0;
    Cookie cookie = 0;
  };
  Result<std::vector<Item>> List(const PastNode& directory, Cookie after);
  // The node that ".." is, for its inode number.
  Result<PastNode> ParentOf(const PastNode& node);

 private:
  Result<PastNode> Resolve(const PastNode& parent, std::string_view name);
  Result<PastNode> ResolveMoment(InodeId directory, std::string_view when);
  Result<std::vector<Item>> ListMoments(InodeId directory);
  Result<std::vector<Item>> ListNames(InodeId directory);
  Result<std::vector<Item>> ListVersions(const PastNode& node);

  Core& core_;
  History& history_;
  PastNodes nodes_;
};

}  // namespace varve
