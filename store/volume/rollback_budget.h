// How much a rollback may be: it is one change, made in memory and written as one record.
#pragma once

#include <cstdint>

#include "store/base/result.h"
#include "store/log/change.h"

namespace varve {

// Counts the memory that a plan's operations take. A record is smaller than the operations it comes
// from, so what fits here the journal can hold.
class RollbackBudget {
 public:
  explicit RollbackBudget(std::uint64_t bytes) : limit_bytes_(bytes) {}

  // kTooLarge, with what to do instead, when that is more than there is left.
  Status Take(std::uint64_t bytes);
  Status Take(const Operation& operation);

  std::uint64_t taken_bytes() const { return taken_bytes_; }

 private:
  std::uint64_t limit_bytes_;
  std::uint64_t taken_bytes_ = 0;
};

}  // namespace varve
