// How many bytes of a file are data and not holes, for st_blocks.
#pragma once

#include <compare>
#include <cstdint>
#include <map>

#include "store/base/synchronized.h"
#include "store/volume/view.h"

namespace varve {

// Only files that may have holes are counted; counting costs in proportion to their data, so the
// answers are kept. Thread-safe. Memory: bounded by kMost answers.
class DataCounts {
 public:
  // Of what is in the volume. `last_change` is that of a file that is open in the present.
  Result<std::uint64_t> Of(const View& view, const InodeAttributes& attributes,
                           Lsn last_change = Lsn{});

 private:
  static constexpr std::size_t kMost = 4096;
  // Every change of a file's data sets its ctime, or gives it another body.
  struct Key {
    BodyId body;
    std::uint64_t size = 0;
    TimeNs ctime_ns = 0;
    Lsn last_change;  // of a file that is open: what was dirty may have been cut since
    auto operator<=>(const Key&) const = default;
  };
  Synchronized<std::map<Key, std::uint64_t>> counts_;
};

}  // namespace varve
