#include "store/log/stripe_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "store/log/stripe_encoder.h"
#include "store/log/stripe_layout.h"

namespace varve {
namespace {

// Stripes are encoded and written in rounds of about this much, so that memory stays bounded and in
// the processor's cache, however much is placed at once. A round is written while the next is
// encoded.
constexpr std::size_t kRoundBytes = 8 * 1024 * 1024;
// A fragment must be able to hold the longest extent.
constexpr std::uint32_t kSmallestMaxFragment = kChunkBytes + kFragmentAlign;
// Object names already taken, by what an unclean end left behind, cost an attempt each.
constexpr int kAttemptLimit = 256;

// A segment that is being appended to. Column c's file is touched only by the I/O task of its disk,
// and by others while no round is being written.
struct OpenSegment {
  struct Column {
    std::shared_ptr<Disk> disk;
    std::unique_ptr<DiskFile> file;  // null until created
    bool is_dirty = false;           // written since the last sync
    std::uint64_t end_bytes = 0;     // of the file: columns that stripes left out are shorter
  };
  SegmentDescriptor descriptor;
  std::vector<Column> columns;
  std::uint64_t length_bytes = 0;  // of all column files, sparse ends included
  std::uint32_t next_index = 0;

  Column* ColumnOn(DiskIndex slot) {
    const auto it = std::ranges::find(descriptor.disks, slot);
    if (it == descriptor.disks.end()) return nullptr;
    return &columns[static_cast<std::size_t>(it - descriptor.disks.begin())];
  }
};
using SegmentPointer = std::shared_ptr<OpenSegment>;

struct Failure {
  DiskIndex slot;
  std::shared_ptr<Disk> disk;  // that the work was meant for
  Error error;
};

// Everything one attempt needs to know about the disks.
struct Width {
  std::vector<DiskIndex> online;
  int data = 0;    // k of segments begun now
  int parity = 0;  // m
  std::size_t columns() const { return static_cast<std::size_t>(data + parity); }
};

}  // namespace

struct StripeWriter::Impl {
  DiskSet& disks;
  Uuid volume_uuid;
  std::atomic<std::uint64_t>& next_segment;
  StripeWriterOptions options;
  StripeBuffers buffers;
  Compressor compressor;
  SegmentPointer open;  // null: begin a new one

  class Attempt;

  Result<Width> WidthNow() const;
  bool IsUsable(OpenSegment& segment, const Width& width) const;
  Result<bool> Recover(const std::vector<Failure>& failures);
};

// One try to place everything. What it did is undone by Abandon, or becomes part of the writer's
// state by success.
class StripeWriter::Impl::Attempt {
 public:
  Attempt(Impl& impl, Width width, std::span<const ByteSpan> inputs, StripeKind kind)
      : impl_(impl), width_(std::move(width)), inputs_(inputs), kind_(kind) {
    placement_.extents.resize(inputs.size());
    if (impl_.open) Use(impl_.open);
  }

  // False when disks failed; see WaitForFailures().
  bool Run();
  // After WaitForFailures: gives back the space of what was written, as far as the disks let us:
  // what stays behind is referred to by nothing and is removed as an orphan when the volume is
  // opened.
  void Abandon();

  // All there are: waits for the round that is being written.
  const std::vector<Failure>& WaitForFailures() {
    static_cast<void>(FinishWriting());
    return failures_;
  }
  Placement TakePlacement() { return std::move(placement_); }

 private:
  enum class Round { kMoreToCome, kLast };
  struct UsedSegment {
    SegmentPointer segment;
    std::vector<std::uint64_t> ends_before_bytes;  // of the columns; none of a new segment's
    bool is_new = false;
  };
  struct RoundStripe {
    SegmentPointer segment;
    EncodedStripe encoded;
  };

  void Use(const SegmentPointer& segment) {
    UsedSegment used{segment, {}, false};
    for (const auto& column : segment->columns) used.ends_before_bytes.push_back(column.end_bytes);
    used_.push_back(std::move(used));
  }
  bool BeginSegment();
  bool Seal();
  // Begins to write the round, when the one before it has been written.
  bool Flush(Round round);
  // Waits for the round that is being written.
  bool FinishWriting();
  std::vector<DiskIndex> SlotsOfRound(Round round) const;
  Status WriteToDisk(DiskIndex slot, Disk& disk, Round round);

  Impl& impl_;
  const Width width_;
  const std::span<const ByteSpan> inputs_;
  const StripeKind kind_;

  Placement placement_;
  std::vector<UsedSegment> used_;
  std::vector<StoredExtent> extents_;  // of the stripe being filled
  std::vector<RoundStripe> round_;     // being filled
  std::size_t round_bytes_ = 0;
  std::vector<Failure> failures_;
  // What the disks' threads look at while they write: it stays as it is until FinishWriting.
  struct {
    std::vector<DiskIndex> slots;
    std::vector<UsedSegment> used;
    std::vector<RoundStripe> stripes;
  } writing_;
  DiskSet::Running running_;  // last: it refers to the rest
};

bool StripeWriter::Impl::Attempt::Run() {
  const std::uint32_t payload_bytes = impl_.options.max_fragment_bytes - kFragmentHeaderBytes;
  ColumnFill fill(width_.data, payload_bytes);
  ColumnFill::Place place;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    StoredExtent extent = StoreExtent(i, inputs_[i], kind_, impl_.compressor);
    const auto stored_bytes = static_cast<std::uint32_t>(extent.stored.size());
    if (!fill.TryAdd(stored_bytes, place)) {
      if (!Seal()) return false;
      if (round_bytes_ >= kRoundBytes && !Flush(Round::kMoreToCome)) return false;
      fill = ColumnFill(width_.data, payload_bytes);
      CHECK(fill.TryAdd(stored_bytes, place), "an extent that fits in no stripe");
    }
    extents_.push_back(std::move(extent));
  }
  return Seal() && Flush(Round::kLast) && FinishWriting();
}

bool StripeWriter::Impl::Attempt::BeginSegment() {
  auto segment = std::make_shared<OpenSegment>();
  std::uint64_t id = 0;
  while (id == 0) id = impl_.next_segment.fetch_add(1);
  segment->descriptor.id = SegmentId(id);
  // Rotated by the segment's number, so that disks beyond k+m, and parity, take turns.
  for (std::size_t c = 0; c < width_.columns(); ++c) {
    const DiskIndex slot = width_.online[(id + c) % width_.online.size()];
    auto disk = impl_.disks.online(slot);
    if (!disk) {
      failures_.push_back(
          {slot, nullptr,
           Error(ErrorCode::kDiskLost, fmt::format("disk {} is not online", slot.value))});
      return false;
    }
    segment->descriptor.disks.push_back(slot);
    segment->columns.push_back({std::move(disk), nullptr});
  }
  placement_.segments.push_back(segment->descriptor);
  used_.push_back({segment, {}, true});
  impl_.open = std::move(segment);
  return true;
}

// Lays the gathered extents into one stripe of the open segment and encodes it.
bool StripeWriter::Impl::Attempt::Seal() {
  std::vector<std::uint32_t> lengths;
  for (const StoredExtent& extent : extents_) {
    lengths.push_back(static_cast<std::uint32_t>(extent.stored.size()));
  }
  const StripeLayout layout = LayOutStripe(lengths, width_.data, impl_.options.max_fragment_bytes);
  const auto is_full = [&](const OpenSegment& segment) {
    return segment.next_index >> StripeId::kIndexBits != 0 ||
           (segment.length_bytes > 0 &&
            segment.length_bytes + layout.fragment_bytes > impl_.options.segment_column_bytes);
  };
  if ((!impl_.open || is_full(*impl_.open)) && !BeginSegment()) return false;
  OpenSegment& segment = *impl_.open;

  StripeDescriptor stripe;
  stripe.id = StripeId(segment.descriptor.id, segment.next_index);
  stripe.kind = kind_;
  stripe.data = static_cast<std::uint8_t>(layout.data);
  stripe.parity = static_cast<std::uint8_t>(width_.parity);
  stripe.first_column = static_cast<std::uint8_t>(segment.next_index % segment.columns.size());
  stripe.file_offset = segment.length_bytes;
  stripe.fragment_bytes = layout.fragment_bytes;
  stripe.epoch = impl_.disks.epoch();
  for (std::size_t i = 0; i < extents_.size(); ++i) {
    const StoredExtent& from = extents_[i];
    placement_.extents[from.input] = {
        stripe.id,  layout.places[i].column, layout.places[i].offset, lengths[i], from.raw_bytes,
        from.codec, from.checksum,           from.in_blocks,          from.blocks};
  }
  round_.push_back({impl_.open, EncodeFragments(impl_.volume_uuid, std::move(stripe), extents_,
                                                layout, impl_.buffers)});
  const StripeDescriptor& encoded = round_.back().encoded.stripe;
  placement_.stripes.push_back(encoded);
  round_bytes_ += static_cast<std::size_t>(encoded.columns()) * encoded.fragment_bytes;
  segment.length_bytes += layout.fragment_bytes;
  ++segment.next_index;
  extents_.clear();
  return true;
}

// Disks that have something to do: names to make, fragments to write, or earlier ones to sync.
std::vector<DiskIndex> StripeWriter::Impl::Attempt::SlotsOfRound(Round round) const {
  std::set<DiskIndex> slots;
  for (const UsedSegment& used : used_) {
    for (std::size_t c = 0; c < used.segment->columns.size(); ++c) {
      const OpenSegment::Column& column = used.segment->columns[c];
      if (!column.file || (round == Round::kLast && (column.is_dirty || used.is_new))) {
        slots.insert(used.segment->descriptor.disks[c]);
      }
    }
  }
  for (const RoundStripe& item : round_) {
    const StripeDescriptor& stripe = item.encoded.stripe;
    const auto& members = item.segment->descriptor.disks;
    for (std::size_t c = 0; c < stripe.checksums.size(); ++c) {
      slots.insert(members[(stripe.first_column + c) % members.size()]);
    }
  }
  return {slots.begin(), slots.end()};
}

// Runs on the disk's own thread and touches only that disk's columns.
Status StripeWriter::Impl::Attempt::WriteToDisk(DiskIndex slot, Disk& disk, Round round) {
  bool has_new_name = false;
  for (const UsedSegment& used : writing_.used) {
    OpenSegment::Column* column = used.segment->ColumnOn(slot);
    if (!column) continue;
    if (column->disk.get() != &disk) {
      return Error(ErrorCode::kDiskLost, fmt::format("disk {} has been replaced", slot.value));
    }
    has_new_name = has_new_name || used.is_new;
    if (column->file) continue;
    ASSIGN_OR_RETURN(column->file, disk.Open(SegmentObjectName(used.segment->descriptor.id),
                                             OpenMode::kCreateStream));
  }
  for (const RoundStripe& item : writing_.stripes) {
    const StripeDescriptor& stripe = item.encoded.stripe;
    const auto& members = item.segment->descriptor.disks;
    for (int c = 0; c < stripe.columns(); ++c) {
      const std::size_t at = (stripe.first_column + static_cast<std::size_t>(c)) % members.size();
      if (members[at] != slot) continue;
      OpenSegment::Column& column = item.segment->columns[at];
      column.is_dirty = true;
      column.end_bytes = std::max(column.end_bytes, stripe.file_offset + stripe.fragment_bytes);
      RETURN_IF_ERROR(column.file->Write(stripe.file_offset, item.encoded.fragment(c)));
    }
  }
  if (round != Round::kLast) return {};
  for (const UsedSegment& used : writing_.used) {
    OpenSegment::Column* column = used.segment->ColumnOn(slot);
    if (!column || !column->is_dirty) continue;
    RETURN_IF_ERROR(column->file->Sync());
    column->is_dirty = false;
  }
  return has_new_name ? disk.SyncNames() : Status();
}

bool StripeWriter::Impl::Attempt::Flush(Round round) {
  if (!FinishWriting()) return false;
  writing_ = {SlotsOfRound(round), used_, std::exchange(round_, {})};
  round_bytes_ = 0;
  running_ = impl_.disks.Start(writing_.slots, [this, round](DiskIndex slot, Disk& disk) {
    return WriteToDisk(slot, disk, round);
  });
  return true;
}

bool StripeWriter::Impl::Attempt::FinishWriting() {
  const std::vector<Status> results = running_.Wait();
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].ok()) continue;
    const DiskIndex slot = writing_.slots[i];
    std::shared_ptr<Disk> disk;
    for (const UsedSegment& used : writing_.used) {
      if (const auto* column = used.segment->ColumnOn(slot)) disk = column->disk;
    }
    failures_.push_back({slot, std::move(disk), results[i].error()});
  }
  for (RoundStripe& item : writing_.stripes) impl_.buffers.Give(std::move(item.encoded.buffer));
  writing_ = {};
  return failures_.empty();
}

void StripeWriter::Impl::Attempt::Abandon() {
  impl_.open.reset();
  std::set<DiskIndex> slots;
  for (const UsedSegment& used : used_) {
    slots.insert(used.segment->descriptor.disks.begin(), used.segment->descriptor.disks.end());
  }
  const std::vector<DiskIndex> list(slots.begin(), slots.end());
  const auto results = impl_.disks.ForEach(list, [&](DiskIndex slot, Disk& disk) -> Status {
    for (const UsedSegment& used : used_) {
      OpenSegment::Column* column = used.segment->ColumnOn(slot);
      if (!column || column->disk.get() != &disk || !column->file) continue;
      if (used.is_new) {
        RETURN_IF_ERROR(disk.Remove(SegmentObjectName(used.segment->descriptor.id)));
        continue;
      }
      const auto at = static_cast<std::size_t>(column - used.segment->columns.data());
      RETURN_IF_ERROR(column->file->Truncate(used.ends_before_bytes[at]));
      column->end_bytes = used.ends_before_bytes[at];
    }
    return {};
  });
  // Errors here lose space, not data; a disk that is really broken says so at the next write.
  static_cast<void>(results);
}

Result<Width> StripeWriter::Impl::WidthNow() const {
  Width width;
  width.online = disks.OnlineSlots();
  width.parity = disks.geometry().parity;
  const int online = static_cast<int>(width.online.size());
  if (online < width.parity + 1 || !disks.writable()) {
    return Error(ErrorCode::kTooFewDisks,
                 fmt::format("{} disks can be written, {} are needed to keep {} parity", online,
                             width.parity + 1, width.parity));
  }
  width.data = std::min(disks.geometry().data, online - width.parity);
  return width;
}

// An open segment goes on only as wide as it could be now, on the very disks that it began on.
bool StripeWriter::Impl::IsUsable(OpenSegment& segment, const Width& width) const {
  if (segment.columns.size() != width.columns()) return false;
  for (std::size_t c = 0; c < segment.columns.size(); ++c) {
    if (disks.online(segment.descriptor.disks[c]) != segment.columns[c].disk) return false;
  }
  return true;
}

// Fails the disks that failed. True: another attempt makes sense.
Result<bool> StripeWriter::Impl::Recover(const std::vector<Failure>& failures) {
  std::optional<Error> full;
  for (const Failure& failure : failures) {
    const DiskIndex slot = failure.slot;
    switch (failure.error.code()) {
      case ErrorCode::kNoSpace:
        full = failure.error.In(fmt::format("placing data on disk {}", slot.value));
        continue;
      case ErrorCode::kExists:  // the next segment has another name
        continue;
      default:
        break;
    }
    if (const auto now = disks.online(slot); now && now != failure.disk) continue;
    RETURN_IF_ERROR(disks.Fail(slot, failure.error.In("placing data")));
    if (disks.state(slot) == DiskState::kOnline) {
      return failure.error.In(fmt::format("disk {} failed but is still a member", slot.value));
    }
  }
  if (full) return *full;
  return true;
}

StripeWriter::StripeWriter(DiskSet& disks, const Uuid& volume_uuid,
                           std::atomic<std::uint64_t>& next_segment, StripeWriterOptions options)
    : impl_(std::make_unique<Impl>(
          Impl{disks, volume_uuid, next_segment, options, {}, {}, nullptr})) {
  std::uint32_t& longest = impl_->options.max_fragment_bytes;
  longest = std::clamp(longest, kSmallestMaxFragment, kMaxFragmentBytes) / kFragmentAlign *
            kFragmentAlign;
}

StripeWriter::~StripeWriter() = default;

Result<Placement> StripeWriter::Place(std::span<const ByteSpan> inputs, StripeKind kind) {
  if (inputs.empty()) return Placement{};
  for (int i = 0; i < kAttemptLimit; ++i) {
    ASSIGN_OR_RETURN(Width width, impl_->WidthNow());
    if (impl_->open && !impl_->IsUsable(*impl_->open, width)) impl_->open.reset();
    Impl::Attempt attempt(*impl_, std::move(width), inputs, kind);
    if (attempt.Run()) return attempt.TakePlacement();
    const auto recovered = impl_->Recover(attempt.WaitForFailures());
    attempt.Abandon();
    if (!recovered.ok()) return recovered.error();
  }
  return Error(ErrorCode::kIo,
               fmt::format("placing data: given up after {} attempts", kAttemptLimit));
}

}  // namespace varve
