// What the tables say last of things that were touched lately, so that applying the next change to
// them need not ask. Bounded: of two things with one place the older is forgotten.
#pragma once

#include <cstdint>
#include <vector>

#include "store/log/extent.h"

namespace varve {

// The writer's; nothing else writes the tables. Chunks are told once they are committed, owners as
// they are written; a transaction that is rolled back must be followed by Forget.
class Latest {
 public:
  Latest() : chunks_(kChunks), owners_(kOwners) {}

  // The chunk's state, perhaps empty; null: ask the table.
  const PieceList* FindChunk(std::uint64_t body, std::uint64_t chunk) const;
  void PutChunk(std::uint64_t body, std::uint64_t chunk, PieceList pieces);
  // Has `body_owner` this row? False: ask the table.
  bool HasOwner(std::uint64_t body, std::uint64_t inode) const;
  void PutOwner(std::uint64_t body, std::uint64_t inode);
  void Forget() { *this = Latest(); }

 private:
  // Some 3 MiB when all are single pieces, 14 MiB at most.
  static constexpr std::size_t kChunks = 16 * 1024;
  static constexpr std::size_t kMostPieces = 6;
  static constexpr std::size_t kOwners = 64 * 1024;

  struct Chunk {
    std::uint64_t body = 0;  // 0: nothing here
    std::uint64_t chunk = 0;
    PieceList pieces;
  };
  struct Owner {
    std::uint64_t body = 0;
    std::uint64_t inode = 0;
  };

  std::vector<Chunk> chunks_;
  std::vector<Owner> owners_;
};

}  // namespace varve
