#include "store/volume/view.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "store/volume/volume_impl.h"

namespace varve {
namespace {

constexpr Cookie kNoUpperBound = std::numeric_limits<Cookie>::max();
constexpr std::size_t kMostEntriesAtOnce = 4096;
// Chunks that are looked at together when a file's data are counted.
constexpr ChunkIndex kCountedTogether = 1024;
constexpr ChunkIndex kFirstCounted = 4;  // then twice as many each time: most files are small

}  // namespace

Result<std::optional<InodeAttributes>> View::GetInode(InodeId inode) const {
  auto& impl = *volume_->impl_;
  if (IsNow()) {
    if (auto known = impl.tail.GetInode(inode)) return *known;
  }
  return impl.keeper.With([&](Catalog& catalog) { return catalog.GetInode(inode, at_); });
}

Result<std::optional<Entry>> View::Lookup(InodeId parent, std::string_view name) const {
  auto& impl = *volume_->impl_;
  if (IsNow()) {
    if (auto known = impl.tail.Lookup(parent, name)) return *known;
  }
  return impl.keeper.With([&](Catalog& catalog) { return catalog.Lookup(parent, name, at_); });
}

Result<std::vector<Entry>> View::List(InodeId parent, Cookie after, std::size_t limit) const {
  CHECK(IsNow());
  std::vector<Entry> entries;
  Cookie cursor = after;
  // Each round asks for twice as much: of what the catalog lists, the tail may have removed nearly
  // all.
  for (std::size_t wanted = limit; entries.size() < limit && cursor != kNoUpperBound;
       wanted = std::min(2 * wanted, std::max(limit, kMostEntriesAtOnce))) {
    RETURN_IF_ERROR(ListRound(parent, wanted, cursor, entries));
  }
  if (entries.size() > limit) entries.resize(limit);
  return entries;
}

Status View::ListRound(InodeId parent, std::size_t wanted, Cookie& cursor,
                       std::vector<Entry>& entries) const {
  auto& impl = *volume_->impl_;
  // The catalog is asked first here, so the tail must not have been trimmed in between.
  while (true) {
    const std::uint64_t trims = impl.tail.trims();
    ASSIGN_OR_RETURN(std::vector<Entry> page, impl.keeper.With([&](Catalog& catalog) {
      return catalog.List(parent, cursor, wanted);
    }));
    const Cookie upto = page.size() == wanted ? page.back().cookie : kNoUpperBound;
    impl.tail.OverlayEntries(parent, cursor, upto, wanted, page);
    if (impl.tail.trims() != trims) continue;
    cursor = page.size() == wanted ? page.back().cookie : upto;
    entries.insert(entries.end(), std::make_move_iterator(page.begin()),
                   std::make_move_iterator(page.end()));
    return {};
  }
}

Result<std::vector<Entry>> View::ListThen(InodeId parent, std::string_view after,
                                          std::size_t limit) const {
  CHECK(!IsNow());
  return volume_->impl_->keeper.With(
      [&](Catalog& catalog) { return catalog.ListThen(parent, after, limit, at_); });
}

Result<bool> View::IsEmptyDirectory(InodeId inode) const {
  ASSIGN_OR_RETURN(std::vector<Entry> entries, List(inode, 0, 1));
  return entries.empty();
}

namespace {

// The states in the catalog that the overlays lie on, neighbours with one question.
Result<std::vector<PieceList>> ReadBases(CatalogKeeper& keeper,
                                         const std::vector<Tail::ChunkOverlay>& overlays,
                                         Patience patience) {
  std::vector<PieceList> states(overlays.size());
  for (std::size_t begin = 0; begin < overlays.size();) {
    const std::optional<Tail::Base>& first = overlays[begin].base;
    std::size_t end = begin + 1;
    if (first) {
      while (end < overlays.size() &&
             overlays[end].base ==
                 Tail::Base{first->body, first->chunk + (end - begin), first->at}) {
        ++end;
      }
      const auto read = [&](Catalog& catalog) {
        return catalog.Chunks(first->body, first->chunk, first->chunk + (end - begin) - 1,
                              first->at);
      };
      ASSIGN_OR_RETURN(auto run, keeper.With(read, patience));
      for (auto& [chunk, pieces] : run) {
        states[begin + static_cast<std::size_t>(chunk - first->chunk)] = std::move(pieces);
      }
    }
    begin = end;
  }
  return states;
}

}  // namespace

Result<PieceList> View::GetChunk(BodyId body, ChunkIndex chunk) const {
  ASSIGN_OR_RETURN(std::vector<PieceList> chunks, GetChunks(body, chunk, chunk));
  return std::move(chunks.front());
}

Result<std::vector<PieceList>> View::GetChunks(BodyId body, ChunkIndex first, ChunkIndex last,
                                               Patience patience) const {
  auto& impl = *volume_->impl_;
  std::vector<Tail::ChunkOverlay> overlays;
  overlays.reserve(static_cast<std::size_t>(last - first + 1));
  for (ChunkIndex chunk = first; chunk <= last; ++chunk) {
    overlays.push_back(IsNow() ? impl.tail.GetChunk(body, chunk)
                               : Tail::ChunkOverlay{Tail::Base{body, chunk, at_}, {}});
  }
  ASSIGN_OR_RETURN(std::vector<PieceList> chunks, ReadBases(impl.keeper, overlays, patience));
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const PieceList& over = overlays[i].pieces;
    if (!over.empty()) chunks[i] = Overlay(chunks[i], over, Holes::kDrop);
  }
  return chunks;
}

namespace {

// Copies the part of `piece` that falls into the chunk range [from, to) to `out`, which begins at
// chunk offset `from`. Extents that are wanted whole are left to `later`.
Status ReadPiece(StripeReader& reader, const Piece& piece, std::uint32_t from, std::uint32_t to,
                 MutableByteSpan out, std::vector<ExtentRead>& later) {
  const std::uint32_t begin = std::max(piece.chunk_offset, from);
  const std::uint32_t end = std::min(piece.end(), to);
  if (begin >= end) return {};
  const std::uint32_t raw_begin = piece.raw_offset + (begin - piece.chunk_offset);
  MutableByteSpan target = out.subspan(begin - from, end - begin);
  ExtentRef extent = piece.extent;
  if (piece.pending) {
    if (auto bytes = piece.pending->bytes()) {
      CHECK(raw_begin + target.size() <= bytes->size());
      std::memcpy(target.data(), bytes->data() + raw_begin, target.size());
      return {};
    }
    auto place = piece.pending->place();
    CHECK(place.has_value(), "a pending extent has neither bytes nor a place");
    extent = *place;
  }
  if (raw_begin == 0 && target.size() == extent.raw_bytes) {
    later.push_back({extent, target});
    return {};
  }
  return reader.ReadPart(extent, raw_begin, target);
}

// Zeros where no piece lies in `out`, which begins at chunk offset `from`. Pieces lie in order and
// do not overlap.
void FillHoles(const PieceList& pieces, std::uint32_t from, MutableByteSpan out) {
  const auto to = from + static_cast<std::uint32_t>(out.size());
  std::uint32_t at = from;
  const auto fill_to = [&](std::uint32_t end) {
    if (at < end) std::ranges::fill(out.subspan(at - from, end - at), std::byte{0});
  };
  for (const Piece& piece : pieces) {
    fill_to(std::min(piece.chunk_offset, to));
    at = std::max(at, piece.end());
  }
  fill_to(to);
}

}  // namespace

Status View::Read(BodyId body, std::uint64_t offset, MutableByteSpan out) const {
  if (out.empty()) return {};
  if (!body) {
    std::ranges::fill(out, std::byte{0});
    return {};
  }
  auto& impl = *volume_->impl_;
  const ChunkIndex first = offset / kChunkBytes;
  const ChunkIndex last = (offset + out.size() - 1) / kChunkBytes;
  ASSIGN_OR_RETURN(const std::vector<PieceList> chunks, GetChunks(body, first, last));
  std::vector<ExtentRead> whole;
  for (ChunkIndex chunk = first; chunk <= last; ++chunk) {
    const std::uint64_t chunk_start = chunk * kChunkBytes;
    const auto from = static_cast<std::uint32_t>(offset > chunk_start ? offset - chunk_start : 0);
    const auto to = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(kChunkBytes, offset + out.size() - chunk_start));
    MutableByteSpan target = out.subspan(chunk_start + from - offset, to - from);
    FillHoles(chunks[chunk - first], from, target);
    for (const Piece& piece : chunks[chunk - first]) {
      RETURN_IF_ERROR(ReadPiece(impl.reader, piece, from, to, target, whole));
    }
  }
  return impl.reader.ReadExtents(whole);
}

namespace {

// The next chunk >= from that may hold data, of the tail's and the catalog's.
Result<std::optional<ChunkIndex>> NextChunk(CatalogKeeper& keeper, const Tail* tail, BodyId body,
                                            ChunkIndex from, Lsn at) {
  std::optional<ChunkIndex> next;
  ChunkIndex hidden = std::numeric_limits<ChunkIndex>::max();
  std::vector<Tail::CloneRun> clones;
  if (tail != nullptr) {
    // In this order: a clone that the applier has done with before it is asked for has taken with
    // it every earlier cut, which would hide its rows in the catalog.
    clones = tail->CloneRuns(body, from);
    hidden = tail->CatalogHiddenFrom(body);
    next = tail->NextChunk(body, from);
  }
  ASSIGN_OR_RETURN(auto stored, keeper.With([&](Catalog& catalog) {
    return catalog.NextChunk(body, from, at);
  }));
  if (stored && *stored < hidden && (!next || *stored < *next)) next = stored;
  for (const Tail::CloneRun& run : clones) {
    if (next && run.first >= *next) break;
    ASSIGN_OR_RETURN(const auto cloned, keeper.With([&](Catalog& catalog) {
      return catalog.NextChunk(run.base.body, run.base.chunk, run.base.at);
    }));
    if (!cloned || *cloned - run.base.chunk >= run.count) continue;
    next = std::min(next.value_or(kNoChunk), run.first + (*cloned - run.base.chunk));
    break;
  }
  return next;
}

}  // namespace

Result<std::uint64_t> View::NextData(BodyId body, std::uint64_t from, std::uint64_t size) const {
  auto& impl = *volume_->impl_;
  while (body && from < size) {
    ASSIGN_OR_RETURN(auto chunk, NextChunk(impl.keeper, IsNow() ? &impl.tail : nullptr, body,
                                           from / kChunkBytes, at_));
    if (!chunk) return size;
    ASSIGN_OR_RETURN(PieceList pieces, GetChunk(body, *chunk));
    const std::uint64_t start = *chunk * kChunkBytes;
    for (const Piece& piece : pieces) {
      if (start + piece.end() > from) {
        return std::min(size, std::max(from, start + piece.chunk_offset));
      }
    }
    from = start + kChunkBytes;
  }
  return size;
}

Result<std::uint64_t> View::CountData(BodyId body, std::uint64_t size) const {
  auto& impl = *volume_->impl_;
  std::uint64_t bytes = 0;
  const Tail* tail = IsNow() ? &impl.tail : nullptr;
  ChunkIndex together = kFirstCounted;
  for (ChunkIndex from = 0; body && from * kChunkBytes < size;) {
    ASSIGN_OR_RETURN(const auto first, NextChunk(impl.keeper, tail, body, from, at_));
    if (!first || *first * kChunkBytes >= size) break;
    from = std::min(*first + together, (size - 1) / kChunkBytes + 1);
    together = std::min(2 * together, kCountedTogether);
    ASSIGN_OR_RETURN(const auto chunks, GetChunks(body, *first, from - 1));
    for (ChunkIndex chunk = *first; chunk < from; ++chunk) {
      const std::uint64_t left = size - chunk * kChunkBytes;
      for (const Piece& piece : chunks[chunk - *first]) {
        if (piece.chunk_offset >= left) break;
        bytes += std::min<std::uint64_t>(piece.length, left - piece.chunk_offset);
      }
    }
  }
  return bytes;
}

Result<std::uint64_t> View::CountHoles(BodyId body, std::span<const ByteRange> ranges,
                                       Patience patience) const {
  std::uint64_t bytes = 0;
  const auto chunk_of = [&](std::size_t i) { return ranges[i].offset / kChunkBytes; };
  for (std::size_t begin = 0; begin < ranges.size();) {
    // Neighbouring chunks are asked for together.
    const ChunkIndex first = chunk_of(begin);
    std::size_t end = begin + 1;
    while (end < ranges.size() && chunk_of(end) <= chunk_of(end - 1) + 1 &&
           chunk_of(end) - first < kCountedTogether) {
      ++end;
    }
    std::vector<PieceList> chunks;
    ASSIGN_OR_RETURN(chunks, GetChunks(body, first, chunk_of(end - 1), patience));
    for (; begin < end; ++begin) {
      const auto from = static_cast<std::uint32_t>(ranges[begin].offset % kChunkBytes);
      const auto to = static_cast<std::uint32_t>(from + ranges[begin].length);
      bytes += ranges[begin].length;
      for (const Piece& piece : chunks[chunk_of(begin) - first]) {
        const std::uint32_t both_from = std::max(from, piece.chunk_offset);
        const std::uint32_t both_to = std::min(to, piece.end());
        if (both_from < both_to) bytes -= both_to - both_from;
      }
    }
  }
  return bytes;
}

Result<std::uint64_t> View::NextHole(BodyId body, std::uint64_t from, std::uint64_t size) const {
  if (!body) return from;
  while (from < size) {
    const ChunkIndex chunk = from / kChunkBytes;
    ASSIGN_OR_RETURN(PieceList pieces, GetChunk(body, chunk));
    const std::uint64_t start = chunk * kChunkBytes;
    for (const Piece& piece : pieces) {
      if (start + piece.end() <= from) continue;
      if (start + piece.chunk_offset > from) return from;
      from = start + piece.end();
    }
    if (from < start + kChunkBytes) return std::min(from, size);
  }
  return size;
}

Result<std::optional<std::string>> View::GetXattr(InodeId inode, std::string_view name) const {
  auto& impl = *volume_->impl_;
  if (IsNow()) {
    if (auto known = impl.tail.GetXattr(inode, name)) return *known;
  }
  return impl.keeper.With([&](Catalog& catalog) { return catalog.GetXattr(inode, name, at_); });
}

Result<std::vector<std::string>> View::ListXattrs(InodeId inode) const {
  auto& impl = *volume_->impl_;
  std::vector<std::string> names;
  while (true) {
    const std::uint64_t trims = impl.tail.trims();
    ASSIGN_OR_RETURN(
        names, impl.keeper.With([&](Catalog& catalog) { return catalog.ListXattrs(inode, at_); }));
    if (!IsNow()) return names;
    impl.tail.OverlayXattrs(inode, names);
    if (impl.tail.trims() == trims) return names;
  }
}

}  // namespace varve
