// The oracle's judgement of a rollback.
#pragma once

#include <map>
#include <string>

#include "tests/fs/core/oracle_operations.h"

namespace varve {

// Judged by paths, for what comes back as a copy is a new inode.
class OracleRollback : public OracleOperations {
 protected:
  void DoRollback() {
    if (versions_.size() < 2) return;
    const auto& [to, then] =
        versions_[versions_.size() - 1 - Roll(std::min<std::size_t>(versions_.size() - 1, 60))];
    const ModelTree old_tree(then.begin(), then.end());
    model_.CutAll();
    std::uint64_t place = Roll(2) ? kRoot : RandomDirectory();
    const std::uint64_t file = Roll(3) == 0 ? RandomFile() : 0;
    if (file != 0) place = file;
    const std::string path = PathOf(place);
    const auto known = old_tree.find(place);
    if (known == old_tree.end() || known->second->nlink == 0) {
      ASSERT_EQ(CodeOf(fs().Rollback(path, to)), ErrorCode::kNotFound) << path;
      return Reload();  // what was dirty has been cut
    }
    // A directory's twin by path; beside it everything stays.
    std::map<std::string, std::string> expected;
    DescribePaths(model_.now(), kRoot, "", expected);
    if (file != 0) {
      const std::string line = DescribeNode(*known->second);
      for (auto& [at, text] : expected) {
        if (PathMeans(model_.now(), at) == file) text = line;
      }
    } else {
      std::erase_if(expected, [&](const auto& item) {
        return item.first == path || path.empty() || item.first.starts_with(path + "/");
      });
      DescribePaths(old_tree, place, path, expected);
    }
    VARVE_ASSERT_OK(fs().Rollback(path, to));
    Reload();
    std::map<std::string, std::string> actual;
    DescribePaths(model_.now(), kRoot, "", actual);
    for (const auto& [at, text] : expected) {
      ASSERT_TRUE(actual.contains(at))
          << "rollback of '" << path << "' to @" << to.value << ": missing " << at;
      ASSERT_TRUE(actual[at] == text)
          << "rollback of '" << path << "' to @" << to.value << ": " << at << " is\n"
          << actual[at].substr(0, 200) << "\nnot\n"
          << text.substr(0, 200);
    }
    ASSERT_EQ(actual.size(), expected.size()) << "rollback of '" << path << "' to @" << to.value;
    CheckCounts();
  }
  // Rollback counts links anew: do they agree with the names?
  void CheckCounts() {
    std::map<std::uint64_t, std::uint32_t> links;
    for (const auto& [inode, node] : model_.now()) {
      if (S_ISDIR(node->mode)) links[inode] += 2;
      for (const auto& [name, child] : node->entries)
        links[IsDirectory(child) ? inode : child] += 1;
    }
    for (const auto& [inode, node] : model_.now()) {
      EXPECT_EQ(node->nlink, links[inode]) << PathOf(inode);
    }
    ComparePresent();
    ASSERT_FALSE(HasFailure());
  }
  static std::string DescribeNode(const ModelNode& node) {
    std::string text = std::to_string(node.mode) + " " + std::to_string(node.uid);
    for (const auto& [name, value] : node.xattrs) text += " " + name + "=" + value;
    return text + " " + std::to_string(node.content.size()) + ":" + node.content;
  }
  static void DescribePaths(const ModelTree& tree, std::uint64_t inode, const std::string& path,
                            std::map<std::string, std::string>& out) {
    const ModelNode& node = *tree.at(inode);
    out[path] = DescribeNode(node);
    for (const auto& [name, child] : node.entries) {
      DescribePaths(tree, child, path + "/" + name, out);
    }
  }
  static std::uint64_t PathMeans(const ModelTree& tree, const std::string& path) {
    std::uint64_t at = kRoot;
    for (std::size_t i = 0; i < path.size(); i += 2) {  // names are one letter
      at = tree.at(at)->entries.at(path.substr(i + 1, 1));
    }
    return at;
  }
};

}  // namespace varve
