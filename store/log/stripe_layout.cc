#include "store/log/stripe_layout.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace varve {
namespace {

std::optional<StripeLayout> TryLayOut(std::span<const std::uint32_t> stored_bytes, int columns,
                                      std::uint32_t fragment_bytes) {
  StripeLayout layout;
  layout.fragment_bytes = fragment_bytes;
  layout.places.reserve(stored_bytes.size());
  ColumnFill fill(columns, fragment_bytes - kFragmentHeaderBytes);
  for (const std::uint32_t length : stored_bytes) {
    if (!fill.TryAdd(length, layout.places.emplace_back())) return std::nullopt;
  }
  // The last columns may have stayed empty.
  layout.data = fill.columns_used();
  return layout;
}

}  // namespace

bool ColumnFill::TryAdd(std::uint32_t stored_bytes, Place& place) {
  if (stored_bytes > payload_bytes_) return false;
  if (stored_bytes > payload_bytes_ - used_) {
    if (column_ + 1 >= columns_) return false;
    ++column_;
    used_ = 0;
  }
  place = {static_cast<std::uint8_t>(column_), used_};
  used_ += stored_bytes;
  return true;
}

StripeLayout LayOutStripe(std::span<const std::uint32_t> stored_bytes, int widest,
                          std::uint32_t max_fragment_bytes) {
  CHECK(!stored_bytes.empty() && widest >= 1);
  const std::uint64_t total =
      std::accumulate(stored_bytes.begin(), stored_bytes.end(), std::uint64_t{0});
  const std::uint64_t deserved = (total + kBytesPerColumn - 1) / kBytesPerColumn;
  int columns =
      static_cast<int>(std::clamp<std::uint64_t>(deserved, 1, static_cast<std::uint64_t>(widest)));
  const std::uint32_t most = max_fragment_bytes / kFragmentAlign;
  while (!TryLayOut(stored_bytes, columns, most * kFragmentAlign)) {
    CHECK(columns < widest, "extents that do not fit in a stripe");
    ++columns;
  }
  // Filling in order succeeds for every length above the shortest that does: bisect.
  std::uint32_t low = 1;
  std::uint32_t high = most;
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    if (TryLayOut(stored_bytes, columns, middle * kFragmentAlign)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return *TryLayOut(stored_bytes, columns, high * kFragmentAlign);
}

}  // namespace varve
