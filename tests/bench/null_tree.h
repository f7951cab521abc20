// What varve_bench_null keeps: names and attributes, in memory. Not thread-safe; `mutex` is its
// users'.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace varve {

using NullNodeId = std::uint64_t;
inline constexpr NullNodeId kNullRoot = 1;

timespec NullNow();

struct NullNode {
  struct stat stat{};
  std::uint64_t known = 0;  // references that the kernel holds
  NullNodeId parent = 0;    // of a directory
  std::string target;       // of a symbolic link

  // Of a directory: its names by the order of their making, which is an offset that stays where it
  // is whatever comes and goes.
  std::map<off_t, std::string> listing;
  struct Place {
    NullNodeId node = 0;
    off_t cookie = 0;
  };
  std::unordered_map<std::string, Place> names;
};

class NullTree {
 public:
  NullTree();

  // The kernel asks only about nodes it knows, so that there is one.
  NullNode& At(NullNodeId node) { return *nodes_.at(node); }
  NullNode* Find(NullNode& directory, const std::string& name);
  // The directory above; itself if that is gone.
  NullNode& Above(NullNode& directory);

  // A node without a name. Takes mode, uid and gid from `attributes`.
  NullNode& Make(const struct stat& attributes);
  void AddName(NullNode& parent, const std::string& name, NullNode& node);
  void RemoveName(NullNode& parent, const std::string& name);
  // The name is the node's last one; the node stays as long as the kernel knows it.
  void Unlink(NullNode& parent, const std::string& name, NullNode& node);
  // Takes so many of the kernel's references away.
  void Forget(NullNodeId node, std::uint64_t count);

  // One lock over everything: with two threads it is nearly free.
  std::mutex mutex;

 private:
  void EraseIfUnused(NullNode& node);

  std::unordered_map<NullNodeId, std::unique_ptr<NullNode>> nodes_;
  NullNodeId last_node_ = 0;
  off_t last_cookie_ = 2;  // "." and ".." come first
};

}  // namespace varve
