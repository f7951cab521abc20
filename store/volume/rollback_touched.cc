#include "store/volume/rollback_touched.h"

#include <limits>
#include <utility>

namespace varve {
namespace {

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

Result<std::vector<Operation>> RestoreChunks(const View& then, const View& now, BodyId body,
                                             const Touched& touched) {
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
    if (!SamePieces(want, have)) operations.emplace_back(PutChunk{body, chunk, std::move(want)});
  }
  return operations;
}

Result<std::vector<Operation>> CopyChunks(const View& then, BodyId body, BodyId copy) {
  std::vector<Operation> operations;
  RETURN_IF_ERROR(ForEachChunkFrom(then, body, 0, [&](ChunkIndex chunk) -> Status {
    ASSIGN_OR_RETURN(PieceList pieces, then.GetChunk(body, chunk));
    operations.emplace_back(PutChunk{copy, chunk, std::move(pieces)});
    return {};
  }));
  return operations;
}

Result<std::vector<Operation>> RestoreXattrs(const View& then, const View& now, InodeId inode,
                                             const Touched& touched) {
  std::vector<Operation> operations;
  auto names = touched.xattrs.find(inode);
  if (names == touched.xattrs.end()) return operations;
  for (const std::string& name : names->second) {
    ASSIGN_OR_RETURN(auto want, then.GetXattr(inode, name));
    ASSIGN_OR_RETURN(auto have, now.GetXattr(inode, name));
    if (want == have) continue;
    if (want) {
      operations.emplace_back(PutXattr{inode, name, std::move(*want)});
    } else {
      operations.emplace_back(RemoveXattr{inode, name});
    }
  }
  return operations;
}

Result<std::vector<Operation>> CopyXattrs(const View& then, InodeId inode, InodeId copy) {
  std::vector<Operation> operations;
  ASSIGN_OR_RETURN(std::vector<std::string> names, then.ListXattrs(inode));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(auto value, then.GetXattr(inode, name));
    if (value) operations.emplace_back(PutXattr{copy, name, std::move(*value)});
  }
  return operations;
}

void Append(std::vector<Operation>& to, std::vector<Operation> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace varve
