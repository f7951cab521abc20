// Filesystem::Rollback: makes something as it was while everybody else waits.
#pragma once

#include <string_view>
#include <vector>

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
  struct Resized {
    InodeId inode;
    bool is_open = false;
  };
  // With the writers' gate closed.
  Result<std::vector<Resized>> FilesOfNewSize(const RollbackPlan& plan);
  // The kernel holds on to the size that it knows until it asks for another: it must drop the names
  // of those files that nobody has open, so that they are looked up anew, and be made to ask for
  // the others. With a writeback cache it never asks for the size of a file that it knows: there it
  // must drop all names.
  Status TellOfNewSizes(const std::vector<Resized>& files, Outcome& outcome);
  bool WritesBack() const {
    return core_.options().kernel_cache == FilesystemOptions::KernelCache::kWriteBack;
  }
  // With both gates closed.
  Result<Lsn> Commit(RollbackPlan plan);

  Core& core_;
  History& history_;
};

}  // namespace varve
