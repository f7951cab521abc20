// varve fsck: checks a volume that is not mounted, and mends it.
#pragma once

#include <functional>
#include <string>

#include "tools/command.h"

namespace varve {

// The exit status of fsck(8); they may be added up.
inline constexpr int kFsckOk = 0;
inline constexpr int kFsckCorrected = 1;
inline constexpr int kFsckUncorrected = 4;
inline constexpr int kFsckOperational = 8;
inline constexpr int kFsckUsage = 16;
inline constexpr int kFsckCancelled = 32;

int RunFsck(const Args& args, Io& io);

// Asks a yes-or-no question. RunFsck asks the terminal.
using FsckPrompt = std::function<bool(const std::string& question)>;
// The same with someone else to ask, for tests. An empty prompt: nobody is there to be asked.
int RunFsckWithPrompt(const Args& args, Io& io, const FsckPrompt& ask);

}  // namespace varve
