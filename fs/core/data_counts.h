// How many bytes of a file are data and not holes, for st_blocks.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "store/base/synchronized.h"
#include "store/log/change.h"
#include "store/volume/view.h"

namespace varve {

// Only files that may have holes are counted; counting costs in proportion to their data, so the
// answers are kept, and that of the present is carried along where little is written. Thread-safe.
// Memory: bounded by kMost answers of either kind.
class DataCounts {
 public:
  // Of what is in the volume, in that view.
  Result<std::uint64_t> Of(const View& view, const InodeAttributes& attributes);

  struct Count {
    std::uint64_t ticket = 0;            // of those who count it
    std::optional<std::uint64_t> bytes;  // nothing yet: it is being counted
    std::uint32_t carried = 0;           // over so many changes since someone asked
  };

  // --- Around a commit, under the exclusive lock of the inode that has the body ---
  // What the present count of `body` will be with `ranges`, in order, written as data; nothing if
  // it is not known, cannot be had at once, or if counting anew, when someone asks, is cheaper.
  std::optional<Count> With(const View& now, BodyId body,
                            std::span<const View::ByteRange> ranges) const;
  // The bodies whose bytes a change changes; some of them more than once.
  static std::vector<BodyId> ChangedBy(const Change& change);
  // They have changed. Who is counting one of them now counts for nobody but himself.
  void Forget(std::span<const BodyId> bodies);
  void Set(BodyId body, Count count);

 private:
  static constexpr std::size_t kMost = 4096;
  static constexpr std::size_t kMostRanges = 64;
  static constexpr std::uint32_t kMostCarried = 64;

  // Of the past: every change of a file's data sets its ctime, or gives it another body.
  struct Key {
    BodyId body;
    std::uint64_t size = 0;
    TimeNs ctime_ns = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Present {
    std::unordered_map<BodyId, Count> counts;
    std::uint64_t last_ticket = 0;
  };
  Result<std::uint64_t> OfPresent(const View& now, BodyId body);

  Synchronized<std::map<Key, std::uint64_t>> past_;
  Synchronized<Present> present_;
};

}  // namespace varve
