// The note that is left before SQLite's log is folded: how many frames of which log may from now on
// be in the database.
//
// SQLite, recovering a log, stops at the first frame that fails its checksum and takes what is
// before it. That is right while nothing behind it has been folded: an earlier state, whole. If the
// process died while folding and a bit of the log has rotted since, it would be a mixture of pages
// of two states that no checksum shows. With the note it is seen.
#pragma once

#include <cstdint>

#include "store/base/result.h"
#include "store/disk/disk.h"

namespace varve {

// Durable when it returns. `frames` of the log as it is now are about to be folded.
Status WriteFoldNote(Disk& disk, std::uint64_t frames);
Status RemoveFoldNote(Disk& disk);
// Before the log is recovered: the frames that must be recovered from it, 0 when nothing is known
// to have been folded from it. kCorrupt when there is a note and the log's header is broken.
Result<std::uint64_t> ReadFoldNote(Disk& disk);

}  // namespace varve
