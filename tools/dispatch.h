// From a command line to its verb.
#pragma once

#include "tools/command.h"

namespace varve {

// `words` as the system gives them, the program's name first: called as mount.fuse.varve,
// mkfs.varve or fsck.varve it is that verb, with that program's conventions.
int RunVarve(const Args& words, Io& io);

// Is that `varve mount`, by any of its names?
bool StartsDaemon(const Args& words);

// The words of `varve mount` for what mount(8) calls its helper with:
// "DEV DIR [-sfnvN] [-t type] [-o options]". kInvalidArgument for what it never does. Nothing: a
// rehearsal (-f), there is nothing to do.
Result<std::optional<Args>> TranslateMountHelperArgs(const Args& args);

}  // namespace varve
