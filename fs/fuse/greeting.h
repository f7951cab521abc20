// What is asked of the kernel in the answer to its greeting, beyond what libfuse has a word for.
// Included by fs/fuse only.
#pragma once

#include "store/base/result.h"

struct fuse_session;

namespace varve {

// Has the kernel leave setuid, setgid and capabilities to us (FUSE_HANDLE_KILLPRIV_V2), so that it
// does not ask for security.capability before each write; see docs/decisions/0009. Libfuse knows
// the word since 3.17; of one before, the answer is completed on its way. Between mounting and the
// first request; the session's userdata is an OperationsContext.
Status CompleteGreeting(fuse_session* session);

}  // namespace varve
