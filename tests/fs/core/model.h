// What a filesystem should hold, as plain maps: the oracle's opinion.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/base/ids.h"

namespace varve {

// One inode as it is or was; immutable once shared, so that remembering a tree costs pointers.
struct ModelNode {
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t nlink = 0;
  std::string content;  // of a file; a symbolic link's target
  std::map<std::string, std::string> xattrs;
  std::map<std::string, std::uint64_t> entries;  // name -> inode
  bool operator==(const ModelNode&) const = default;
};
using ModelTree = std::map<std::uint64_t, std::shared_ptr<const ModelNode>>;
using FrozenTree = std::vector<std::pair<std::uint64_t, std::shared_ptr<const ModelNode>>>;

// A tree of inodes. Present content and committed content differ while writes are not cut.
class Model {
 public:
  // Copy on write.
  ModelNode& Edit(std::uint64_t inode);
  const ModelNode& Get(std::uint64_t inode) const { return *now_.at(inode); }
  bool Has(std::uint64_t inode) const { return now_.contains(inode); }
  void Put(std::uint64_t inode, ModelNode node);
  void Remove(std::uint64_t inode);
  // What is written but not cut: Edit without committing.
  ModelNode& EditDirty(std::uint64_t inode);
  void Cut(std::uint64_t inode);
  void CutAll();
  bool IsDirty(std::uint64_t inode) const { return dirty_.contains(inode); }
  void Clear();

  const ModelTree& now() const { return now_; }
  FrozenTree Freeze() const { return {committed_.begin(), committed_.end()}; }

 private:
  ModelTree now_;
  ModelTree committed_;
  std::map<std::uint64_t, bool> dirty_;
};

}  // namespace varve
