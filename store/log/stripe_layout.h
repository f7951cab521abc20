// How extents are laid into the columns of a stripe. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "store/log/stripe.h"

namespace varve {

// About this much stored data deserves a column of its own: a stripe with less is narrower, for
// each column costs a seek and a padded block, while parity is there in any case.
inline constexpr std::uint32_t kBytesPerColumn = 64 * 1024;

// Fills columns one after the other, each up to `payload_bytes`; an extent lies whole in one.
class ColumnFill {
 public:
  ColumnFill(int columns, std::uint32_t payload_bytes)
      : columns_(columns), payload_bytes_(payload_bytes) {}

  struct Place {
    std::uint8_t column = 0;
    std::uint32_t offset = 0;
  };
  // Where the next extent goes; false, and nothing changed, when it fits in no column any more.
  bool TryAdd(std::uint32_t stored_bytes, Place& place);
  int columns_used() const { return column_ + (used_ > 0 ? 1 : 0); }

 private:
  int columns_;
  std::uint32_t payload_bytes_;
  int column_ = 0;
  std::uint32_t used_ = 0;  // of column_
};

struct StripeLayout {
  int data = 0;
  std::uint32_t fragment_bytes = 0;       // header and payload
  std::vector<ColumnFill::Place> places;  // of each extent, in the order given
};

// The layout with the shortest fragments, over about one column for each kBytesPerColumn and at
// most `widest`. Precondition: the extents fit in `widest` columns of `max_fragment_bytes`
// (ColumnFill).
StripeLayout LayOutStripe(std::span<const std::uint32_t> stored_bytes, int widest,
                          std::uint32_t max_fragment_bytes);

}  // namespace varve
