#include "store/log/journal.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "store/log/journal_copies.h"
#include "store/log/journal_format.h"
#include "store/log/journal_objects.h"
#include "store/log/journal_scan.h"

namespace varve {
namespace {

// A frame is read whole into memory, and a batch is cut so that a frame also fits what is left of a
// segment fairly well.
constexpr std::uint64_t kLargestPayloadBytes = 1024 * 1024;
constexpr std::uint64_t kSmallestPayloadBytes = kJournalBlockBytes;

// Changes encoded once, to be written as one frame wherever it fits.
struct Payload {
  Lsn first;
  Lsn last;
  ByteVector bytes;
  std::uint64_t frame_bytes() const { return RoundUpToBlock(kFrameHeaderBytes + bytes.size()); }
};

std::vector<Payload> EncodePayloads(std::span<const Change* const> changes,
                                    std::uint64_t segment_bytes) {
  const std::uint64_t enough =
      std::clamp(segment_bytes / 8, kSmallestPayloadBytes, kLargestPayloadBytes);
  std::vector<Payload> payloads;
  Encoder out;
  Lsn first;
  for (const Change* change : changes) {
    if (out.size() == 0) first = change->lsn;
    EncodeChange(*change, out);
    if (out.size() < enough && change != changes.back()) continue;
    payloads.push_back({first, change->lsn, out.Take()});
    out = Encoder();
  }
  return payloads;
}

}  // namespace

struct Journal::Impl {
  // The segment that is appended to.
  struct Current {
    SegmentObjects objects;
    JournalHeader header;
    EncodedHeader encoded_header;
    bool header_written = false;  // it goes out with the first frames
    std::uint64_t link = 0;       // checksum of the last durable frame, or of the header
    std::uint64_t end_bytes = 0;  // where the next frame goes
    Lsn last;                     // the last durable change in it
  };
  // Where things stood before a call, to go back to when the disks are full.
  struct Mark {
    Lsn last;
    std::uint64_t sequence = 0;
    std::uint64_t end_bytes = 0;
    std::uint64_t frame_bytes = 0;
  };

  Impl(DiskSet& set, const Uuid& uuid, const JournalOptions& with)
      : disks(set), volume_uuid(uuid), options(with) {}

  Status Recover(std::uint64_t first_sequence, std::optional<CheckpointRef> given);
  Status Write(const std::vector<Payload>& payloads);
  Status WriteOnce(const std::vector<Payload>& payloads, std::size_t& next,
                   std::vector<DiskIndex>& full);
  Status WriteRound(const std::vector<Payload>& payloads, std::size_t& next,
                    std::vector<DiskIndex>& full);
  Status Begin(std::uint64_t first_frame_bytes, std::vector<DiskIndex>& full);
  Status TakeCheckpoint(const CheckpointRef& next);
  Result<SegmentObjects> TakeObjects(std::uint64_t size_bytes, std::vector<DiskIndex>& full);
  void CloseCurrent();
  Status EnsureCopies(std::vector<DiskIndex>& full);
  Status Finish(Status status, const Mark& mark);
  void GoBackTo(const Mark& mark);
  Mark Here() const;

  DiskSet& disks;
  const Uuid volume_uuid;
  const JournalOptions options;

  // Held by Append and Checkpointed for as long as they write: a log has one end. This is the one
  // lock in store/log that is held across I/O, and nothing else is ever waited for under it.
  std::mutex write_mutex;
  // Guarded by write_mutex.
  std::optional<CheckpointRef> checkpoint;
  Lsn last;                     // the last change durable on m+1 disks
  std::vector<OldSegment> old;  // closed segments with changes after the checkpoint
  std::optional<Current> current;
  std::optional<Epoch> whole_in;  // all old segments had m+1 copies in this epoch
  std::optional<Error> poison;    // what made the journal give up for good

  std::atomic<std::uint64_t> frame_bytes{0};

  // Shared with PrepareNext. Never held across I/O.
  std::mutex prepare_mutex;
  std::condition_variable prepared_or_not;
  bool preparing = false;
  std::optional<SegmentObjects> prepared;
  std::uint64_t next_sequence = 1;
};

Status Journal::Impl::Recover(std::uint64_t first_sequence, std::optional<CheckpointRef> given) {
  ASSIGN_OR_RETURN(JournalScan scan, ScanJournal(disks, volume_uuid));
  next_sequence = std::max(first_sequence, scan.last_sequence + 1);
  checkpoint = std::move(given);
  if (scan.checkpoint.has_value() &&
      (!checkpoint.has_value() || checkpoint->last_lsn < scan.checkpoint->last_lsn)) {
    checkpoint = scan.checkpoint;
  }
  const Lsn covered{checkpoint.has_value() ? checkpoint->last_lsn.value : 0};
  HistoryVisitor visitor;
  visitor.done = [&](const ScannedSegment& segment, const SegmentChain& chain) {
    if (chain.last <= covered || chain.last <= segment.header.previous_last_lsn) return;
    old.push_back(ToOldSegment(disks, segment, chain));
    frame_bytes += old.back().frame_bytes();
  };
  ASSIGN_OR_RETURN(last, FollowHistory(scan, covered, disks.epoch(), visitor));
  return {};
}

Journal::Impl::Mark Journal::Impl::Here() const {
  Mark mark{last, 0, 0, frame_bytes.load()};
  if (current.has_value()) {
    mark.sequence = current->objects.sequence;
    mark.end_bytes = current->end_bytes;
  }
  return mark;
}

// Everything after the mark becomes void: the next segment's header will say so.
void Journal::Impl::GoBackTo(const Mark& mark) {
  CloseCurrent();
  std::erase_if(old, [&](const OldSegment& s) { return s.header.previous_last_lsn >= mark.last; });
  for (OldSegment& segment : old) {
    if (segment.last <= mark.last) continue;
    CHECK(segment.header.sequence == mark.sequence, "a segment that no call has written to");
    segment.last = mark.last;
    segment.end_bytes = mark.end_bytes;
  }
  last = mark.last;
  frame_bytes = mark.frame_bytes;
}

// Keeps what is durable in it, as far as it holds anything.
void Journal::Impl::CloseCurrent() {
  if (!current.has_value()) return;
  if (current->last > current->header.previous_last_lsn) {
    OldSegment segment;
    segment.header = current->header;
    segment.header_bytes = current->encoded_header.bytes.size();
    segment.header_checksum = current->encoded_header.checksum;
    segment.last = current->last;
    segment.end_bytes = current->end_bytes;
    segment.whole = current->objects.places();
    old.push_back(std::move(segment));
  }
  current.reset();
}

// After every change of membership: what was on a lost disk is copied to another.
Status Journal::Impl::EnsureCopies(std::vector<DiskIndex>& full) {
  const Epoch epoch = disks.epoch();
  if (whole_in == epoch) return {};
  for (OldSegment& segment : old) RETURN_IF_ERROR(RestoreCopies(disks, segment, full));
  whole_in = epoch;
  return {};
}

Result<SegmentObjects> Journal::Impl::TakeObjects(std::uint64_t size_bytes,
                                                  std::vector<DiskIndex>& full) {
  std::optional<SegmentObjects> ready;
  std::uint64_t sequence = 0;
  {
    std::unique_lock lock(prepare_mutex);
    prepared_or_not.wait(lock, [&] { return !preparing; });
    ready = std::exchange(prepared, std::nullopt);
    sequence = next_sequence++;
  }
  if (ready.has_value() && ready->AllOnline(disks)) {
    if (ready->size_bytes >= size_bytes) return std::move(*ready);
    ASSIGN_OR_RETURN(RoundOutcome outcome, GrowSegmentObjects(disks, *ready, size_bytes));
    if (outcome.ok()) return std::move(*ready);
    full.insert(full.end(), outcome.full.begin(), outcome.full.end());
  }
  return CreateSegmentObjects(disks, sequence, size_bytes, full);
}

// Begins a segment that has room for a frame of that size. Its header is not yet written.
Status Journal::Impl::Begin(std::uint64_t first_frame_bytes, std::vector<DiskIndex>& full) {
  Current next;
  next.header.volume_uuid = volume_uuid;
  next.header.segment_uuid = Uuid::Random();
  next.header.previous_last_lsn = last;
  next.header.checkpoint = checkpoint;
  const std::uint64_t header_bytes = EncodeJournalHeader(next.header).bytes.size();
  const std::uint64_t size_bytes =
      std::max(RoundUpToBlock(options.segment_bytes), header_bytes + first_frame_bytes);
  ASSIGN_OR_RETURN(next.objects, TakeObjects(size_bytes, full));
  next.header.sequence = next.objects.sequence;
  next.header.epoch = disks.epoch();
  next.encoded_header = EncodeJournalHeader(next.header);
  next.link = next.encoded_header.checksum;
  next.end_bytes = next.encoded_header.bytes.size();
  next.last = last;
  current = std::move(next);
  return {};
}

// One round: the header if it is due, and as many frames as fit.
Status Journal::Impl::WriteRound(const std::vector<Payload>& payloads, std::size_t& next,
                                 std::vector<DiskIndex>& full) {
  ByteVector bytes;
  const std::uint64_t offset = current->header_written ? current->end_bytes : 0;
  if (!current->header_written) bytes = current->encoded_header.bytes;
  FrameHeader frame;
  frame.epoch = disks.epoch();
  frame.durable = last;
  frame.previous_checksum = current->link;
  std::size_t end = next;
  Lsn written = current->last;
  while (end < payloads.size() &&
         offset + bytes.size() + payloads[end].frame_bytes() <= current->objects.size_bytes) {
    frame.first = payloads[end].first;
    frame.last = written = payloads[end].last;
    frame.previous_checksum = AppendFrame(frame, payloads[end].bytes, bytes);
    ++end;
  }
  ASSIGN_OR_RETURN(RoundOutcome outcome,
                   WriteSegmentObjects(disks, current->objects, offset, bytes));
  if (!outcome.ok()) {
    full.insert(full.end(), outcome.full.begin(), outcome.full.end());
    CloseCurrent();
    return {};
  }
  frame_bytes += offset + bytes.size() - current->end_bytes;
  current->header_written = true;
  current->end_bytes = offset + bytes.size();
  current->link = frame.previous_checksum;
  current->last = last = written;
  next = end;
  return {};
}

// A step towards everything being durable; one that ends on a disk's failure is followed by
// another.
Status Journal::Impl::WriteOnce(const std::vector<Payload>& payloads, std::size_t& next,
                                std::vector<DiskIndex>& full) {
  const std::uint64_t wanted_bytes = next < payloads.size() ? payloads[next].frame_bytes() : 0;
  if (current.has_value() && (!current->objects.AllOnline(disks) ||
                              current->end_bytes + wanted_bytes > current->objects.size_bytes)) {
    CloseCurrent();
  }
  RETURN_IF_ERROR(EnsureCopies(full));
  if (!current.has_value()) RETURN_IF_ERROR(Begin(wanted_bytes, full));
  return WriteRound(payloads, next, full);
}

Status Journal::Impl::Write(const std::vector<Payload>& payloads) {
  if (poison.has_value()) return *poison;
  const Mark mark = Here();
  std::vector<DiskIndex> full;
  std::size_t next = 0;
  Status status;
  do {
    status = WriteOnce(payloads, next, full);
  } while (status.ok() && (next < payloads.size() || !current.has_value()));
  // A disk may have failed in the last step, in a segment that is closed by now.
  if (status.ok()) status = EnsureCopies(full);
  return Finish(std::move(status), mark);
}

// Full disks leave everything as it was before the call; any other error is for good.
Status Journal::Impl::Finish(Status status, const Mark& mark) {
  if (status.ok()) return status;
  if (status.error().code() == ErrorCode::kNoSpace && disks.writable()) {
    GoBackTo(mark);
    return status.error().In("journal");
  }
  poison = status.error().In("the journal cannot be written any more");
  return *poison;
}

// The new segment's header says the checkpoint; segments that it covers are forgotten.
Status Journal::Impl::TakeCheckpoint(const CheckpointRef& next) {
  if (poison.has_value()) return *poison;
  if (next.last_lsn > last || (checkpoint.has_value() && next.last_lsn < checkpoint->last_lsn)) {
    return Error(ErrorCode::kInvalidArgument,
                 "a checkpoint up to LSN " + std::to_string(next.last_lsn.value) +
                     " does not follow; the journal ends at " + std::to_string(last.value));
  }
  checkpoint = next;
  CloseCurrent();
  RETURN_IF_ERROR(Write({}));
  std::erase_if(old, [&](const OldSegment& s) { return s.last <= next.last_lsn; });
  std::uint64_t needed_bytes = 0;
  for (const OldSegment& segment : old) needed_bytes += segment.frame_bytes();
  frame_bytes = needed_bytes;
  return {};
}

Journal::Journal() = default;
Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::Start(DiskSet& disks, const Uuid& volume_uuid,
                                                std::uint64_t next_sequence,
                                                std::optional<CheckpointRef> checkpoint,
                                                const JournalOptions& options) {
  std::unique_ptr<Journal> journal(new Journal);
  journal->impl_ = std::make_unique<Impl>(disks, volume_uuid, options);
  Status status = journal->impl_->Recover(next_sequence, std::move(checkpoint));
  if (status.ok()) status = journal->impl_->Write({});
  if (!status.ok()) return status.error().In("starting the journal");
  return journal;
}

Status Journal::Append(std::span<const Change* const> changes) {
  std::lock_guard lock(impl_->write_mutex);
  if (impl_->poison.has_value()) return *impl_->poison;
  if (changes.empty()) return {};
  Lsn expected = impl_->last;
  for (const Change* change : changes) {
    ++expected.value;
    CHECK(change->lsn == expected, "changes must follow one another without a gap");
  }
  std::vector<Payload> payloads = EncodePayloads(changes, impl_->options.segment_bytes);
  for (const Payload& payload : payloads) {
    if (payload.frame_bytes() <= kMaxFrameBytes) continue;
    // History cannot go on without it, so nothing after it may be acknowledged.
    impl_->poison = Error(ErrorCode::kTooLarge, "change " + std::to_string(payload.last.value) +
                                                    " is too large for the journal");
    return *impl_->poison;
  }
  return impl_->Write(payloads);
}

Status Journal::Checkpointed(const CheckpointRef& checkpoint) {
  std::set<std::uint64_t> kept;
  std::uint64_t before = 0;
  {
    std::lock_guard lock(impl_->write_mutex);
    RETURN_IF_ERROR(impl_->TakeCheckpoint(checkpoint));
    for (const OldSegment& segment : impl_->old) kept.insert(segment.header.sequence);
    before = impl_->current->objects.sequence;
  }
  Status removed = RemoveSegmentObjects(
      impl_->disks, before, [&](std::uint64_t sequence) { return kept.contains(sequence); });
  if (!removed.ok()) return removed.error().In("freeing the journal");
  return {};
}

Status Journal::PrepareNext() {
  std::uint64_t sequence = 0;
  {
    std::lock_guard lock(impl_->prepare_mutex);
    if (impl_->preparing || impl_->prepared.has_value()) return {};
    impl_->preparing = true;
    sequence = impl_->next_sequence++;
  }
  std::vector<DiskIndex> full;
  Result<SegmentObjects> objects = CreateSegmentObjects(
      impl_->disks, sequence, RoundUpToBlock(impl_->options.segment_bytes), full);
  {
    std::lock_guard lock(impl_->prepare_mutex);
    impl_->preparing = false;
    if (objects.ok()) impl_->prepared = std::move(objects).value();
  }
  impl_->prepared_or_not.notify_all();
  if (!objects.ok()) return objects.error().In("preparing a journal segment");
  return {};
}

std::uint64_t Journal::bytes_since_checkpoint() const { return impl_->frame_bytes.load(); }

}  // namespace varve
