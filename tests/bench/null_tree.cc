#include "tests/bench/null_tree.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace varve {

timespec NullNow() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

NullTree::NullTree() {
  struct stat root{};
  root.st_mode = S_IFDIR | 0755;
  root.st_uid = ::geteuid();
  root.st_gid = ::getegid();
  Make(root).parent = kNullRoot;
}

NullNode* NullTree::Find(NullNode& directory, const std::string& name) {
  const auto place = directory.names.find(name);
  return place == directory.names.end() ? nullptr : &At(place->second.node);
}

NullNode& NullTree::Above(NullNode& directory) {
  const auto above = nodes_.find(directory.parent);
  return above == nodes_.end() ? directory : *above->second;
}

NullNode& NullTree::Make(const struct stat& attributes) {
  auto node = std::make_unique<NullNode>();
  node->stat = attributes;
  node->stat.st_ino = ++last_node_;
  node->stat.st_nlink = S_ISDIR(attributes.st_mode) ? 2 : 1;
  node->stat.st_blksize = 4096;
  node->stat.st_atim = node->stat.st_mtim = node->stat.st_ctim = NullNow();
  return *nodes_.emplace(last_node_, std::move(node)).first->second;
}

void NullTree::AddName(NullNode& parent, const std::string& name, NullNode& node) {
  parent.listing.emplace(++last_cookie_, name);
  parent.names[name] = {node.stat.st_ino, last_cookie_};
  if (S_ISDIR(node.stat.st_mode)) {
    ++parent.stat.st_nlink;
    node.parent = parent.stat.st_ino;
  }
  parent.stat.st_mtim = parent.stat.st_ctim = NullNow();
}

void NullTree::RemoveName(NullNode& parent, const std::string& name) {
  const auto place = parent.names.find(name);
  if (S_ISDIR(At(place->second.node).stat.st_mode)) --parent.stat.st_nlink;
  parent.listing.erase(place->second.cookie);
  parent.names.erase(place);
  parent.stat.st_mtim = parent.stat.st_ctim = NullNow();
}

void NullTree::Unlink(NullNode& parent, const std::string& name, NullNode& node) {
  RemoveName(parent, name);
  node.stat.st_nlink = 0;
  node.stat.st_ctim = NullNow();
  EraseIfUnused(node);
}

void NullTree::Forget(NullNodeId node, std::uint64_t count) {
  NullNode& forgotten = At(node);
  forgotten.known -= std::min(forgotten.known, count);
  EraseIfUnused(forgotten);
}

void NullTree::EraseIfUnused(NullNode& node) {
  if (node.known == 0 && node.stat.st_nlink == 0) nodes_.erase(node.stat.st_ino);
}

}  // namespace varve
