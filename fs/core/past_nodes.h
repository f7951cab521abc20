// Node ids of the past and of the directories of `.snapshots`, kept while the kernel knows them.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <tuple>

#include "fs/core/filesystem.h"
#include "store/base/synchronized.h"

namespace varve {

struct PastNode {
  enum class Kind : std::uint8_t {
    kSnapshots,   // D/.snapshots; inode is D, as in all but kThen
    kVersions,    // D/.snapshots/versions
    kVersionsOf,  // D/.snapshots/versions/NAME
    kThen,        // `inode` as of `at`
  };
  Kind kind = Kind::kThen;
  InodeId inode;
  Lsn at;            // kThen
  std::string name;  // kVersionsOf
  // kThen: which `.snapshots/<when>` it was reached through. The kernel gives a directory one place
  // in the tree; the same moment reached by two ways must be two nodes, or it would move about.
  std::uint64_t origin = 0;

  auto Key() const { return std::tie(kind, inode, at, name, origin); }
};

inline constexpr std::uint64_t kPastNodeBit = 1ULL << 62;
inline bool IsPastNode(NodeId node) { return (node.value & kPastNodeBit) != 0; }

// The same (kind, inode, moment) has the same number for ever; bit 62 keeps it apart from all
// inodes of the present.
std::uint64_t PastInodeNumber(const PastNode& node);
std::uint64_t PastOrigin(InodeId directory, std::string_view when);

// Thread-safe.
class PastNodes {
 public:
  // The node's id; the kernel knows it once more.
  NodeId Acquire(const PastNode& node);
  void Forget(NodeId id, std::uint64_t count);
  // kStale if the kernel does not know it.
  Result<PastNode> Find(NodeId id) const;
  std::size_t size() const;
  // Of all ids given out by this object, and hardly of another's: ids begin anew with each mount.
  std::uint32_t generation() const { return generation_; }

 private:
  struct Less {
    bool operator()(const PastNode& a, const PastNode& b) const { return a.Key() < b.Key(); }
  };
  using Ids = std::map<PastNode, NodeId, Less>;
  struct Known {
    Ids::const_iterator node;
    std::uint64_t references = 0;
  };
  struct Table {
    Ids ids;
    std::map<NodeId, Known> nodes;
    std::uint64_t next = 1;
  };
  const std::uint32_t generation_ = std::random_device()();
  Synchronized<Table> table_;
};

}  // namespace varve
