// The oracle's eyes: reads the real tree, of now or then, and compares it with a model's.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/fs/core/filesystem_fixture.h"
#include "tests/fs/core/model.h"

namespace varve {

class OracleCompare : public FilesystemFixture {
 protected:
  static constexpr std::uint64_t kRoot = kRootInode.value;

  // Reads one node; `node` may be of the past.
  void ReadNode(const NodeAttributes& attributes, ModelNode* out) {
    out->mode = attributes.stat.st_mode;
    out->uid = attributes.stat.st_uid;
    out->nlink = static_cast<std::uint32_t>(attributes.stat.st_nlink);
    const Result<std::vector<std::string>> names = fs().ListXattrs(attributes.node);
    VARVE_ASSERT_OK(names);
    for (const std::string& name : *names) {
      const Result<std::string> value = fs().GetXattr(attributes.node, name);
      VARVE_ASSERT_OK(value);
      out->xattrs[name] = *value;
    }
    if (S_ISLNK(out->mode)) {
      const Result<std::string> target = fs().ReadLink(attributes.node);
      VARVE_ASSERT_OK(target);
      out->content = *target;
    } else if (S_ISREG(out->mode)) {
      const Result<OpenResult> open = fs().Open(attributes.node, O_RDONLY);
      VARVE_ASSERT_OK(open);
      out->content = ReadAt(open->handle, 0, static_cast<std::size_t>(attributes.stat.st_size) + 7);
      fs().Release(open->handle);
    }
  }
  using Children = std::vector<std::pair<std::string, NodeAttributes>>;
  void ReadDirectory(NodeId node, Children* children) {
    const Result<FileHandle> handle = fs().OpenDirectory(node);
    VARVE_ASSERT_OK(handle);
    VARVE_ASSERT_OK(fs().ListDirectory(*handle, 0, List::kPlus, [&](const DirectoryEntry& entry) {
      if (entry.name != "." && entry.name != "..") {
        children->emplace_back(entry.name, entry.attributes);
      }
      return true;
    }));
    fs().ReleaseDirectory(*handle);
  }

  // `tree` at `inode` against the real node, and everything below.
  void Compare(const ModelTree& tree, std::uint64_t inode, const NodeAttributes& real,
               const std::string& where) {
    ASSERT_TRUE(tree.contains(inode)) << where;
    const ModelNode& expected = *tree.at(inode);
    ModelNode actual;
    ASSERT_NO_FATAL_FAILURE(ReadNode(real, &actual)) << where;
    EXPECT_EQ(actual.mode, expected.mode) << where;
    EXPECT_EQ(actual.uid, expected.uid) << where;
    EXPECT_EQ(actual.nlink, expected.nlink) << where;
    EXPECT_EQ(actual.xattrs, expected.xattrs) << where;
    ASSERT_EQ(actual.content.size(), expected.content.size()) << where;
    ASSERT_TRUE(actual.content == expected.content) << where << ": other bytes";
    if (!S_ISDIR(expected.mode)) return;
    Children children;
    ASSERT_NO_FATAL_FAILURE(ReadDirectory(real.node, &children)) << where;
    EXPECT_EQ(static_cast<std::size_t>(real.stat.st_size), expected.entries.size()) << where;
    ASSERT_EQ(children.size(), expected.entries.size()) << where;
    for (const auto& [name, attributes] : children) {
      const auto entry = expected.entries.find(name);
      ASSERT_TRUE(entry != expected.entries.end()) << where << "/" << name;
      ASSERT_NO_FATAL_FAILURE(Compare(tree, entry->second, attributes, where + "/" + name));
      fs().Forget(attributes.node, 1);
    }
  }
  void ComparePresent() {
    const Result<NodeAttributes> root = Look("");
    VARVE_ASSERT_OK(root);
    Compare(model_.now(), kRoot, *root, "now:");
  }
  void ComparePast(const std::string& when, const FrozenTree& then) {
    const Result<NodeAttributes> root = Look(".snapshots/" + when);
    ASSERT_TRUE(root.ok()) << when << ": " << root.error().message();
    Compare(ModelTree(then.begin(), then.end()), kRoot, *root, when + ":");
    fs().Forget(root->node, 1);
  }

  // Takes the present for granted (it has just been judged).
  void LoadFromPresent() {
    model_.Clear();
    const Result<NodeAttributes> root = Look("");
    VARVE_ASSERT_OK(root);
    Load(*root);
  }
  void Load(const NodeAttributes& real) {
    ModelNode node;
    ASSERT_NO_FATAL_FAILURE(ReadNode(real, &node));
    if (S_ISDIR(node.mode)) {
      Children children;
      ASSERT_NO_FATAL_FAILURE(ReadDirectory(real.node, &children));
      for (const auto& [name, attributes] : children) {
        node.entries[name] = attributes.node.value;
        if (!model_.Has(attributes.node.value)) Load(attributes);
      }
    }
    model_.Put(real.node.value, std::move(node));
  }
  void Reload() {
    ASSERT_NO_FATAL_FAILURE(LoadFromPresent());
    for (const auto& [handle, inode] : open_) {
      if (model_.Has(inode)) continue;
      const Result<NodeAttributes> orphan = fs().GetAttributes(NodeId(inode));
      VARVE_ASSERT_OK(orphan);
      ASSERT_EQ(orphan->stat.st_nlink, 0u);
      Load(*orphan);
    }
  }

  void Remember() {
    const Lsn last = Last();
    if (!versions_.empty() && versions_.back().first == last) {
      versions_.back().second = model_.Freeze();
    } else {
      versions_.emplace_back(last, model_.Freeze());
    }
  }

  std::string PathOf(std::uint64_t inode) const { return FindPath(kRoot, "", inode).value_or(""); }
  std::optional<std::string> FindPath(std::uint64_t at, const std::string& path,
                                      std::uint64_t wanted) const {
    if (at == wanted) return path;
    for (const auto& [name, child] : model_.Get(at).entries) {
      if (auto found = FindPath(child, path + "/" + name, wanted)) return found;
    }
    return std::nullopt;
  }

  Model model_;
  std::map<FileHandle, std::uint64_t> open_;          // handle -> inode
  std::vector<std::pair<Lsn, FrozenTree>> versions_;  // as committed, by position in history
  std::map<std::string, FrozenTree> snapshots_;
};

}  // namespace varve
