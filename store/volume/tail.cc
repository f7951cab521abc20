#include "store/volume/tail.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <mutex>
#include <unordered_set>

namespace varve {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

void Tail::Add(const Change& change) {
  std::unique_lock lock(mutex_);
  for (const Operation& operation : change.operations) AddOperation(operation, change.lsn);
}

void Tail::AddOperation(const Operation& operation, Lsn lsn) {
  std::visit(
      Overloaded{
          [&](const PutInode& op) { inodes_[op.inode] = {op.attributes, lsn}; },
          [&](const RemoveInode& op) { inodes_[op.inode] = {std::nullopt, lsn}; },
          [&](const PutEntry& op) { SetEntry(op.parent, op.entry.name, &op.entry, lsn); },
          [&](const RemoveEntry& op) { SetEntry(op.parent, op.name, nullptr, lsn); },
          [&](const PutXattr& op) { xattrs_[op.inode][op.name] = {op.value, lsn}; },
          [&](const RemoveXattr& op) { xattrs_[op.inode][op.name] = {std::nullopt, lsn}; },
          [&](const WriteChunk& op) { Lay(bodies_[op.body].chunks[op.chunk], op.pieces, lsn); },
          [&](const PutChunk& op) {
            Body& body = bodies_[op.body];
            Uncover(body.clones, op.chunk, op.chunk + 1);
            Chunk& chunk = body.chunks[op.chunk];
            chunk.pieces.clear();
            chunk.replaced = lsn;
            Lay(chunk, op.pieces, lsn);
          },
          [&](const CutChunks& op) {
            Body& body = bodies_[op.body];
            body.chunks.erase(body.chunks.lower_bound(op.first), body.chunks.end());
            Uncover(body.clones, op.first, std::numeric_limits<ChunkIndex>::max());
            body.cuts.push_back({op.first, lsn});
          },
          [&](const CloneChunks& op) { AddClone(op, lsn); },
          // Snapshots are asked of the catalog; storage is the StripeIndex's.
          [](const PutSnapshot&) {}, [](const RemoveSnapshot&) {}, [](const PutSegment&) {},
          [](const PutStripe&) {}},
      operation);
}

void Tail::SetEntry(InodeId parent, const std::string& name, const Entry* entry, Lsn lsn) {
  Directory& directory = directories_[parent];
  Latest<Entry>& latest = directory.names[name];
  if (latest.value) directory.by_cookie.erase(latest.value->cookie);
  latest.lsn = lsn;
  latest.value.reset();
  if (entry != nullptr) {
    latest.value = *entry;
    directory.by_cookie[entry->cookie] = name;
  }
}

void Tail::Lay(Chunk& chunk, const PieceList& over, Lsn lsn) {
  std::vector<TaggedPiece> left;  // of the old ones, beside the new
  left.reserve(chunk.pieces.size() + over.size());
  auto next = over.begin();
  for (const auto& [old, old_lsn] : chunk.pieces) {
    std::uint32_t from = old.chunk_offset;
    while (next != over.end() && next->end() <= from) ++next;
    for (auto cover = next; cover != over.end() && cover->chunk_offset < old.end(); ++cover) {
      if (cover->chunk_offset > from)
        left.push_back({old.Clip(from, cover->chunk_offset), old_lsn});
      from = cover->end();
    }
    if (from < old.end()) left.push_back({old.Clip(from, old.end()), old_lsn});
  }
  std::vector<TaggedPiece> laid;
  laid.reserve(over.size());
  for (const Piece& piece : over) laid.push_back({piece, lsn});
  chunk.pieces.clear();
  std::merge(left.begin(), left.end(), laid.begin(), laid.end(), std::back_inserter(chunk.pieces),
             [](const TaggedPiece& a, const TaggedPiece& b) {
               return a.piece.chunk_offset < b.piece.chunk_offset;
             });
}

void Tail::Trim(std::span<const std::shared_ptr<Change>> applied) {
  if (applied.empty()) return;
  const Lsn upto = applied.back()->lsn;
  std::unique_lock lock(mutex_);
  std::unordered_set<BodyId> bodies;
  for (const auto& change : applied) {
    for (const Operation& operation : change->operations) TrimOperation(operation, upto, bodies);
  }
  for (BodyId body : bodies) TrimBody(body, upto);
  trims_.fetch_add(1, std::memory_order_release);
}

void Tail::TrimOperation(const Operation& operation, Lsn applied,
                         std::unordered_set<BodyId>& bodies) {
  auto trim_inode = [&](InodeId inode) {
    auto it = inodes_.find(inode);
    if (it != inodes_.end() && it->second.lsn <= applied) inodes_.erase(it);
  };
  std::visit(
      Overloaded{[&](const PutInode& op) { trim_inode(op.inode); },
                 [&](const RemoveInode& op) { trim_inode(op.inode); },
                 [&](const PutEntry& op) { TrimEntry(op.parent, op.entry.name, applied); },
                 [&](const RemoveEntry& op) { TrimEntry(op.parent, op.name, applied); },
                 [&](const PutXattr& op) { TrimXattr(op.inode, op.name, applied); },
                 [&](const RemoveXattr& op) { TrimXattr(op.inode, op.name, applied); },
                 [&](const WriteChunk& op) { bodies.insert(op.body); },
                 [&](const PutChunk& op) { bodies.insert(op.body); },
                 [&](const CutChunks& op) { bodies.insert(op.body); },
                 [&](const CloneChunks& op) { bodies.insert(op.to); }, [](const PutSnapshot&) {},
                 [](const RemoveSnapshot&) {}, [](const PutSegment&) {}, [](const PutStripe&) {}},
      operation);
}

void Tail::TrimEntry(InodeId parent, const std::string& name, Lsn applied) {
  auto directory = directories_.find(parent);
  if (directory == directories_.end()) return;
  auto it = directory->second.names.find(name);
  if (it == directory->second.names.end() || it->second.lsn > applied) return;
  if (it->second.value) directory->second.by_cookie.erase(it->second.value->cookie);
  directory->second.names.erase(it);
  if (directory->second.names.empty()) directories_.erase(directory);
}

void Tail::TrimXattr(InodeId inode, const std::string& name, Lsn applied) {
  auto of_inode = xattrs_.find(inode);
  if (of_inode == xattrs_.end()) return;
  auto it = of_inode->second.find(name);
  if (it == of_inode->second.end() || it->second.lsn > applied) return;
  of_inode->second.erase(it);
  if (of_inode->second.empty()) xattrs_.erase(of_inode);
}

void Tail::TrimBody(BodyId id, Lsn applied) {
  auto it = bodies_.find(id);
  if (it == bodies_.end()) return;
  Body& body = it->second;
  std::erase_if(body.cuts, [&](const Cut& cut) { return cut.lsn <= applied; });
  std::erase_if(body.clones, [&](const auto& clone) { return clone.second.lsn <= applied; });
  for (auto chunk = body.chunks.begin(); chunk != body.chunks.end();) {
    Chunk& state = chunk->second;
    std::erase_if(state.pieces, [&](const TaggedPiece& p) { return p.lsn <= applied; });
    if (state.replaced <= applied) state.replaced = Lsn{};
    chunk = state.pieces.empty() && !state.replaced ? body.chunks.erase(chunk) : std::next(chunk);
  }
  if (body.cuts.empty() && body.chunks.empty() && body.clones.empty()) bodies_.erase(it);
}

std::optional<std::optional<InodeAttributes>> Tail::GetInode(InodeId inode) const {
  std::shared_lock lock(mutex_);
  auto it = inodes_.find(inode);
  if (it == inodes_.end()) return std::nullopt;
  return it->second.value;
}

std::optional<std::optional<Entry>> Tail::Lookup(InodeId parent, std::string_view name) const {
  std::shared_lock lock(mutex_);
  auto directory = directories_.find(parent);
  if (directory == directories_.end()) return std::nullopt;
  auto it = directory->second.names.find(name);
  if (it == directory->second.names.end()) return std::nullopt;
  return it->second.value;
}

std::optional<std::optional<std::string>> Tail::GetXattr(InodeId inode,
                                                         std::string_view name) const {
  std::shared_lock lock(mutex_);
  auto of_inode = xattrs_.find(inode);
  if (of_inode == xattrs_.end()) return std::nullopt;
  auto it = of_inode->second.find(name);
  if (it == of_inode->second.end()) return std::nullopt;
  return it->second.value;
}

void Tail::OverlayXattrs(InodeId inode, std::vector<std::string>& names) const {
  std::shared_lock lock(mutex_);
  auto of_inode = xattrs_.find(inode);
  if (of_inode == xattrs_.end()) return;
  std::erase_if(names, [&](const std::string& name) { return of_inode->second.contains(name); });
  for (const auto& [name, latest] : of_inode->second) {
    if (latest.value) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
}

void Tail::OverlayEntries(InodeId parent, Cookie after, Cookie upto, std::size_t limit,
                          std::vector<Entry>& page) const {
  std::shared_lock lock(mutex_);
  auto it = directories_.find(parent);
  if (it == directories_.end()) return;
  const Directory& directory = it->second;
  std::erase_if(page, [&](const Entry& entry) { return directory.names.contains(entry.name); });
  std::size_t taken = 0;  // a huge directory may be in the tail as a whole: not for every page
  for (auto live = directory.by_cookie.upper_bound(after);
       live != directory.by_cookie.end() && live->first <= upto && taken < limit; ++live, ++taken) {
    page.push_back(*directory.names.find(live->second)->second.value);
  }
  std::sort(page.begin(), page.end(),
            [](const Entry& a, const Entry& b) { return a.cookie < b.cookie; });
  if (page.size() > limit) page.resize(limit);
}

Tail::ChunkOverlay Tail::GetChunk(BodyId body, ChunkIndex chunk) const {
  ChunkOverlay overlay{Base{body, chunk}, {}};
  std::shared_lock lock(mutex_);
  auto it = bodies_.find(body);
  if (it == bodies_.end()) return overlay;
  auto clone = it->second.clones.upper_bound(chunk);
  if (clone != it->second.clones.begin()) --clone;
  if (clone != it->second.clones.end() && clone->first <= chunk &&
      chunk - clone->first < clone->second.count) {
    overlay.base = clone->second.base;
    if (overlay.base) overlay.base->chunk += chunk - clone->first;
  } else {
    const auto& cuts = it->second.cuts;
    if (std::any_of(cuts.begin(), cuts.end(), [&](const Cut& c) { return chunk >= c.first; })) {
      overlay.base.reset();
    }
  }
  auto state = it->second.chunks.find(chunk);
  if (state == it->second.chunks.end()) return overlay;
  if (state->second.replaced) overlay.base.reset();
  overlay.pieces.reserve(state->second.pieces.size());
  for (const TaggedPiece& tagged : state->second.pieces) overlay.pieces.push_back(tagged.piece);
  return overlay;
}

std::optional<ChunkIndex> Tail::NextChunk(BodyId body, ChunkIndex from) const {
  std::shared_lock lock(mutex_);
  auto it = bodies_.find(body);
  if (it == bodies_.end()) return std::nullopt;
  auto chunk = it->second.chunks.lower_bound(from);
  if (chunk == it->second.chunks.end()) return std::nullopt;
  return chunk->first;
}

ChunkIndex Tail::CatalogHiddenFrom(BodyId body) const {
  ChunkIndex first = std::numeric_limits<ChunkIndex>::max();
  std::shared_lock lock(mutex_);
  auto it = bodies_.find(body);
  if (it == bodies_.end()) return first;
  for (const Cut& cut : it->second.cuts) first = std::min(first, cut.first);
  return first;
}

}  // namespace varve
