// Segments that are no longer appended to but still needed, and their m+1 copies. Private to
// store/log.
#pragma once

#include <vector>

#include "store/log/journal_objects.h"
#include "store/log/journal_scan.h"

namespace varve {

struct OldSegment {
  JournalHeader header;
  std::uint64_t header_bytes = 0;
  std::uint64_t header_checksum = 0;
  Lsn last;                       // the last change in it that counts
  std::uint64_t end_bytes = 0;    // where that change's frame ends
  std::vector<DiskPlace> whole;   // copies that hold everything up to `last`
  std::vector<DiskPlace> others;  // copies that hold some of it, or an object that is broken

  std::uint64_t frame_bytes() const { return end_bytes - header_bytes; }
};

// From what recovery read: nothing when the segment holds no change that counts.
OldSegment ToOldSegment(DiskSet& disks, const ScannedSegment& segment, const SegmentChain& chain);

// Copies the segment, the same bytes, onto other online disks until m+1 hold it whole: in place of
// a broken copy first. A disk that fails on the way is failed, and another one taken; full ones are
// added to `full`. kTooFewDisks, kNoSpace, or kDataLost when no disk has the bytes any more.
Status RestoreCopies(DiskSet& disks, OldSegment& segment, std::vector<DiskIndex>& full);

}  // namespace varve
