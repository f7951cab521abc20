// What the running kernel's FUSE can be trusted with and does not negotiate.
#pragma once

#include <string_view>

namespace varve {

// Whether a kernel of this release (uname's) writes dirty pages of a mapping back before a direct
// write into them, as 6.12 does and 6.1 does not, and from the pages themselves, so that forgetting
// them waits for it: before 6.16 it wrote copies, which could arrive at any time later. False for
// what cannot be read as a release.
bool FlushesBeforeDirectWrites(std::string_view release);
// The same of the running kernel.
bool FlushesBeforeDirectWrites();

}  // namespace varve
