// Reads journal segments as they are on the disks. Private to store/log: ReadJournal makes history
// of it, Journal uses it to restore copies.
//
// How history is told from what is on the disks:
//  1. All replicas of a segment hold the same bytes, so a segment's chain of frames is followed on
//     all of them at once: a frame counts when any replica has it whole, and the chain goes on as
//     long as there is one. That is at least as long as the longest chain of any one replica.
//  2. A segment's header says after which LSN it continues (previous_last_lsn). Whatever segments
//  of
//     lower numbers hold beyond that LSN is void: it was never acknowledged, and something else may
//     have been acknowledged in its place.
//  3. What a header or a whole frame says was durable must be there. If it is not, it is lost, and
//     that is an error, never a shorter history.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/base/finding.h"
#include "store/disk/disk_set.h"
#include "store/log/journal_format.h"

namespace varve {

inline constexpr std::uint64_t kMaxFrameBytes = 1ULL << 30;

// A copy of a segment that has the segment's header.
struct SegmentCopy {
  DiskIndex slot;
  std::shared_ptr<Disk> disk;
};

struct ScannedSegment {
  JournalHeader header;
  std::uint64_t header_bytes = 0;
  std::uint64_t header_checksum = 0;
  // Changes beyond it are void; kLsnNow when no later segment exists.
  Lsn limit = kLsnNow;
  std::vector<SegmentCopy> copies;
  // Objects of this number that could not be used, one each: broken header, read error.
  std::vector<Finding> broken;
};

struct JournalScan {
  std::vector<ScannedSegment> segments;  // by sequence; each has at least one copy
  std::optional<CheckpointRef> checkpoint;
  std::uint64_t last_sequence = 0;
  // Segments of which no copy has a valid header, and what frames in them say was durable.
  std::vector<std::uint64_t> headless;
  Lsn headless_durable;
  std::vector<Finding> findings;  // what belongs to no segment with a valid header
};

// Reads the headers on all online disks. An error of one disk is a finding.
Result<JournalScan> ScanJournal(DiskSet& disks, const Uuid& volume_uuid);

struct SegmentChain {
  Lsn last;                     // last change that counts; previous_last_lsn when there is none
  Lsn durable;                  // must be on every copy: see FrameHeader::durable
  std::uint64_t end_bytes = 0;  // where the last frame that counts ends
  std::vector<Lsn> good;        // good[i]: up to here copies[i] is whole
  std::vector<std::string>
      problem;  // of copies[i] where it stops being whole; empty: it is not there
  Lsn lost;     // frames after the end say that this much was durable
};
using FrameVisitor = std::function<Status(const FrameHeader&, ByteSpan frame)>;

// Follows the chain over all copies. An error is the visitor's only.
Result<SegmentChain> FollowChain(const ScannedSegment& segment, Epoch newest,
                                 const FrameVisitor& visit);

// Follows all segments that hold changes after `covered`, and demands that nothing is missing:
// kCorrupt names the LSNs of a gap. Frames are visited in LSN order; `done` hears of each segment
// after its last frame. Returns the last LSN of history.
struct HistoryVisitor {
  std::function<Status(const ScannedSegment&, const FrameHeader&, ByteSpan frame)> frame;
  std::function<void(const ScannedSegment&, const SegmentChain&)> done;
};
Result<Lsn> FollowHistory(const JournalScan& scan, Lsn covered, Epoch newest,
                          const HistoryVisitor& visitor);

// The verified bytes of the segment up to its limit: what a copy of it must hold. kDataLost when
// they are nowhere to be had.
Result<ByteVector> ReadSegmentBytes(const ScannedSegment& segment, Epoch newest);

}  // namespace varve
