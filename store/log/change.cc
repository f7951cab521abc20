#include "store/log/change.h"

#include <algorithm>
#include <unordered_set>

namespace varve {

std::string_view ToString(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kFormat:
      return "format";
    case ChangeKind::kCreate:
      return "create";
    case ChangeKind::kMakeDirectory:
      return "mkdir";
    case ChangeKind::kMakeNode:
      return "mknod";
    case ChangeKind::kSymlink:
      return "symlink";
    case ChangeKind::kLink:
      return "link";
    case ChangeKind::kUnlink:
      return "unlink";
    case ChangeKind::kRemoveDirectory:
      return "rmdir";
    case ChangeKind::kRename:
      return "rename";
    case ChangeKind::kWrite:
      return "write";
    case ChangeKind::kTruncate:
      return "truncate";
    case ChangeKind::kAttributes:
      return "attributes";
    case ChangeKind::kXattr:
      return "xattr";
    case ChangeKind::kRollback:
      return "rollback";
    case ChangeKind::kSnapshot:
      return "snapshot";
    case ChangeKind::kMaintenance:
      return "maintenance";
  }
  return "unknown";
}

std::uint64_t UnplacedBytes(const Change& change) {
  std::unordered_set<const PendingExtent*> seen;
  std::uint64_t total = 0;
  for (const Operation& operation : change.operations) {
    const auto* write = std::get_if<WriteChunk>(&operation);
    if (write == nullptr) continue;
    for (const Piece& piece : write->pieces) {
      if (piece.pending == nullptr || piece.pending->place().has_value()) continue;
      if (seen.insert(piece.pending.get()).second) total += piece.pending->raw_bytes();
    }
  }
  return total;
}

std::uint64_t ClonedChunks(const Change& change) {
  std::uint64_t chunks = 0;
  for (const Operation& operation : change.operations) {
    if (const auto* clone = std::get_if<CloneChunks>(&operation)) chunks += clone->count;
  }
  return chunks;
}

bool ClonesThePast(const Change& change) {
  return std::any_of(change.operations.begin(), change.operations.end(), [](const Operation& op) {
    const auto* clone = std::get_if<CloneChunks>(&op);
    return clone != nullptr && clone->at;
  });
}

}  // namespace varve
