#include "fs/core/past_nodes.h"

#include <algorithm>

namespace varve {
namespace {

// The finalizer of SplitMix64: every bit of the input moves about half the bits of the output.
std::uint64_t Mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9ULL;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

std::uint64_t MixText(std::uint64_t seed, std::string_view text) {
  for (const char c : text) seed = Mix(seed + static_cast<unsigned char>(c) + 1);
  return seed;
}

}  // namespace

std::uint64_t PastInodeNumber(const PastNode& node) {
  std::uint64_t mixed = Mix(node.inode.value + 0x9E3779B97F4A7C15ULL);
  mixed = Mix(mixed + node.at.value + 1);
  mixed = Mix(mixed + static_cast<std::uint64_t>(node.kind));
  mixed = MixText(mixed, node.name);
  return (mixed & (kPastNodeBit - 1)) | kPastNodeBit;
}

std::uint64_t PastOrigin(InodeId directory, std::string_view when) {
  return MixText(Mix(directory.value + 1), when);
}

NodeId PastNodes::Acquire(const PastNode& node) {
  auto table = table_.Lock();
  const auto [at, made] = table->ids.try_emplace(node);
  if (made) {
    at->second = NodeId(kPastNodeBit | table->next++);
    table->nodes.emplace(at->second, Known{at, 0});
  }
  table->nodes.at(at->second).references += 1;
  return at->second;
}

void PastNodes::Forget(NodeId id, std::uint64_t count) {
  auto table = table_.Lock();
  const auto found = table->nodes.find(id);
  if (found == table->nodes.end()) return;
  found->second.references -= std::min(count, found->second.references);
  if (found->second.references != 0) return;
  table->ids.erase(found->second.node);
  table->nodes.erase(found);
}

Result<PastNode> PastNodes::Find(NodeId id) const {
  auto table = table_.Lock();
  const auto found = table->nodes.find(id);
  if (found == table->nodes.end()) {
    return Error(ErrorCode::kStale, "node " + std::to_string(id.value) + " is not known");
  }
  return found->second.node->first;
}

std::size_t PastNodes::size() const { return table_.Lock()->nodes.size(); }

}  // namespace varve
