// A Change: the unit of history. All or nothing, one LSN, one timestamp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "store/base/clock.h"
#include "store/base/ids.h"
#include "store/log/extent.h"
#include "store/log/stripe.h"

namespace varve {

struct InodeAttributes {
  std::uint32_t mode = 0;  // type and permissions, as st_mode
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t nlink = 0;  // 0: unlinked, kept only for those who have it open
  // Bytes; length of the target for a symbolic link; entries for a directory.
  std::uint64_t size = 0;
  std::uint64_t rdev = 0;
  TimeNs atime_ns = 0;
  TimeNs mtime_ns = 0;
  TimeNs ctime_ns = 0;
  TimeNs birth_ns = 0;
  BodyId body;         // regular files; 0 otherwise
  InodeId parent;      // the directory it was last linked into; the root is its own parent
  std::string target;  // of a symbolic link
  // May there be holes in it? Then st_blocks is counted, otherwise it follows from the size.
  bool sparse = false;
  bool operator==(const InodeAttributes&) const = default;
};

// Position of a name in its directory's listing; grows with each creation, never used by another
// name.
using Cookie = std::uint64_t;

struct Entry {
  std::string name;  // 1..255 bytes, any but '/' and NUL
  InodeId inode;
  std::uint32_t type = 0;  // S_IFMT bits
  Cookie cookie = 0;
  bool operator==(const Entry&) const = default;
};

// What was done, for people (varve log).
enum class ChangeKind : std::uint8_t {
  kFormat,
  kCreate,
  kMakeDirectory,
  kMakeNode,
  kSymlink,
  kLink,
  kUnlink,
  kRemoveDirectory,
  kRename,
  kWrite,
  kTruncate,
  kAttributes,
  kXattr,
  kRollback,
  kSnapshot,
  kMaintenance,
};
std::string_view ToString(ChangeKind kind);

// The operations of a Change. Each sets a whole value, so replaying one twice is harmless.
struct PutInode {
  InodeId inode;
  InodeAttributes attributes;
};
struct RemoveInode {
  InodeId inode;
};  // after the last link and the last open file are gone
struct PutEntry {
  InodeId parent;
  Entry entry;
};
struct RemoveEntry {
  InodeId parent;
  std::string name;
};
struct PutXattr {
  InodeId inode;
  std::string name;
  std::string value;
};
struct RemoveXattr {
  InodeId inode;
  std::string name;
};
// Lays pieces (new bytes and holes) over one chunk.
struct WriteChunk {
  BodyId body;
  ChunkIndex chunk = 0;
  PieceList pieces;
};
// Replaces the whole state of one chunk (rollback, clone): extents at rest only.
struct PutChunk {
  BodyId body;
  ChunkIndex chunk = 0;
  PieceList pieces;
};
// Empties every chunk from `first` on.
struct CutChunks {
  BodyId body;
  ChunkIndex first = 0;
};
// Makes chunks [to_first, to_first + count) of `to` what chunks [from_first, ...) of `from` are as
// of `at`, holes included: the same extents, no bytes are copied. One record however long the range
// is; the catalog's rows are made behind it. The ranges do not overlap.
struct CloneChunks {
  BodyId from;
  Lsn at;  // before this change's own; 0: as the changes before this one have left them
  ChunkIndex from_first = 0;
  BodyId to;
  ChunkIndex to_first = 0;
  std::uint64_t count = 0;  // 1..kMaxCloneChunks
  bool operator==(const CloneChunks&) const = default;
};
// Bounds what one change makes the catalog do at once: 4 GiB of a file.
inline constexpr std::uint64_t kMaxCloneChunks = 64 * 1024;
// And what is cloned with one change, and applied with one transaction, if it can be helped.
inline constexpr std::uint64_t kClonedTogether = 4096;
struct PutSnapshot {
  std::string name;
  Lsn lsn;
  TimeNs time_ns = 0;
};
struct RemoveSnapshot {
  std::string name;
};
// Storage, told by the same log: what was placed where.
struct PutSegment {
  SegmentDescriptor segment;
};
struct PutStripe {
  StripeDescriptor stripe;
};

using Operation = std::variant<PutInode, RemoveInode, PutEntry, RemoveEntry, PutXattr, RemoveXattr,
                               WriteChunk, PutChunk, CutChunks, CloneChunks, PutSnapshot,
                               RemoveSnapshot, PutSegment, PutStripe>;

struct Change {
  Lsn lsn;             // given by Volume::Commit
  TimeNs time_ns = 0;  // given by Volume::Commit; never before that of the change before it
  ChangeKind kind = ChangeKind::kMaintenance;
  std::vector<Operation> operations;
};

// Encoding of one change. A pending piece that has a place is written as that place; one without is
// written inline in a WriteChunk, LZ4 if that helps, with a checksum. CHECKs that PutChunk has
// none.
void EncodeChange(const Change& change, Encoder& out);
// Reads one change and leaves the decoder behind it. Inline pieces come back as pending extents
// with bytes and without a place. kCorrupt on any bound broken (names, sizes, counts, piece
// overlap).
Result<Change> DecodeChange(Decoder& in);

// Bytes in pending extents of the change that have no place yet.
std::uint64_t UnplacedBytes(const Change& change);
// Chunks that the change's clones may touch.
std::uint64_t ClonedChunks(const Change& change);
// Does it clone from before itself?
bool ClonesThePast(const Change& change);

}  // namespace varve
