// Filesystem::Rollback: makes something as it was while everybody else waits.
#pragma once

#include <string_view>

#include "fs/core/core.h"
#include "fs/core/history.h"

namespace varve {

class RollbackOperation {
 public:
  RollbackOperation(Core& core, History& history) : core_(core), history_(history) {}

  struct Outcome {
    Filesystem::RollbackResult result;
    Invalidations invalidations;
  };
  // Durable on return. The caller tells the kernel, holding nothing.
  Result<Outcome> Run(std::string_view path, Lsn to);

 private:
  // With both gates closed.
  Result<Lsn> Commit(RollbackPlan plan);

  Core& core_;
  History& history_;
};

}  // namespace varve
