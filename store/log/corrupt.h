#pragma once

#include <string>
#include <utility>

#include "store/base/result.h"

namespace varve {

// What was read from a disk and breaks a bound of the format; `what` names it.
inline Error Corrupt(std::string what) { return Error(ErrorCode::kCorrupt, std::move(what)); }

}  // namespace varve
