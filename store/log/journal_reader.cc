#include <algorithm>
#include <string>

#include "store/log/journal.h"
#include "store/log/journal_scan.h"

namespace varve {
namespace {

// Takes the changes of one frame that are after `covered`.
Status TakeChanges(const FrameHeader& frame, ByteSpan bytes, Lsn covered, Lsn limit,
                   std::vector<Change>& out) {
  if (frame.last <= covered) return {};
  Decoder in(bytes.subspan(static_cast<std::size_t>(kFrameHeaderBytes),
                           static_cast<std::size_t>(frame.payload_bytes)));
  for (Lsn expected = frame.first; expected <= frame.last; ++expected.value) {
    ASSIGN_OR_RETURN(Change change, DecodeChange(in));
    if (change.lsn != expected) {
      return Error(ErrorCode::kCorrupt, "change " + std::to_string(change.lsn.value) + " where " +
                                            std::to_string(expected.value) + " belongs");
    }
    if (expected > covered && expected <= limit) out.push_back(std::move(change));
  }
  if (!in.AtEnd()) return Error(ErrorCode::kCorrupt, "bytes after the last change of a frame");
  return {};
}

Finding CopyFinding(const ScannedSegment& segment, const std::string& what) {
  Finding finding;
  finding.kind = FindingKind::kJournalReplicaBad;
  finding.severity = Severity::kRepairable;
  finding.what = JournalObjectName(segment.header.sequence) + what;
  finding.next_step = "the next mount copies it from a whole replica; or run varve fsck -y";
  return finding;
}

// What is wrong with the copies of a segment whose changes are still needed.
void ReportCopies(const ScannedSegment& segment, const SegmentChain& chain, int copies_wanted,
                  std::vector<Finding>& findings) {
  findings.insert(findings.end(), segment.broken.begin(), segment.broken.end());
  // Of the last segment, only what its frames say was durable must be on every copy.
  const Lsn required = segment.limit == kLsnNow ? chain.durable : chain.last;
  int whole = 0;
  bool tail_differs = false;
  for (std::size_t i = 0; i < segment.copies.size(); ++i) {
    if (chain.good[i] >= required) {
      ++whole;
      tail_differs |= chain.good[i] < chain.last || !chain.problem[i].empty();
      continue;
    }
    const std::string problem = chain.problem[i].empty()
                                    ? "ends after LSN " + std::to_string(chain.good[i].value)
                                    : chain.problem[i];
    findings.push_back(
        CopyFinding(segment, " on " + segment.copies[i].disk->Describe() + ": " + problem));
    findings.back().disk = segment.copies[i].slot;
  }
  if (whole < copies_wanted) {
    findings.push_back(CopyFinding(segment, ": " + std::to_string(whole) + " of " +
                                                std::to_string(copies_wanted) +
                                                " copies are whole"));
  }
  if (tail_differs) {
    Finding note = CopyFinding(segment, ": ends in a frame that was never acknowledged");
    note.kind = FindingKind::kJournalUnclean;
    note.severity = Severity::kNote;
    note.next_step = "none: a crash leaves this, the next mount settles it";
    findings.push_back(std::move(note));
  }
}

}  // namespace

Result<JournalContents> ReadJournal(DiskSet& disks, const Uuid& volume_uuid) {
  ASSIGN_OR_RETURN(JournalScan scan, ScanJournal(disks, volume_uuid));
  JournalContents contents;
  contents.checkpoint = scan.checkpoint;
  contents.last_sequence = scan.last_sequence;
  contents.findings = scan.findings;
  const Lsn covered{scan.checkpoint.has_value() ? scan.checkpoint->last_lsn.value : 0};
  HistoryVisitor visitor;
  visitor.frame = [&](const ScannedSegment& segment, const FrameHeader& frame, ByteSpan bytes) {
    Status status = TakeChanges(frame, bytes, covered, segment.limit, contents.changes);
    if (status.ok()) return status;
    return Status(status.error().In(JournalObjectName(segment.header.sequence)));
  };
  visitor.done = [&](const ScannedSegment& segment, const SegmentChain& chain) {
    ReportCopies(segment, chain, disks.geometry().journal_copies(), contents.findings);
  };
  ASSIGN_OR_RETURN(const Lsn reach, FollowHistory(scan, covered, disks.epoch(), visitor));
  const int absent = disks.size() - static_cast<int>(disks.OnlineSlots().size());
  if (absent > disks.geometry().parity) {
    // Every copy of the last segments may have been on them, and nothing here would tell.
    Finding finding;
    finding.kind = FindingKind::kJournalReplicaBad;
    finding.severity = Severity::kLost;
    finding.what = std::to_string(absent) + " disks are not online: changes after " +
                   std::to_string(reach.value) + " may have been on them alone";
    finding.next_step = "bring the missing disks back before mounting";
    contents.findings.push_back(std::move(finding));
  }
  return contents;
}

}  // namespace varve
