// Rows as the domain's values. Nothing in a row is trusted: what is out of bounds is kCorrupt and
// the row is named.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "store/catalog/catalog.h"
#include "store/catalog/sqlite.h"

namespace varve {

// As in "catalog: entry of 12 since 40: a name of 0 bytes".
Error BadRow(const std::string& row, const std::string& why);

// An inode's attributes as they stand in its row: 20 to 40 bytes, for there is a row for every
// version of every file.
void EncodeAttributes(const InodeAttributes& attributes, Encoder& out);
// From the column `attributes`; nothing for a tombstone.
Result<std::optional<InodeAttributes>> ReadAttributes(const Statement& row, int column,
                                                      InodeId inode);
// From columns name, ino, type, cookie; nothing for a tombstone.
Result<std::optional<Entry>> ReadEntry(const Statement& row, int first_column, InodeId parent);
Result<PieceList> ReadPieces(ByteSpan blob, BodyId body, ChunkIndex chunk);
Result<StripeDescriptor> ReadStripe(ByteSpan blob, StripeId id);
Result<SegmentDescriptor> ReadSegment(ByteSpan blob, SegmentId id);

// Rows of one key stepped over before a new seek is worth it: a seek costs about as much as this
// many steps.
inline constexpr int kStepsBeforeSeek = 12;

// Chunks of `body` in first..last that have a state as of `at`, tombstones included, descending.
// A chunk's versions are stepped over one by one while they are few and leapt over by a new seek
// when they are many, so neither a wide range nor a long history makes it slow.
struct ChunkState {
  ChunkIndex chunk = 0;
  bool empty = true;
  PieceList pieces;  // if asked for
};
enum class Load { kPieces, kPresence };
Result<std::vector<ChunkState>> ReadChunkStates(Database& database, BodyId body, ChunkIndex first,
                                                ChunkIndex last, Lsn at, Load load);
// One chunk's state as of `at`; empty if it has none.
Result<PieceList> ReadChunk(Database& database, BodyId body, ChunkIndex chunk, Lsn at);
Result<std::optional<Entry>> ReadEntryAt(Database& database, InodeId parent, std::string_view name,
                                         Lsn at);

}  // namespace varve
