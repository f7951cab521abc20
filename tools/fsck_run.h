// One run of fsck over one volume, from its disks to the exit status. What the command line said
// comes in FsckOptions (tools/fsck.cc).
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "store/repair/checker.h"
#include "tools/fsck.h"

namespace varve {

struct FsckOptions {
  enum class Mode { kAsk, kDryRun, kAutomatic, kYes };
  enum class Output { kText, kJson };
  struct Replacement {
    std::string old_disk;  // path, uuid or slot number
    std::string new_path;
  };
  Mode mode = Mode::kAsk;
  CheckDepth depth = CheckDepth::kShallow;
  Output output = Output::kText;
  std::vector<Replacement> replacements;
  std::vector<std::string> disks;
};

// Prints what it finds and does, and answers the exit status; an error is an operational one, or
// kInvalidArgument for a wish that makes no sense. `interrupted` may be set at any time.
Result<int> CheckVolume(const FsckOptions& options, Io& io, const FsckPrompt& ask,
                        const std::atomic<bool>& interrupted);

}  // namespace varve
