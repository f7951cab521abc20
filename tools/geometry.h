// How many columns of data and parity a volume gets when it is not told.
#pragma once

#include <optional>

#include "store/disk/disk_label.h"

namespace varve {

// 1: 1+0, 2: 1+1, 3: 2+1, 4: 2+2, 5: 3+2, from 6 on: as many as there are but two, at most 8, +2.
// One of the two given: the other takes what is left, at most 8 data and 2 parity.
Result<Geometry> ChooseGeometry(int disk_count, std::optional<int> data, std::optional<int> parity);

}  // namespace varve
