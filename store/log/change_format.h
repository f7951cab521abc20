// The encoding of a change. "bytes" and "name" stand for a varint length and that many bytes;
// "time" for the zigzag varint of the difference to the change's time, modulo 2^64; all other plain
// words for varints, unless u8 or u64 is said.
//
//   change           lsn, zigzag time_ns, u8 kind, count of operations, operations
//   operation        u8 tag, then by tag:
//    1 PutInode        inode, mode, uid, gid, nlink, size, rdev, then the times of access,
//                      modification, change and birth, then body, parent, bytes target
//    2 RemoveInode     inode
//    3 PutEntry        parent, name, inode, type, cookie
//    4 RemoveEntry     parent, name
//    5 PutXattr        inode, name, bytes value
//    6 RemoveXattr     inode, name
//    7 WriteChunk      body, chunk, count of pieces, pieces
//    8 PutChunk        body, chunk, the pieces as EncodePieces writes them (extent.h)
//    9 CutChunks       body, first chunk
//   10 PutSnapshot     name, lsn, time
//   11 RemoveSnapshot  name
//   12 PutSegment      as EncodeSegment writes it (stripe.h)
//   13 PutStripe       as EncodeStripe writes it (stripe.h)
//   14 CloneChunks     body, lsn as of which (0: now), first chunk, body cloned to, first chunk
//                      there, count
//   15 PutSparseInode  as PutInode: a file that may have holes
//   piece            gap since the piece before, length, u8 tag, then by tag:
//    0 hole
//    1 at rest         raw offset, the extent as EncodeExtentRef writes it (extent.h)
//    2 inline          raw offset, u8 codec, raw length, bytes as stored, u64 checksum of these
//    3 inline again    raw offset, number of an earlier inline piece of this operation, from 0
//
// A change carries no checksum of its own: what holds it (a journal frame, a checkpoint link) has
// one. Inline bytes do, for they are moved into stripes without being looked at otherwise.
#pragma once

#include <cstdint>

namespace varve {

// Tags of operations: stable, part of the on-disk format. Never renumber, never reuse.
enum class OperationTag : std::uint8_t {
  kPutInode = 1,
  kRemoveInode = 2,
  kPutEntry = 3,
  kRemoveEntry = 4,
  kPutXattr = 5,
  kRemoveXattr = 6,
  kWriteChunk = 7,
  kPutChunk = 8,
  kCutChunks = 9,
  kPutSnapshot = 10,
  kRemoveSnapshot = 11,
  kPutSegment = 12,
  kPutStripe = 13,
  kCloneChunks = 14,
  kPutSparseInode = 15,
};

// What a piece of a WriteChunk is made of.
enum class PieceTag : std::uint8_t {
  kHole = 0,
  kAtRest = 1,
  kInline = 2,       // the extent's bytes stand here
  kInlineAgain = 3,  // the extent of an earlier inline piece of the same operation
};

// Small numbers of either sign become small numbers.
inline std::uint64_t ZigZag(std::uint64_t v) { return (v << 1) ^ (0 - (v >> 63)); }
inline std::uint64_t UnZigZag(std::uint64_t v) { return (v >> 1) ^ (0 - (v & 1)); }

}  // namespace varve
