#include "store/catalog/latest.h"

#include <utility>

namespace varve {
namespace {

// Ids come one after the other, and so do the places of a run of them.
std::size_t PlaceOf(std::uint64_t id, std::uint64_t number, std::size_t places) {
  return static_cast<std::size_t>((id + number * 0x9E3779B97F4A7C15ULL) % places);
}

}  // namespace

const PieceList* Latest::FindChunk(std::uint64_t body, std::uint64_t chunk) const {
  const Chunk& place = chunks_[PlaceOf(body, chunk, kChunks)];
  return place.body == body && place.chunk == chunk && body != 0 ? &place.pieces : nullptr;
}

void Latest::PutChunk(std::uint64_t body, std::uint64_t chunk, PieceList pieces) {
  Chunk& place = chunks_[PlaceOf(body, chunk, kChunks)];
  if (pieces.size() <= kMostPieces) {
    if (pieces.capacity() > kMostPieces) pieces.shrink_to_fit();
    place = {body, chunk, std::move(pieces)};
  } else if (place.body == body && place.chunk == chunk) {
    place = {};
  }
}

bool Latest::HasOwner(std::uint64_t body, std::uint64_t inode) const {
  const Owner& place = owners_[PlaceOf(body, 0, kOwners)];
  return place.body == body && place.inode == inode && body != 0;
}

void Latest::PutOwner(std::uint64_t body, std::uint64_t inode) {
  owners_[PlaceOf(body, 0, kOwners)] = {body, inode};
}

}  // namespace varve
