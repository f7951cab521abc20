// Tail: chunks that have been cloned, as long as the catalog does not have them under their new
// body. A clone is kept as runs that point at what lay in the catalog under the source, as of the
// clone's LSN: history rows do not change, so that stays the answer whatever becomes of the source.
// What the tail itself knew of the source is copied; laying it over a row that has it already
// changes nothing.
#include <algorithm>
#include <limits>
#include <mutex>

#include "store/volume/tail.h"

namespace varve {
namespace {

std::optional<Tail::Base> Shifted(const std::optional<Tail::Base>& base, std::uint64_t chunks) {
  if (!base) return std::nullopt;
  return Tail::Base{base->body, base->chunk + chunks, base->at};
}

}  // namespace

void Tail::Uncover(std::map<ChunkIndex, Clone>& clones, ChunkIndex first, ChunkIndex end) {
  auto it = clones.upper_bound(first);
  if (it != clones.begin()) --it;
  while (it != clones.end() && it->first < end) {
    const ChunkIndex clone_first = it->first;
    const Clone clone = it->second;
    const ChunkIndex clone_end = clone_first + clone.count;
    if (clone_end <= first) {
      ++it;
      continue;
    }
    it = clones.erase(it);
    if (clone_first < first) {
      clones.emplace(clone_first, Clone{first - clone_first, clone.base, clone.lsn});
    }
    if (clone_end > end) {
      clones.emplace(end,
                     Clone{clone_end - end, Shifted(clone.base, end - clone_first), clone.lsn});
    }
  }
}

std::map<ChunkIndex, Tail::Clone> Tail::ClonesOf(const Body& source, BodyId id, ChunkIndex first,
                                                 std::uint64_t count, Lsn lsn) {
  const ChunkIndex end = first + count;
  ChunkIndex hidden = std::numeric_limits<ChunkIndex>::max();
  for (const Cut& cut : source.cuts) hidden = std::min(hidden, cut.first);
  std::map<ChunkIndex, Clone> clones;
  if (first < hidden) {
    clones.emplace(first, Clone{std::min(end, hidden) - first, Base{id, first, lsn}, lsn});
  }
  if (hidden < end) {
    const ChunkIndex from = std::max(first, hidden);
    clones.emplace(from, Clone{end - from, std::nullopt, lsn});
  }
  // A clone of a clone points at what that one points at.
  auto it = source.clones.upper_bound(first);
  if (it != source.clones.begin()) --it;
  for (; it != source.clones.end() && it->first < end; ++it) {
    const ChunkIndex from = std::max(first, it->first);
    const ChunkIndex to = std::min(end, it->first + it->second.count);
    if (from >= to) continue;
    Uncover(clones, from, to);
    clones.emplace(from, Clone{to - from, Shifted(it->second.base, from - it->first), lsn});
  }
  return clones;
}

std::map<ChunkIndex, Tail::Chunk> Tail::ChunksOf(const Body& source, ChunkIndex first,
                                                 std::uint64_t count, Lsn lsn) {
  std::map<ChunkIndex, Chunk> chunks(source.chunks.lower_bound(first),
                                     source.chunks.lower_bound(first + count));
  for (auto& [index, chunk] : chunks) {
    if (chunk.replaced) chunk.replaced = lsn;
    for (TaggedPiece& piece : chunk.pieces) piece.lsn = lsn;
  }
  return chunks;
}

void Tail::AddClone(const CloneChunks& op, Lsn lsn) {
  std::map<ChunkIndex, Clone> clones;
  std::map<ChunkIndex, Chunk> chunks;
  const auto source = bodies_.find(op.from);
  if (op.at || source == bodies_.end()) {
    const Lsn at = op.at ? op.at : lsn;
    clones.emplace(op.from_first, Clone{op.count, Base{op.from, op.from_first, at}, lsn});
  } else {
    clones = ClonesOf(source->second, op.from, op.from_first, op.count, lsn);
    chunks = ChunksOf(source->second, op.from_first, op.count, lsn);
  }
  const auto moved = [&](ChunkIndex chunk) { return chunk - op.from_first + op.to_first; };
  const ChunkIndex end = op.to_first + op.count;
  Body& target = bodies_[op.to];
  target.chunks.erase(target.chunks.lower_bound(op.to_first), target.chunks.lower_bound(end));
  Uncover(target.clones, op.to_first, end);
  for (const auto& [chunk, clone] : clones) target.clones.emplace(moved(chunk), clone);
  for (auto& [chunk, state] : chunks) target.chunks.emplace(moved(chunk), std::move(state));
}

std::vector<Tail::CloneRun> Tail::CloneRuns(BodyId body, ChunkIndex from) const {
  std::vector<CloneRun> runs;
  std::shared_lock lock(mutex_);
  const auto found = bodies_.find(body);
  if (found == bodies_.end()) return runs;
  for (const auto& [first, clone] : found->second.clones) {
    if (first + clone.count <= from || !clone.base) continue;
    const std::uint64_t skipped = from > first ? from - first : 0;
    runs.push_back({first + skipped, clone.count - skipped, *Shifted(clone.base, skipped)});
  }
  return runs;
}

std::size_t Tail::CloneCost(BodyId body, ChunkIndex first, std::uint64_t count) const {
  std::shared_lock lock(mutex_);
  const auto found = bodies_.find(body);
  if (found == bodies_.end()) return 0;
  const Body& source = found->second;
  std::size_t cost = source.clones.size();
  for (auto it = source.chunks.lower_bound(first);
       it != source.chunks.end() && it->first < first + count; ++it) {
    cost += 1 + it->second.pieces.size();
  }
  return cost;
}

}  // namespace varve
