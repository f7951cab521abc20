// What a change touched, as kept with each commit: compact, and nothing read back is trusted.
#pragma once

#include "store/catalog/catalog.h"

namespace varve {

ByteVector EncodeTouched(const Change& change);
// Fills the lists of `record`; kCorrupt on any bound broken.
Status DecodeTouched(ByteSpan bytes, CommitRecord& record);

}  // namespace varve
