#include "store/log/journal_scan.h"

#include <algorithm>
#include <map>

namespace varve {
namespace {

constexpr std::uint64_t kWindowBytes = 1024 * 1024;

// One object, read through a window, so that small frames do not cost a call each.
class ObjectReader {
 public:
  static Result<ObjectReader> Open(Disk& disk, const std::string& name) {
    ASSIGN_OR_RETURN(std::unique_ptr<DiskFile> file, disk.Open(name, OpenMode::kRead));
    ASSIGN_OR_RETURN(std::uint64_t size_bytes, file->Size());
    return ObjectReader(std::move(file), size_bytes);
  }

  std::uint64_t size_bytes() const { return size_bytes_; }

  // The range, valid until the next call; kCorrupt when the object ends before it.
  Result<ByteSpan> Read(std::uint64_t offset, std::uint64_t length_bytes) {
    if (offset > size_bytes_ || length_bytes > size_bytes_ - offset) {
      return Error(ErrorCode::kCorrupt, "the object ends at " + std::to_string(size_bytes_));
    }
    if (offset < window_offset_ || offset + length_bytes > window_offset_ + window_.size()) {
      RETURN_IF_ERROR(Fill(offset, std::max(length_bytes, kWindowBytes)));
      if (length_bytes > window_.size()) {
        return Error(ErrorCode::kCorrupt, "the object was cut while it was read");
      }
    }
    return ByteSpan(window_).subspan(static_cast<std::size_t>(offset - window_offset_),
                                     static_cast<std::size_t>(length_bytes));
  }

 private:
  ObjectReader(std::unique_ptr<DiskFile> file, std::uint64_t size_bytes)
      : file_(std::move(file)), size_bytes_(size_bytes) {}

  Status Fill(std::uint64_t offset, std::uint64_t length_bytes) {
    window_.resize(static_cast<std::size_t>(std::min(length_bytes, size_bytes_ - offset)));
    window_offset_ = offset;
    Result<std::size_t> got = file_->Read(offset, window_);
    window_.resize(got.ok() ? *got : 0);
    if (!got.ok()) return got.error();
    return {};
  }

  std::unique_ptr<DiskFile> file_;
  std::uint64_t size_bytes_;
  ByteVector window_;
  std::uint64_t window_offset_ = 0;
};

bool IsZero(ByteSpan bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

Finding ReplicaFinding(DiskIndex slot, const Disk& disk, const std::string& object,
                       const std::string& problem) {
  Finding finding;
  finding.kind = FindingKind::kJournalReplicaBad;
  finding.severity = Severity::kRepairable;
  finding.disk = slot;
  finding.what = object + " on " + disk.Describe() + ": " + problem;
  finding.next_step = "the next mount copies it from a whole replica; or run varve fsck -y";
  return finding;
}

// One object of the journal, as far as its header goes.
struct ScannedObject {
  SegmentCopy copy;
  std::optional<DecodedHeader> header;
  std::optional<Finding> broken;  // neither: prepared but never used
  Lsn durable;                    // without a header: what frames in it say
};

// Highest "durable" of the whole frames from `offset` on, wherever they begin.
Lsn DurableByFramesFrom(ObjectReader& reader, std::uint64_t offset, Epoch newest) {
  Lsn durable;
  for (; offset + kJournalBlockBytes <= reader.size_bytes(); offset += kJournalBlockBytes) {
    Result<ByteSpan> block = reader.Read(offset, kFrameHeaderBytes);
    if (!block.ok()) continue;
    Result<FrameHeader> frame = DecodeFrameHeader(*block);
    if (!frame.ok() || frame->epoch > newest || frame->frame_bytes() > kMaxFrameBytes) continue;
    Result<ByteSpan> whole = reader.Read(offset, frame->frame_bytes());
    if (whole.ok() && FrameIsWhole(*frame, *whole)) durable = std::max(durable, frame->durable);
  }
  return durable;
}

Result<DecodedHeader> ReadHeader(ObjectReader& reader) {
  ASSIGN_OR_RETURN(ByteSpan first_block, reader.Read(0, kJournalBlockBytes));
  ASSIGN_OR_RETURN(std::uint64_t length_bytes, HeaderBytes(first_block));
  ASSIGN_OR_RETURN(ByteSpan whole, reader.Read(0, length_bytes));
  return DecodeJournalHeader(whole);
}

// kStale when the object is of another volume.
Status CheckIdentity(const JournalHeader& header, std::uint64_t sequence, const Uuid& volume_uuid,
                     Epoch newest) {
  if (header.volume_uuid != volume_uuid) {
    return Error(ErrorCode::kStale, "belongs to volume " + header.volume_uuid.ToString());
  }
  if (header.sequence != sequence) {
    return Error(ErrorCode::kCorrupt, "is segment " + JournalObjectName(header.sequence));
  }
  if (header.epoch > newest) {
    return Error(ErrorCode::kCorrupt, "its epoch " + std::to_string(header.epoch.value) +
                                          " is newer than the volume's " +
                                          std::to_string(newest.value));
  }
  return {};
}

// kUnsupported is returned; every other trouble is the object's own.
Result<ScannedObject> ScanObject(SegmentCopy copy, std::uint64_t sequence, const Uuid& volume_uuid,
                                 Epoch newest) {
  const std::string name = JournalObjectName(sequence);
  ScannedObject object;
  object.copy = copy;
  auto broken = [&](const std::string& problem) {
    object.broken = ReplicaFinding(copy.slot, *copy.disk, name, problem);
  };
  Result<ObjectReader> reader = ObjectReader::Open(*copy.disk, name);
  if (!reader.ok()) {
    broken(reader.error().message());
    return object;
  }
  Result<DecodedHeader> header = ReadHeader(*reader);
  if (header.ok()) {
    Status identity = CheckIdentity(header->header, sequence, volume_uuid, newest);
    if (!identity.ok()) {
      broken(identity.error().message());
    } else {
      object.header = std::move(header).value();
    }
    return object;
  }
  if (header.error().code() == ErrorCode::kUnsupported) {
    return header.error().In(name + " on " + copy.disk->Describe());
  }
  Result<ByteSpan> block =
      reader->Read(0, std::min<std::uint64_t>(reader->size_bytes(), kJournalBlockBytes));
  object.durable = DurableByFramesFrom(*reader, 0, newest);
  // Zeros where the header belongs: prepared ahead of its use and never used.
  if (block.ok() && IsZero(*block) && !object.durable) return object;
  broken(header.error().message());
  return object;
}

// Of the objects of one number, those that share the best header: the newest epoch, then the most
// copies. Others of that number are broken.
std::optional<ScannedSegment> MakeSegment(std::vector<ScannedObject>& objects) {
  const DecodedHeader* best = nullptr;
  std::ptrdiff_t best_copies = 0;
  for (const ScannedObject& object : objects) {
    if (!object.header.has_value()) continue;
    auto copies = std::ranges::count_if(objects, [&](const ScannedObject& other) {
      return other.header.has_value() && other.header->checksum == object.header->checksum;
    });
    if (best == nullptr || object.header->header.epoch > best->header.epoch ||
        (object.header->header.epoch == best->header.epoch && copies > best_copies)) {
      best = &*object.header;
      best_copies = copies;
    }
  }
  if (best == nullptr) return std::nullopt;
  ScannedSegment segment;
  segment.header = best->header;
  segment.header_bytes = best->length_bytes;
  segment.header_checksum = best->checksum;
  const std::string name = JournalObjectName(segment.header.sequence);
  for (ScannedObject& object : objects) {
    if (object.broken.has_value()) {
      segment.broken.push_back(*object.broken);
    } else if (object.header.has_value() && object.header->checksum == segment.header_checksum) {
      segment.copies.push_back(object.copy);
    } else {
      segment.broken.push_back(ReplicaFinding(
          object.copy.slot, *object.copy.disk, name,
          object.header.has_value() ? "another segment of that number" : "its header is missing"));
    }
  }
  return segment;
}

using ObjectsBySequence = std::map<std::uint64_t, std::vector<ScannedObject>>;

Status ListDisk(const SegmentCopy& on, const Uuid& volume_uuid, Epoch newest,
                ObjectsBySequence& objects, std::vector<Finding>& findings) {
  Result<std::vector<std::string>> names = on.disk->List(kJournalPrefix);
  if (!names.ok()) {
    findings.push_back(
        ReplicaFinding(on.slot, *on.disk, std::string(kJournalPrefix), names.error().message()));
    return {};
  }
  for (const std::string& name : *names) {
    std::optional<std::uint64_t> sequence = ParseJournalObjectName(name);
    // A temporary object of a copy that a crash interrupted; the next checkpoint removes it.
    if (!sequence.has_value()) continue;
    ASSIGN_OR_RETURN(ScannedObject object, ScanObject(on, *sequence, volume_uuid, newest));
    objects[*sequence].push_back(std::move(object));
  }
  return {};
}

// What lies where the next frame belongs on one copy.
struct FrameAttempt {
  std::optional<FrameHeader> header;
  ByteSpan bytes;
  std::string problem;  // empty: nothing was written there
};

FrameAttempt TryFrame(ObjectReader& reader, std::uint64_t offset, Lsn expected,
                      std::uint64_t previous_checksum, Epoch oldest, Epoch newest) {
  FrameAttempt attempt;
  Result<ByteSpan> fixed = reader.Read(offset, kFrameHeaderBytes);
  if (!fixed.ok()) {
    // The end of the object is where a copied segment ends, or the block is beyond repair.
    if (fixed.error().code() != ErrorCode::kCorrupt) attempt.problem = fixed.error().message();
    return attempt;
  }
  if (IsZero(*fixed)) return attempt;
  attempt.problem = "bytes at " + std::to_string(offset) + " are not the frame of LSN " +
                    std::to_string(expected.value);
  Result<FrameHeader> header = DecodeFrameHeader(*fixed);
  if (!header.ok() || header->frame_bytes() > kMaxFrameBytes) return attempt;
  if (header->first != expected || header->previous_checksum != previous_checksum ||
      header->epoch < oldest || header->epoch > newest) {
    return attempt;
  }
  Result<ByteSpan> whole = reader.Read(offset, header->frame_bytes());
  if (!whole.ok() || !FrameIsWhole(*header, *whole)) return attempt;
  attempt.problem.clear();
  attempt.header = *header;
  attempt.bytes = *whole;
  return attempt;
}

Error Gap(Lsn reach, Lsn to, const std::string& where) {
  return Error(ErrorCode::kCorrupt, "the journal lacks changes " + std::to_string(reach.value + 1) +
                                        " to " + std::to_string(to.value) + " (" + where + ")");
}

}  // namespace

Result<JournalScan> ScanJournal(DiskSet& disks, const Uuid& volume_uuid) {
  JournalScan scan;
  ObjectsBySequence objects;
  const Epoch newest = disks.epoch();
  for (DiskIndex slot : disks.OnlineSlots()) {
    SegmentCopy on{slot, disks.online(slot)};
    if (on.disk == nullptr) continue;
    RETURN_IF_ERROR(ListDisk(on, volume_uuid, newest, objects, scan.findings));
  }
  for (auto& [sequence, replicas] : objects) {
    scan.last_sequence = sequence;
    std::optional<ScannedSegment> segment = MakeSegment(replicas);
    if (segment.has_value()) {
      scan.segments.push_back(std::move(*segment));
      continue;
    }
    bool used = false;
    for (const ScannedObject& object : replicas) {
      scan.headless_durable = std::max(scan.headless_durable, object.durable);
      if (!object.broken.has_value()) continue;
      scan.findings.push_back(*object.broken);
      used = true;
    }
    if (used) scan.headless.push_back(sequence);
  }
  Lsn limit = kLsnNow;
  for (auto segment = scan.segments.rbegin(); segment != scan.segments.rend(); ++segment) {
    segment->limit = limit;
    limit = std::min(limit, segment->header.previous_last_lsn);
    const std::optional<CheckpointRef>& checkpoint = segment->header.checkpoint;
    if (checkpoint.has_value() &&
        (!scan.checkpoint.has_value() || checkpoint->last_lsn > scan.checkpoint->last_lsn)) {
      scan.checkpoint = checkpoint;
    }
  }
  return scan;
}

Result<SegmentChain> FollowChain(const ScannedSegment& segment, Epoch newest,
                                 const FrameVisitor& visit) {
  const std::string name = JournalObjectName(segment.header.sequence);
  SegmentChain chain;
  chain.last = chain.durable = segment.header.previous_last_lsn;
  chain.end_bytes = segment.header_bytes;
  chain.good.assign(segment.copies.size(), chain.last);
  chain.problem.resize(segment.copies.size());
  std::vector<std::optional<ObjectReader>> readers(segment.copies.size());
  for (std::size_t i = 0; i < readers.size(); ++i) {
    Result<ObjectReader> reader = ObjectReader::Open(*segment.copies[i].disk, name);
    if (reader.ok()) {
      readers[i] = std::move(reader).value();
    } else {
      chain.problem[i] = reader.error().message();
    }
  }
  std::uint64_t link = segment.header_checksum;
  Epoch oldest = segment.header.epoch;
  while (chain.last < segment.limit) {
    const Lsn before = chain.last;
    std::optional<FrameHeader> found;
    for (std::size_t i = 0; i < readers.size(); ++i) {
      if (!readers[i].has_value()) continue;
      FrameAttempt attempt =
          TryFrame(*readers[i], chain.end_bytes, Lsn{before.value + 1}, link, oldest, newest);
      if (attempt.header.has_value()) {
        if (chain.good[i] == before) chain.good[i] = std::min(attempt.header->last, segment.limit);
        if (!found.has_value()) RETURN_IF_ERROR(visit(*attempt.header, attempt.bytes));
        found = attempt.header;
      } else if (chain.good[i] == before && chain.problem[i].empty()) {
        chain.problem[i] = attempt.problem;
      }
    }
    if (!found.has_value()) break;
    chain.last = std::min(found->last, segment.limit);
    chain.durable = std::max(chain.durable, std::min(found->durable, segment.limit));
    chain.end_bytes += found->frame_bytes();
    link = found->checksum;
    oldest = found->epoch;
  }
  if (segment.limit == kLsnNow) {
    for (std::optional<ObjectReader>& reader : readers) {
      if (!reader.has_value()) continue;
      chain.lost = std::max(chain.lost, DurableByFramesFrom(*reader, chain.end_bytes, newest));
    }
  }
  return chain;
}

Result<Lsn> FollowHistory(const JournalScan& scan, Lsn covered, Epoch newest,
                          const HistoryVisitor& visitor) {
  if (scan.segments.empty() && !scan.headless.empty()) {
    return Error(ErrorCode::kCorrupt, "no journal segment has a readable header, " +
                                          JournalObjectName(scan.headless.back()) + " among them");
  }
  Lsn reach = covered;
  for (const ScannedSegment& segment : scan.segments) {
    const std::string name = JournalObjectName(segment.header.sequence);
    const Lsn before = segment.header.previous_last_lsn;
    // Void as a whole: a later segment goes on from before its beginning.
    if (segment.limit < before) continue;
    if (before > reach) return Gap(reach, before, "before " + name);
    // Nothing in it is needed any more: a checkpoint covers it, or a later segment voids it.
    if (segment.limit <= covered || segment.limit <= before) continue;
    ASSIGN_OR_RETURN(SegmentChain chain,
                     FollowChain(segment, newest, [&](const FrameHeader& f, ByteSpan bytes) {
                       return visitor.frame ? visitor.frame(segment, f, bytes) : Status();
                     }));
    reach = std::max(reach, chain.last);
    if (chain.lost > reach) return Gap(reach, chain.lost, "at the end of " + name);
    visitor.done(segment, chain);
  }
  if (scan.headless_durable > reach) {
    return Gap(reach, scan.headless_durable,
               "in " + JournalObjectName(scan.headless.back()) + ", whose header is broken");
  }
  return reach;
}

Result<ByteVector> ReadSegmentBytes(const ScannedSegment& segment, Epoch newest) {
  const std::string name = JournalObjectName(segment.header.sequence);
  ByteVector bytes;
  for (const SegmentCopy& copy : segment.copies) {
    Result<ObjectReader> reader = ObjectReader::Open(*copy.disk, name);
    if (!reader.ok()) continue;
    Result<ByteSpan> raw = reader->Read(0, segment.header_bytes);
    if (!raw.ok()) continue;
    Result<DecodedHeader> header = DecodeJournalHeader(*raw);
    if (!header.ok() || header->checksum != segment.header_checksum) continue;
    bytes.assign(raw->begin(), raw->end());
    break;
  }
  if (bytes.empty()) return Error(ErrorCode::kDataLost, name + ": no copy has its header");
  ASSIGN_OR_RETURN(SegmentChain chain,
                   FollowChain(segment, newest, [&](const FrameHeader&, ByteSpan frame) {
                     bytes.insert(bytes.end(), frame.begin(), frame.end());
                     return Status();
                   }));
  if (chain.last < segment.limit) {
    return Error(ErrorCode::kDataLost, name + ": changes " + std::to_string(chain.last.value + 1) +
                                           " to " + std::to_string(segment.limit.value) +
                                           " are on no disk");
  }
  return bytes;
}

}  // namespace varve
