// What a change touched, as kept with each commit: compact, and nothing read back is trusted.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "store/catalog/catalog.h"

namespace varve {

// Used again and again, so that its lists are not allocated for each change.
class TouchedEncoder {
 public:
  // Appends what the change touched.
  void Encode(const Change& change, Encoder& out);

 private:
  struct Add;
  using Ids = std::vector<std::uint64_t>;
  using Names = std::vector<std::pair<std::uint64_t, std::string_view>>;
  using Numbers = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  Ids inodes_;
  Names entries_;
  Numbers chunks_;
  Numbers cuts_;
  Names xattrs_;
};
// Fills the lists of `record`; kCorrupt on any bound broken.
Status DecodeTouched(ByteSpan bytes, CommitRecord& record);

}  // namespace varve
