#include "tools/geometry.h"

#include <algorithm>
#include <string>

namespace varve {
namespace {

constexpr int kDefaultMaxData = 8;
constexpr int kDefaultMaxParity = 2;

int DefaultParity(int disk_count) { return std::min(disk_count / 2, kDefaultMaxParity); }

}  // namespace

Result<Geometry> ChooseGeometry(int disk_count, std::optional<int> data,
                                std::optional<int> parity) {
  Geometry geometry;
  if (data && parity) {
    geometry = {.data = *data, .parity = *parity};
  } else if (data) {
    geometry = {.data = *data, .parity = std::clamp(disk_count - *data, 0, kDefaultMaxParity)};
  } else {
    const int chosen = parity.value_or(DefaultParity(disk_count));
    geometry = {.data = std::min(disk_count - chosen, kDefaultMaxData), .parity = chosen};
  }
  if (geometry.data < 1 || geometry.parity < 0 || geometry.columns() > disk_count) {
    return Error(ErrorCode::kInvalidArgument,
                 std::to_string(std::max(geometry.data, data.value_or(0))) + "+" +
                     std::to_string(geometry.parity) + " needs more disks than the " +
                     std::to_string(disk_count) + " given");
  }
  return geometry;
}

}  // namespace varve
