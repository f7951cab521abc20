// Words for the catalog's tests: a model that remembers the state after every change, and random
// changes to feed both.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/catalog/catalog.h"

namespace varve {

// From VARVE_SEED if that is set; otherwise new each time. Printed.
std::uint64_t TestSeed();

CatalogIdentity TestIdentity();

// Small values for building changes by hand.
InodeAttributes FileAttributes(BodyId body, std::uint64_t size);
Change MakeChange(std::uint64_t lsn, std::vector<Operation> operations);
// A piece of `length` bytes at `chunk_offset`, out of an extent at rest in `stripe`.
Piece RestPiece(StripeId stripe, std::uint32_t chunk_offset, std::uint32_t length,
                std::uint32_t raw_offset);
StripeDescriptor TestStripe(StripeId id);

std::vector<const Change*> Pointers(const std::vector<Change>& changes, std::size_t first,
                                    std::size_t count);

// The tree at one moment, kept in the plainest way: a chunk is sixteen cells, each the extent's
// stripe and the position in it.
struct ModelState {
  using Cell = std::pair<std::uint64_t, std::uint32_t>;  // stripe 0: hole
  static constexpr std::uint32_t kCellBytes = 4096;
  using Cells = std::array<Cell, kChunkBytes / kCellBytes>;

  std::map<std::uint64_t, InodeAttributes> inodes;
  std::map<std::pair<std::uint64_t, std::string>, Entry> entries;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Cells> chunks;  // none of them all holes
  std::map<std::pair<std::uint64_t, std::string>, std::string> xattrs;
  TimeNs time_ns = 0;

  // `states`: those after each change before this one, for what is cloned from the past.
  void Do(const Change& change, const std::vector<ModelState>& states);
};
ModelState::Cells CellsOf(const PieceList& pieces);

// Random changes over a small world, so that the same things are touched again and again, together
// with the state after each: states()[lsn], states()[0] being empty.
class RandomHistory {
 public:
  explicit RandomHistory(std::uint64_t seed) : random_(seed) { states_.emplace_back(); }

  // One more change; its LSN is the number of changes so far.
  const Change& Next();
  const std::vector<Change>& changes() const { return changes_; }
  const std::vector<ModelState>& states() const { return states_; }
  std::uint64_t Pick(std::uint64_t bound) {  // 0..bound-1
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
  }

  static constexpr std::uint64_t kInodes = 24;
  static constexpr std::uint64_t kDirectories = 4;
  static constexpr std::uint64_t kNames = 12;
  static constexpr std::uint64_t kBodies = 5;
  static constexpr std::uint64_t kChunks = 40;
  static constexpr std::uint64_t kXattrs = 3;

 private:
  Operation RandomOperation();
  PieceList RandomPieces(bool with_pending);

  std::mt19937_64 random_;
  std::uint64_t next_cookie_ = 1;
  std::vector<Change> changes_;
  std::vector<ModelState> states_;
};

// The digest of a catalog to which the first `count` of the changes have been applied, no more.
std::uint64_t DigestOf(const std::vector<Change>& changes, std::size_t count);

// Compares everything that can be asked about the moment; test failures name what differs.
void ExpectState(Catalog& catalog, Lsn at, const ModelState& state);

}  // namespace varve
