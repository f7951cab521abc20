// A View: the tree at one moment, now or then. Now and then share one read path.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/ids.h"
#include "store/log/change.h"

namespace varve {

class Volume;

// Whether to wait while the catalog is being rebuilt, which may take minutes.
enum class Patience { kWait, kHurry };

// Cheap to copy, read-only, thread-safe; must not outlive its Volume. In the present it sees every
// change that Commit has returned for (the tail in memory over the catalog); in the past it never
// changes.
class View {
 public:
  struct ByteRange {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool operator==(const ByteRange&) const = default;
  };

  Lsn at() const { return at_; }
  bool IsNow() const { return at_ == kLsnNow; }

  Result<std::optional<InodeAttributes>> GetInode(InodeId inode) const;
  Result<std::optional<Entry>> Lookup(InodeId parent, std::string_view name) const;
  // Of the present: at most `limit` entries with cookie > after, by cookie. Fewer than `limit`:
  // there are no more.
  Result<std::vector<Entry>> List(InodeId parent, Cookie after, std::size_t limit) const;
  // Of the past, the same by name: cookies are in order at present only.
  Result<std::vector<Entry>> ListThen(InodeId parent, std::string_view after,
                                      std::size_t limit) const;
  Result<bool> IsEmptyDirectory(InodeId inode) const;

  // The chunk's full state (holes absent).
  Result<PieceList> GetChunk(BodyId body, ChunkIndex chunk) const;
  // The same of chunks first..last, all of them. kBusy, with kHurry, while the catalog is being
  // rebuilt.
  Result<std::vector<PieceList>> GetChunks(BodyId body, ChunkIndex first, ChunkIndex last,
                                           Patience patience = Patience::kWait) const;
  // Fills `out` with the bytes from `offset`; holes and everything without pieces read as zeros.
  // The caller clips to the file's size. Every byte is verified; kDataLost when it cannot be had.
  Status Read(BodyId body, std::uint64_t offset, MutableByteSpan out) const;
  // First offset >= from with data / without data, by pieces, not beyond `size`; `size` if none.
  Result<std::uint64_t> NextData(BodyId body, std::uint64_t from, std::uint64_t size) const;
  Result<std::uint64_t> NextHole(BodyId body, std::uint64_t from, std::uint64_t size) const;

  // Bytes of [0, size) that are not holes. Costs in proportion to the chunks that have data.
  Result<std::uint64_t> CountData(BodyId body, std::uint64_t size) const;
  // Bytes of the ranges that are holes. The ranges are in order and none crosses a chunk. Costs in
  // proportion to their number. kBusy as GetChunks.
  Result<std::uint64_t> CountHoles(BodyId body, std::span<const ByteRange> ranges,
                                   Patience patience = Patience::kWait) const;

  Result<std::optional<std::string>> GetXattr(InodeId inode, std::string_view name) const;
  Result<std::vector<std::string>> ListXattrs(InodeId inode) const;

 private:
  // What is left of the next `wanted` entries that the catalog lists after `cursor`, with the
  // tail's among them; moves `cursor` to where the list is complete.
  Status ListRound(InodeId parent, std::size_t wanted, Cookie& cursor,
                   std::vector<Entry>& entries) const;

  friend class Volume;
  View(Volume* volume, Lsn at) : volume_(volume), at_(at) {}
  Volume* volume_;
  Lsn at_;
};

}  // namespace varve
