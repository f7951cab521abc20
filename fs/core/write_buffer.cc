#include "fs/core/write_buffer.h"

#include <algorithm>
#include <utility>

#include "store/base/check.h"

namespace varve {
namespace {

std::uint64_t ChunkOf(std::uint64_t offset) { return offset / kChunkBytes; }
std::uint64_t EndOf(const std::pair<const std::uint64_t, ByteVector>& run) {
  return run.first + run.second.size();
}

}  // namespace

void WriteBuffer::Write(std::uint64_t offset, ByteSpan bytes) {
  while (!bytes.empty()) {
    const std::uint64_t room = kChunkBytes - offset % kChunkBytes;
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(room, bytes.size()));
    WriteInChunk(offset, bytes.first(part));
    offset += part;
    bytes = bytes.subspan(part);
  }
}

WriteBuffer::Runs::iterator WriteBuffer::FirstTouching(std::uint64_t offset) {
  auto run = runs_.upper_bound(offset);
  if (run != runs_.begin()) {
    const auto before = std::prev(run);
    if (EndOf(*before) >= offset) run = before;
  }
  return run;
}

void WriteBuffer::WriteInChunk(std::uint64_t offset, ByteSpan bytes) {
  const std::uint64_t end = offset + bytes.size();
  auto run = FirstTouching(offset);
  if (run != runs_.end() && ChunkOf(run->first) != ChunkOf(offset)) {
    run = std::next(run);  // the neighbour before ends where this chunk begins
  }
  if (run == runs_.end() || run->first > end || ChunkOf(run->first) != ChunkOf(offset)) {
    Insert(offset, ByteVector(bytes.begin(), bytes.end()));
    return;
  }
  const auto next = std::next(run);
  const bool alone =
      next == runs_.end() || next->first > end || ChunkOf(next->first) != ChunkOf(offset);
  if (run->first > offset || !alone) {
    Merge(offset, bytes);
    return;
  }
  // The common cases: overwriting inside one run, or appending to it.
  ByteVector& held = run->second;
  const std::uint64_t old_size = held.size();
  const std::size_t at = static_cast<std::size_t>(offset - run->first);
  const std::size_t inside = std::min(bytes.size(), held.size() - at);
  std::copy_n(bytes.begin(), inside, held.begin() + static_cast<std::ptrdiff_t>(at));
  if (inside < bytes.size()) {
    const std::size_t needed = at + bytes.size();
    if (needed > held.capacity()) {
      const std::size_t room = kChunkBytes - static_cast<std::size_t>(run->first % kChunkBytes);
      held.reserve(std::min(room, std::max(needed, 2 * held.size())));
    }
    held.insert(held.end(), bytes.begin() + static_cast<std::ptrdiff_t>(inside), bytes.end());
  }
  bytes_ += held.size() - old_size;
  if (held.size() == kChunkBytes && old_size != kChunkBytes) full_chunk_bytes_ += kChunkBytes;
}

// Joins all runs of the chunk that touch [offset, end) with the new bytes into one.
void WriteBuffer::Merge(std::uint64_t offset, ByteSpan bytes) {
  const std::uint64_t end = offset + bytes.size();
  auto run = FirstTouching(offset);
  if (ChunkOf(run->first) != ChunkOf(offset)) run = std::next(run);
  std::uint64_t from = std::min(offset, run->first);
  std::uint64_t to = end;
  auto last = run;
  while (last != runs_.end() && last->first <= end && ChunkOf(last->first) == ChunkOf(offset)) {
    to = std::max(to, EndOf(*last));
    ++last;
  }
  ByteVector joined(static_cast<std::size_t>(to - from));
  for (auto old = run; old != last;) {
    std::copy(old->second.begin(), old->second.end(),
              joined.begin() + static_cast<std::ptrdiff_t>(old->first - from));
    bytes_ -= old->second.size();
    if (old->second.size() == kChunkBytes) full_chunk_bytes_ -= kChunkBytes;
    old = runs_.erase(old);
  }
  std::copy(bytes.begin(), bytes.end(),
            joined.begin() + static_cast<std::ptrdiff_t>(offset - from));
  Insert(from, std::move(joined));
}

void WriteBuffer::Insert(std::uint64_t offset, ByteVector bytes) {
  bytes_ += bytes.size();
  if (bytes.size() == kChunkBytes) full_chunk_bytes_ += kChunkBytes;
  runs_.emplace(offset, std::move(bytes));
}

void WriteBuffer::Overlay(std::uint64_t offset, MutableByteSpan out) const {
  const std::uint64_t end = offset + out.size();
  auto run = runs_.upper_bound(offset);
  if (run != runs_.begin()) --run;
  for (; run != runs_.end() && run->first < end; ++run) {
    const std::uint64_t from = std::max(offset, run->first);
    const std::uint64_t to = std::min(end, EndOf(*run));
    if (from >= to) continue;
    std::copy_n(run->second.begin() + static_cast<std::ptrdiff_t>(from - run->first), to - from,
                out.begin() + static_cast<std::ptrdiff_t>(from - offset));
  }
}

bool WriteBuffer::Covers(std::uint64_t offset, std::uint64_t length) const {
  const std::uint64_t end = offset + length;
  auto run = runs_.upper_bound(offset);
  if (run != runs_.begin()) --run;
  for (; run != runs_.end() && offset < end; ++run) {
    if (EndOf(*run) <= offset) continue;
    if (run->first > offset) return false;
    offset = EndOf(*run);
  }
  return offset >= end;
}

std::vector<View::ByteRange> WriteBuffer::Ranges() const {
  std::vector<View::ByteRange> ranges;
  ranges.reserve(runs_.size());
  for (const auto& [offset, bytes] : runs_) ranges.push_back({offset, bytes.size()});
  return ranges;
}

std::vector<WriteChunkPieces> WriteBuffer::Take() {
  std::vector<WriteChunkPieces> chunks;
  for (auto& [offset, bytes] : runs_) {
    const ChunkIndex chunk = ChunkOf(offset);
    if (chunks.empty() || chunks.back().chunk != chunk) chunks.push_back({chunk, {}});
    Piece piece;
    piece.chunk_offset = static_cast<std::uint32_t>(offset % kChunkBytes);
    piece.length = static_cast<std::uint32_t>(bytes.size());
    piece.pending = std::make_shared<PendingExtent>(std::move(bytes));
    chunks.back().pieces.push_back(std::move(piece));
  }
  runs_.clear();
  bytes_ = 0;
  full_chunk_bytes_ = 0;
  return chunks;
}

void WriteBuffer::Restore(const std::vector<WriteChunkPieces>& chunks) {
  CHECK(runs_.empty());
  for (const WriteChunkPieces& chunk : chunks) {
    for (const Piece& piece : chunk.pieces) {
      const std::shared_ptr<const ByteVector> bytes = piece.pending->bytes();
      CHECK(bytes != nullptr, "a change that was refused has lost its bytes");
      Insert(chunk.chunk * kChunkBytes + piece.chunk_offset, *bytes);
    }
  }
}

void WriteBuffer::Clear() {
  runs_.clear();
  bytes_ = 0;
  full_chunk_bytes_ = 0;
}

}  // namespace varve
