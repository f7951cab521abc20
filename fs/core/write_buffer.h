// What has been written to one file and not yet cut into the volume. Pure; locked by its owner.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "store/base/bytes.h"
#include "store/log/extent.h"
#include "store/volume/view.h"

namespace varve {

// Runs of dirty bytes, sparse, never overlapping, never crossing a chunk. Neighbours within a chunk
// are one run, so that a run becomes one extent when it is cut, without another copy.
// A chunk of the file and the pieces to lay over it.
struct WriteChunkPieces {
  ChunkIndex chunk = 0;
  PieceList pieces;
};

class WriteBuffer {
 public:
  void Write(std::uint64_t offset, ByteSpan bytes);
  // Lays the dirty bytes of [offset, offset + out.size()) over what `out` holds.
  void Overlay(std::uint64_t offset, MutableByteSpan out) const;
  // Is all of [offset, offset + length) dirty?
  bool Covers(std::uint64_t offset, std::uint64_t length) const;

  bool empty() const { return runs_.empty(); }
  std::uint64_t bytes() const { return bytes_; }
  // Bytes in chunks that are dirty from end to end.
  std::uint64_t full_chunk_bytes() const { return full_chunk_bytes_; }

  // What is dirty, in order; no range crosses a chunk.
  std::vector<View::ByteRange> Ranges() const;

  // Takes everything out as chunks to be written, in order; each run is one pending extent.
  std::vector<WriteChunkPieces> Take();
  // Puts back what Take gave, when it could not be committed. Nothing may have been written since.
  void Restore(const std::vector<WriteChunkPieces>& chunks);
  void Clear();

 private:
  void WriteInChunk(std::uint64_t offset, ByteSpan bytes);
  void Merge(std::uint64_t offset, ByteSpan bytes);
  void Insert(std::uint64_t offset, ByteVector bytes);

  using Runs = std::map<std::uint64_t, ByteVector>;  // by offset
  // First run that ends at or after `offset`.
  Runs::iterator FirstTouching(std::uint64_t offset);

  Runs runs_;
  std::uint64_t bytes_ = 0;
  std::uint64_t full_chunk_bytes_ = 0;
};

}  // namespace varve
