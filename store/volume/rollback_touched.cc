#include "store/volume/rollback_touched.h"

#include <limits>
#include <utility>

namespace varve {
namespace {

// Puts an operation behind others, if the budget has it.
Status Add(std::vector<Operation>& operations, Operation operation, RollbackBudget& budget) {
  RETURN_IF_ERROR(budget.Take(operation));
  operations.push_back(std::move(operation));
  return {};
}

// Calls visit(chunk) for each chunk of the body from `from` on that has data in the view.
template <typename Visit>
Status ForEachChunkFrom(const View& view, BodyId body, ChunkIndex from, Visit visit) {
  constexpr std::uint64_t kEnd = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t offset = from * kChunkBytes;
  while (true) {
    ASSIGN_OR_RETURN(offset, view.NextData(body, offset, kEnd));
    if (offset == kEnd) return {};
    const ChunkIndex chunk = offset / kChunkBytes;
    RETURN_IF_ERROR(visit(chunk));
    if (chunk + 1 >= kEnd / kChunkBytes) return {};
    offset = (chunk + 1) * kChunkBytes;
  }
}

bool SamePieces(const PieceList& a, const PieceList& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].chunk_offset != b[i].chunk_offset || a[i].length != b[i].length ||
        a[i].raw_offset != b[i].raw_offset || !(a[i].extent == b[i].extent)) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<Touched> CollectTouched(Volume& volume, Lsn since) {
  Touched touched;
  RETURN_IF_ERROR(
      volume.ForEachCommit(Lsn{since.value + 1}, volume.last_lsn(), Catalog::Order::kOldestFirst,
                           [&](const CommitRecord& commit) -> Result<bool> {
                             touched.inodes.insert(commit.inodes.begin(), commit.inodes.end());
                             for (const auto& entry : commit.entries)
                               touched.entries[entry.parent].insert(entry.name);
                             for (const auto& [body, chunk] : commit.chunks)
                               touched.chunks[body].insert(chunk);
                             for (const auto& [body, first] : commit.cuts) {
                               auto [cut, fresh] = touched.cuts.emplace(body, first);
                               if (!fresh) cut->second = std::min(cut->second, first);
                             }
                             for (const auto& [inode, name] : commit.xattrs)
                               touched.xattrs[inode].insert(name);
                             return true;
                           }));
  return touched;
}

namespace {

// By its links: a file's attributes say where it was linked last, but that name may be gone and
// another be left.
Status MarkWay(Volume& volume, const View& view, InodeId inode,
               std::unordered_set<InodeId>& marked) {
  std::vector<InodeId> waiting{inode};
  while (!waiting.empty()) {
    const InodeId at = waiting.back();
    waiting.pop_back();
    if (!marked.insert(at).second || at == kRootInode) continue;
    ASSIGN_OR_RETURN(const auto links, volume.LinksOf(at, view.at()));
    for (const Catalog::Link& link : links) waiting.push_back(link.parent);
  }
  return {};
}

}  // namespace

Result<std::unordered_set<InodeId>> MarkWays(Volume& volume, const View& then,
                                             const Touched& touched) {
  std::unordered_set<InodeId> all;
  for (const View& view : {then, volume.Now()}) {
    std::unordered_set<InodeId> marked;  // the ways of one view say nothing of the other's
    for (const InodeId inode : touched.inodes) {
      RETURN_IF_ERROR(MarkWay(volume, view, inode, marked));
    }
    for (const auto& [parent, names] : touched.entries) {
      RETURN_IF_ERROR(MarkWay(volume, view, parent, marked));
    }
    all.merge(marked);
  }
  return all;
}

Result<std::vector<Operation>> RestoreChunks(const View& then, const View& now, BodyId body,
                                             const Touched& touched, RollbackBudget& budget) {
  std::set<ChunkIndex> suspects;
  if (auto chunks = touched.chunks.find(body); chunks != touched.chunks.end()) {
    suspects = chunks->second;
  }
  auto cut = touched.cuts.find(body);
  const ChunkIndex from = cut == touched.cuts.end() ? kNoChunk : cut->second;
  if (from != kNoChunk) {
    for (const View& view : {then, now}) {
      RETURN_IF_ERROR(ForEachChunkFrom(view, body, from, [&](ChunkIndex chunk) -> Status {
        suspects.insert(chunk);
        return {};
      }));
    }
  }
  std::vector<Operation> operations;
  for (ChunkIndex chunk : suspects) {
    ASSIGN_OR_RETURN(PieceList want, then.GetChunk(body, chunk));
    ASSIGN_OR_RETURN(PieceList have, now.GetChunk(body, chunk));
    if (SamePieces(want, have)) continue;
    RETURN_IF_ERROR(Add(operations, PutChunk{body, chunk, std::move(want)}, budget));
  }
  return operations;
}

Result<std::vector<Operation>> CopyChunks(const View& then, BodyId body, BodyId copy,
                                          RollbackBudget& budget) {
  std::vector<Operation> operations;
  RETURN_IF_ERROR(ForEachChunkFrom(then, body, 0, [&](ChunkIndex chunk) -> Status {
    ASSIGN_OR_RETURN(PieceList pieces, then.GetChunk(body, chunk));
    return Add(operations, PutChunk{copy, chunk, std::move(pieces)}, budget);
  }));
  return operations;
}

Result<std::vector<Operation>> RestoreXattrs(const View& then, const View& now, InodeId inode,
                                             const Touched& touched, RollbackBudget& budget) {
  std::vector<Operation> operations;
  auto names = touched.xattrs.find(inode);
  if (names == touched.xattrs.end()) return operations;
  for (const std::string& name : names->second) {
    ASSIGN_OR_RETURN(auto want, then.GetXattr(inode, name));
    ASSIGN_OR_RETURN(auto have, now.GetXattr(inode, name));
    if (want == have) continue;
    if (want) {
      RETURN_IF_ERROR(Add(operations, PutXattr{inode, name, std::move(*want)}, budget));
    } else {
      RETURN_IF_ERROR(Add(operations, RemoveXattr{inode, name}, budget));
    }
  }
  return operations;
}

Result<std::vector<Operation>> CopyXattrs(const View& then, InodeId inode, InodeId copy,
                                          RollbackBudget& budget) {
  std::vector<Operation> operations;
  ASSIGN_OR_RETURN(std::vector<std::string> names, then.ListXattrs(inode));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(auto value, then.GetXattr(inode, name));
    if (!value) continue;
    RETURN_IF_ERROR(Add(operations, PutXattr{copy, name, std::move(*value)}, budget));
  }
  return operations;
}

void Append(std::vector<Operation>& to, std::vector<Operation> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace varve
