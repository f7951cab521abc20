// The verbs of the command line. Each takes the words after the verb and answers the exit status.
#pragma once

#include "tools/command.h"

namespace varve {

int RunMkfs(const Args& args, Io& io);
int RunMount(const Args& args, Io& io);
int RunUmount(const Args& args, Io& io);
int RunStatus(const Args& args, Io& io);
int RunLog(const Args& args, Io& io);
int RunLs(const Args& args, Io& io);
int RunCat(const Args& args, Io& io);
int RunStat(const Args& args, Io& io);
int RunRestore(const Args& args, Io& io);
int RunRollback(const Args& args, Io& io);
int RunSnapshot(const Args& args, Io& io);
// RunFsck: tools/fsck.h

}  // namespace varve
