#include "store/repair/fragment_scan.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <set>

namespace varve {
namespace {

// A disk with more bad fragments than this is mended as a whole; below it each is remembered.
// Bounds the memory of a check, whatever has happened to the disks.
constexpr std::uint64_t kScatteredLimit = 100'000;

// What is known about a disk before anything is read.
struct Slot {
  DiskState state = DiskState::kMissing;
  bool rebuilding = false;
  bool whole = false;
  std::string path;
  std::uint64_t fragments = 0;
  std::uint64_t bad_fragments = 0;
  std::uint64_t bad_bytes = 0;

  bool IsExpectedToLack() const { return state != DiskState::kOnline || rebuilding; }
};

// One segment while its columns are read: each disk's task marks what is bad.
struct SegmentScan {
  SegmentDescriptor segment;
  std::vector<StripeLocation> stripes;
  std::unique_ptr<std::atomic<std::uint64_t>[]> bad;  // a mask for each stripe

  // True where `slot` holds column `column` of stripe `index`.
  bool Holds(DiskIndex slot, std::size_t index, int column) const {
    return DiskOfColumn(stripes[index], column) == slot;
  }
};

class FragmentScan {
 public:
  FragmentScan(const RepairContext& context, CheckLog& log, CheckReport& report)
      : context_(context), log_(log), report_(report) {}

  Status Run() {
    ReadSlots();
    ASSIGN_OR_RETURN(const std::vector<SegmentDescriptor> segments,
                     context_.catalog.ListSegments());
    RETURN_IF_ERROR(MeasureWork(segments));
    for (const SegmentDescriptor& segment : segments) {
      if (log_.Cancelled()) break;
      RETURN_IF_ERROR(ScanSegment(segment));
    }
    std::ranges::sort(report_.mendable, {}, &BadStripe::id);
    std::ranges::sort(report_.beyond, {}, &BadStripe::id);
    ReportSlots();
    return {};
  }

 private:
  void ReadSlots() {
    const DiskLabel label = context_.disks.label();
    slots_.resize(static_cast<std::size_t>(context_.disks.size()));
    for (const DiskStatus& status : context_.disks.Report()) {
      if (status.slot.value >= slots_.size()) continue;
      Slot& slot = slots_[status.slot.value];
      slot.state = status.state;
      slot.path = status.path;
      slot.rebuilding = status.slot.value < label.slots.size() &&
                        label.slots[status.slot.value].state == SlotState::kRebuilding;
      slot.whole = slot.state != DiskState::kOnline;
    }
  }

  Status MeasureWork(const std::vector<SegmentDescriptor>& segments) {
    std::uint64_t total = 0;
    for (const SegmentDescriptor& segment : segments) {
      ASSIGN_OR_RETURN(const auto stripes, context_.catalog.ListStripes(segment.id));
      for (const StripeDescriptor& stripe : stripes) total += BytesOf(stripe);
    }
    log_.BeginPhase("reading fragments", total);
    return {};
  }

  static std::uint64_t BytesOf(const StripeDescriptor& stripe) {
    return std::uint64_t{stripe.fragment_bytes} * static_cast<std::uint64_t>(stripe.columns());
  }

  void NoteInsane(StripeId stripe, std::string what) {
    log_.Add({.kind = FindingKind::kCatalogCorrupt,
              .severity = Severity::kLost,
              .disk = {},
              .stripe = stripe,
              .what = std::move(what),
              .next_step = "remove the catalog's object from its disk and check again: it is "
                           "made anew from the log"});
  }

  Status ScanSegment(const SegmentDescriptor& segment) {
    ++report_.segments;
    const int disk_count = context_.disks.size();
    if (!IsSane(segment, disk_count)) {
      NoteInsane({}, SegmentObjectName(segment.id) + " names disks that the volume does not have");
      return {};
    }
    ASSIGN_OR_RETURN(const auto descriptors, context_.catalog.ListStripes(segment.id));
    SegmentScan scan{.segment = segment, .stripes = {}, .bad = nullptr};
    for (const StripeDescriptor& stripe : descriptors) {
      if (IsSane({segment, stripe}, disk_count)) {
        scan.stripes.push_back({segment, stripe});
      } else {
        NoteInsane(stripe.id, "stripe " + HexId(stripe.id) +
                                  " is described in the catalog by values that cannot be");
      }
    }
    scan.bad = std::make_unique<std::atomic<std::uint64_t>[]>(scan.stripes.size());

    std::vector<DiskIndex> slots = segment.disks;
    std::ranges::sort(slots);
    slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
    const std::vector<Status> done = context_.disks.ForEach(
        slots, [&](DiskIndex slot, Disk& disk) { return ReadColumn(scan, slot, disk); });
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (done[i].ok()) continue;
      if (done[i].error().code() != ErrorCode::kDiskLost &&
          done[i].error().code() != ErrorCode::kCancelled) {
        return done[i].error().In("checking " + SegmentObjectName(segment.id));
      }
      if (done[i].error().code() == ErrorCode::kDiskLost) MarkColumn(scan, slots[i]);
    }
    if (!log_.Cancelled()) CountSegment(scan);
    return {};
  }

  // All that this disk should hold of the segment is not there. Answers how many bytes that are:
  // none, and no object, when only narrow stripes on other disks were written.
  std::uint64_t MarkColumn(SegmentScan& scan, DiskIndex slot) {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < scan.stripes.size(); ++i) {
      for (int column = 0; column < scan.stripes[i].stripe.columns(); ++column) {
        if (!scan.Holds(slot, i, column)) continue;
        scan.bad[i].fetch_or(std::uint64_t{1} << column);
        bytes += scan.stripes[i].stripe.fragment_bytes;
      }
    }
    log_.Advance(bytes);
    return bytes;
  }

  // One disk's task, beside those of the others.
  Status ReadColumn(SegmentScan& scan, DiskIndex slot, Disk& disk) {
    const std::string name = SegmentObjectName(scan.segment.id);
    auto file = disk.Open(name, OpenMode::kRead);
    if (!file.ok() && file.error().code() == ErrorCode::kNotFound) {
      const std::uint64_t missing_bytes = MarkColumn(scan, slot);
      if (missing_bytes != 0 && !slots_[slot.value].IsExpectedToLack()) {
        log_.Add(Damage(FindingKind::kFragmentMissing, slot, StripeId(), 0,
                        name + " is missing on " + disk.Describe()));
      }
      return {};
    }
    for (std::size_t i = 0; i < scan.stripes.size(); ++i) {
      const StripeLocation& location = scan.stripes[i];
      for (int column = 0; column < location.stripe.columns(); ++column) {
        if (!scan.Holds(slot, i, column)) continue;
        if (log_.Cancelled()) return Error(ErrorCode::kCancelled, "the check was cancelled");
        const Status sound = context_.reader.VerifyFragment(location, column);
        if (!sound.ok()) {
          if (sound.error().code() == ErrorCode::kDiskLost) return sound.error();
          scan.bad[i].fetch_or(std::uint64_t{1} << column);
          NoteFragment(slot, disk, location.stripe, column, sound.error());
        }
        log_.Advance(location.stripe.fragment_bytes);
      }
    }
    return {};
  }

  static Finding Damage(FindingKind kind, DiskIndex slot, StripeId stripe, int column,
                        std::string what) {
    return {.kind = kind,
            .severity = Severity::kRepairable,
            .disk = slot,
            .stripe = stripe,
            .column = static_cast<std::uint8_t>(column),
            .what = std::move(what),
            .next_step = "varve fsck -y writes it anew from the other disks"};
  }

  void NoteFragment(DiskIndex slot, Disk& disk, const StripeDescriptor& stripe, int column,
                    const Error& error) {
    // Of a disk under rebuilding only the sum is told: that it lacks fragments is expected.
    if (slots_[slot.value].IsExpectedToLack()) return;
    const bool corrupt = error.code() == ErrorCode::kCorrupt;
    // The error names segment, stripe and column.
    std::string what = disk.Describe() + ": " + error.message();
    if (stripe.kind == StripeKind::kCheckpoint) what += " (a copy of the history, no file)";
    log_.Add(Damage(corrupt ? FindingKind::kFragmentCorrupt : FindingKind::kFragmentMissing, slot,
                    stripe.id, column, std::move(what)));
  }

  void CountSegment(const SegmentScan& scan) {
    for (std::size_t i = 0; i < scan.stripes.size(); ++i) {
      const StripeLocation& location = scan.stripes[i];
      const StripeDescriptor& stripe = location.stripe;
      const std::uint64_t bad = scan.bad[i].load();
      ++report_.stripes;
      report_.fragments += static_cast<std::uint64_t>(stripe.columns());
      report_.checked_bytes += BytesOf(stripe);
      std::uint64_t scattered = 0;
      std::uint64_t damaged = 0;
      for (int column = 0; column < stripe.columns(); ++column) {
        Slot& slot = slots_[DiskOfColumn(location, column).value];
        ++slot.fragments;
        if ((bad >> column & 1) == 0) continue;
        ++report_.bad_fragments;
        ++slot.bad_fragments;
        slot.bad_bytes += stripe.fragment_bytes;
        if (slot.bad_fragments > kScatteredLimit) slot.whole = true;
        if (!slot.whole) scattered |= std::uint64_t{1} << column;
        if (!slot.IsExpectedToLack()) damaged |= std::uint64_t{1} << column;
      }
      if (std::popcount(bad) > stripe.parity) {
        report_.beyond.push_back({stripe.id, bad, damaged});
        NoteBeyond(stripe, std::popcount(bad));
      } else if (scattered != 0) {
        report_.mendable.push_back({stripe.id, bad, damaged});
      }
    }
  }

  void NoteBeyond(const StripeDescriptor& stripe, int bad) {
    // Of data stripes the names of the files are told instead, once they are known. History that
    // lies in a checkpoint is still in the catalog, but no longer twice.
    if (stripe.kind != StripeKind::kCheckpoint) return;
    log_.Add({.kind = FindingKind::kExtentUnreadable,
              .severity = Severity::kLost,
              .disk = {},
              .stripe = stripe.id,
              .what = "a checkpoint of the history (stripe " + HexId(stripe.id) + ") has lost " +
                      std::to_string(bad) + " of its " + std::to_string(stripe.columns()) +
                      " fragments, more than parity can mend",
              .next_step = "the history is whole in the catalog; give the missing disks back, or "
                           "copy the files to a new volume before the catalog is lost as well"});
  }

  void ReportSlots() {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const Slot& slot = slots_[i];
      if (slot.state == DiskState::kOnline && !slot.rebuilding && slot.bad_fragments == 0) continue;
      report_.slots.push_back({.slot = DiskIndex(static_cast<std::uint8_t>(i)),
                               .state = slot.state,
                               .rebuilding = slot.rebuilding,
                               .whole = slot.whole,
                               .bad_fragments = slot.bad_fragments,
                               .bad_bytes = slot.bad_bytes});
    }
  }

  const RepairContext& context_;
  CheckLog& log_;
  CheckReport& report_;
  std::vector<Slot> slots_;
};

}  // namespace

Status ScanFragments(const RepairContext& context, CheckLog& log, CheckReport& report) {
  return FragmentScan(context, log, report).Run();
}

Status NoteOrphans(const RepairContext& context, CheckLog& log) {
  ASSIGN_OR_RETURN(const auto segments, context.catalog.ListSegments());
  std::set<std::string> known;
  for (const SegmentDescriptor& segment : segments) known.insert(SegmentObjectName(segment.id));
  const std::vector<DiskIndex> slots = context.disks.OnlineSlots();
  const auto done = context.disks.ForEach(slots, [&](DiskIndex slot, Disk& disk) -> Status {
    ASSIGN_OR_RETURN(const auto names, disk.List("segment/"));
    for (const std::string& name : names) {
      if (known.contains(name)) continue;
      log.Add(
          {.kind = FindingKind::kOrphanFile,
           .severity = Severity::kNote,
           .disk = slot,
           .stripe = {},
           .what = name + " on " + disk.Describe() + " belongs to nothing that was acknowledged",
           .next_step = "none: it takes space and does no harm"});
    }
    return {};
  });
  for (const Status& status : done) {
    if (!status.ok() && status.error().code() != ErrorCode::kDiskLost) {
      return status.error().In("listing segments");
    }
  }
  return {};
}

}  // namespace varve
