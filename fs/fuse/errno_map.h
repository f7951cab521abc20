// Where errors leave Varve: a domain error becomes the errno that programs see.
#pragma once

#include "store/base/result.h"

namespace varve {

// Never 0. The code decides; kPermission alone keeps the errno it began with (EPERM or EACCES).
int ErrnoOf(const Error& error);
// The same for extended attributes, whose absence and excess have errnos of their own.
int XattrErrnoOf(const Error& error);

}  // namespace varve
