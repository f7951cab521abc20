#include "store/repair/repairer.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <set>

#include "store/codec/checksum.h"
#include "store/parity/erasure_code.h"

namespace varve {
namespace {

constexpr std::size_t kMaxFindings = 1000;

// One stripe in the middle of being mended.
struct Work {
  StripeLocation location;
  std::uint64_t suspects = 0;  // columns to be looked at and written if bad
  std::uint64_t good = 0;      // read and verified: payloads[c] is set
  std::uint64_t bad = 0;       // read and found bad, or its disk is gone
  std::uint64_t mended = 0;    // computed and verified: payloads[c] is set
  std::vector<ByteVector> payloads;

  int columns() const { return location.stripe.columns(); }
  std::uint64_t HeldBytes() const {
    return std::uint64_t{location.stripe.fragment_bytes} * static_cast<std::uint64_t>(columns());
  }
};

std::uint64_t Bit(int column) { return std::uint64_t{1} << column; }

class Repairer {
 public:
  Repairer(const RepairContext& context, const RepairOptions& options)
      : context_(context), options_(options), volume_uuid_(context.disks.label().volume_uuid) {}

  Result<RepairOutcome> Run(const RepairPlan& plan) {
    progress_ = {.phase = "mending", .done_bytes = 0, .total_bytes = plan.mend_bytes};
    for (const RepairPlan::Rebuild& rebuild : plan.rebuilds) {
      rebuilding_.insert(rebuild.slot);
      if (rebuild.scope == RepairPlan::Rebuild::Scope::kEverything) walked_.insert(rebuild.slot);
      progress_.total_bytes += rebuild.bytes;
    }
    options_.progress(progress_);
    RETURN_IF_ERROR(MendScattered(plan));
    if (!walked_.empty()) RETURN_IF_ERROR(MendWholeDisks());
    if (!Cancelled()) RETURN_IF_ERROR(DeclareWhole());
    outcome_.cancelled = Cancelled();
    return std::move(outcome_);
  }

 private:
  bool Cancelled() const { return options_.cancel != nullptr && options_.cancel->load(); }

  Status MendScattered(const RepairPlan& plan) {
    for (const BadStripe& stripe : plan.mends) {
      if (Cancelled()) return {};
      ASSIGN_OR_RETURN(auto descriptor, context_.catalog.GetStripe(stripe.id));
      ASSIGN_OR_RETURN(auto segment, context_.catalog.GetSegment(stripe.id.segment()));
      if (!descriptor.has_value() || !segment.has_value()) continue;
      RETURN_IF_ERROR(Enqueue({*std::move(segment), *std::move(descriptor)}, stripe.columns));
    }
    return Flush();
  }

  Status MendWholeDisks() {
    ASSIGN_OR_RETURN(const auto segments, context_.catalog.ListSegments());
    for (const SegmentDescriptor& segment : segments) {
      const bool concerned = std::ranges::any_of(
          segment.disks, [&](DiskIndex slot) { return walked_.contains(slot); });
      if (!concerned) continue;
      ASSIGN_OR_RETURN(const auto stripes, context_.catalog.ListStripes(segment.id));
      for (const StripeDescriptor& stripe : stripes) {
        if (Cancelled()) return {};
        const StripeLocation location{segment, stripe};
        if (!IsSane(location, context_.disks.size())) continue;
        std::uint64_t columns = 0;
        for (int column = 0; column < stripe.columns(); ++column) {
          if (walked_.contains(DiskOfColumn(location, column))) columns |= Bit(column);
        }
        if (columns != 0) RETURN_IF_ERROR(Enqueue(location, columns));
      }
    }
    return Flush();
  }

  Status Enqueue(StripeLocation location, std::uint64_t suspects) {
    if (!IsSane(location, context_.disks.size())) return {};
    Work work{.location = std::move(location), .suspects = suspects, .payloads = {}};
    work.payloads.resize(static_cast<std::size_t>(work.columns()));
    if (held_bytes_ + work.HeldBytes() > options_.memory_bytes) RETURN_IF_ERROR(Flush());
    held_bytes_ += work.HeldBytes();
    batch_.push_back(std::move(work));
    return {};
  }

  // Mends what has been collected: look at the suspects, read what is needed, compute, write, sync.
  Status Flush() {
    std::vector<Work> batch = std::move(batch_);
    batch_.clear();
    held_bytes_ = 0;
    ReadColumns(batch, [](const Work& work) { return work.suspects; });
    std::erase_if(batch, [&](const Work& work) {
      outcome_.fragments_already_good += CountBits(work.good & work.suspects);
      return (work.bad & work.suspects) == 0;
    });
    // Read just as many survivors as are needed; more when some of those are bad.
    for (bool again = true; again && !Cancelled();) {
      again = ReadColumns(batch, [](const Work& work) { return SurvivorsToRead(work); });
    }
    if (Cancelled()) return {};
    for (Work& work : batch) Compute(work);
    WriteColumns(batch);
    return {};
  }

  static std::uint64_t CountBits(std::uint64_t mask) {
    return static_cast<std::uint64_t>(std::popcount(mask));
  }

  static std::uint64_t SurvivorsToRead(const Work& work) {
    int wanted = work.location.stripe.data - std::popcount(work.good);
    std::uint64_t columns = 0;
    for (int column = 0; column < work.columns() && wanted > 0; ++column) {
      if (((work.good | work.bad) & Bit(column)) != 0) continue;
      columns |= Bit(column);
      --wanted;
    }
    return columns;
  }

  // Reads the columns that `choose` names, all disks at once, and sorts them into good and bad.
  // Answers whether there was anything to read.
  template <typename Choose>
  bool ReadColumns(std::vector<Work>& batch, Choose choose) {
    std::vector<std::uint64_t> chosen(batch.size());
    std::map<DiskIndex, std::vector<std::pair<std::size_t, int>>> by_disk;
    std::vector<DiskIndex> slots;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      chosen[i] = choose(batch[i]);
      for (int column = 0; column < batch[i].columns(); ++column) {
        if ((chosen[i] & Bit(column)) == 0) continue;
        by_disk[DiskOfColumn(batch[i].location, column)].emplace_back(i, column);
      }
    }
    for (const auto& [slot, columns] : by_disk) slots.push_back(slot);
    if (slots.empty()) return false;
    std::mutex mutex;
    const auto done = context_.disks.ForEach(slots, [&](DiskIndex slot, Disk&) -> Status {
      for (const auto& [i, column] : by_disk.at(slot)) {
        auto payload = context_.reader.ReadFragment(batch[i].location, column);
        if (!payload.ok()) continue;
        batch[i].payloads[static_cast<std::size_t>(column)] = *std::move(payload);
        std::lock_guard lock(mutex);
        batch[i].good |= Bit(column);
      }
      return {};
    });
    // Whatever was asked for and has not come is bad, a disk that is gone with all that it holds.
    for (std::size_t i = 0; i < batch.size(); ++i) batch[i].bad |= chosen[i] & ~batch[i].good;
    return true;
  }

  void Compute(Work& work) {
    const StripeDescriptor& stripe = work.location.stripe;
    const std::uint64_t wanted = work.bad & work.suspects;
    if (std::popcount(work.good) < stripe.data) {
      outcome_.fragments_not_mended += CountBits(wanted);
      for (int column = 0; column < work.columns(); ++column) {
        if ((wanted & Bit(column)) != 0) lacking_.insert(DiskOfColumn(work.location, column));
      }
      NoteHopeless(work);
      return;
    }
    std::vector<MutableByteSpan> columns;
    for (int column = 0; column < work.columns(); ++column) {
      ByteVector& payload = work.payloads[static_cast<std::size_t>(column)];
      payload.resize(stripe.payload_bytes());
      columns.emplace_back(payload);
    }
    const std::uint64_t all = work.columns() == 64 ? ~std::uint64_t{0} : Bit(work.columns()) - 1;
    const Status decoded = ErasureCodeFor(stripe.data, stripe.parity)
                               .Reconstruct(columns, wanted, all & ~wanted & ~work.good);
    for (int column = 0; column < work.columns(); ++column) {
      if ((wanted & Bit(column)) == 0) continue;
      const auto at = static_cast<std::size_t>(column);
      if (decoded.ok() && Checksum(work.payloads[at]) == stripe.checksums[at]) {
        work.mended |= Bit(column);
        continue;
      }
      ++outcome_.fragments_not_mended;
      Note({.kind = FindingKind::kParityMismatch,
            .severity = Severity::kLost,
            .disk = DiskOfColumn(work.location, column),
            .stripe = stripe.id,
            .column = static_cast<std::uint8_t>(column),
            .what = "stripe " + HexId(stripe.id) + " column " + std::to_string(column) +
                    ": what its other columns give does not have the checksum recorded for it",
            .next_step = "varve fsck --deep says which files are concerned"});
    }
  }

  void NoteHopeless(const Work& work) {
    const StripeDescriptor& stripe = work.location.stripe;
    Note({.kind = FindingKind::kExtentUnreadable,
          .severity = Severity::kLost,
          .disk = {},
          .stripe = stripe.id,
          .what = "stripe " + HexId(stripe.id) + " has " +
                  std::to_string(std::popcount(work.good)) + " good fragments and needs " +
                  std::to_string(stripe.data),
          .next_step = "give the missing disks back"});
  }

  void Note(Finding finding) {
    options_.findings(finding);
    if (outcome_.findings.size() < kMaxFindings) outcome_.findings.push_back(std::move(finding));
  }

  // Writes and syncs what has been computed, all disks at once.
  void WriteColumns(const std::vector<Work>& batch) {
    std::map<DiskIndex, std::vector<std::pair<std::size_t, int>>> by_disk;
    std::vector<DiskIndex> slots;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      for (int column = 0; column < batch[i].columns(); ++column) {
        if ((batch[i].mended & Bit(column)) == 0) continue;
        by_disk[DiskOfColumn(batch[i].location, column)].emplace_back(i, column);
      }
    }
    for (const auto& [slot, columns] : by_disk) slots.push_back(slot);
    if (slots.empty()) return;
    const auto done = context_.disks.ForEach(slots, [&](DiskIndex slot, Disk&) -> Status {
      std::set<SegmentId> touched;
      for (const auto& [i, column] : by_disk.at(slot)) {
        const Work& work = batch[i];
        RETURN_IF_ERROR(WriteFragment(context_.disks, volume_uuid_, work.location, column,
                                      work.payloads[static_cast<std::size_t>(column)]));
        touched.insert(work.location.segment.id);
      }
      for (const SegmentId segment : touched) {
        RETURN_IF_ERROR(SyncSegmentColumn(context_.disks, segment, slot));
      }
      return {};
    });
    for (std::size_t i = 0; i < slots.size(); ++i) {
      Account(slots[i], batch, by_disk.at(slots[i]), done[i]);
    }
  }

  void Account(DiskIndex slot, const std::vector<Work>& batch,
               const std::vector<std::pair<std::size_t, int>>& fragments, const Status& done) {
    // What the reader had open may be an object that has been replaced.
    context_.reader.Forget(slot);
    if (!done.ok()) {
      outcome_.fragments_not_mended += fragments.size();
      spoilt_.insert(slot);
      NoteWriteFailure(slot, done.error());
      return;
    }
    for (const auto& [i, column] : fragments) {
      const std::uint64_t bytes = batch[i].location.stripe.fragment_bytes;
      ++outcome_.fragments_written;
      outcome_.bytes_written += bytes;
      progress_.done_bytes += bytes;
    }
    options_.progress(progress_);
  }

  void NoteWriteFailure(DiskIndex slot, const Error& error) {
    std::string what =
        "disk " + std::to_string(slot.value) + " could not be written: " + error.message();
    // A full disk is no broken disk; anything else is not to be trusted with another write.
    if (error.code() != ErrorCode::kNoSpace && error.code() != ErrorCode::kDiskLost) {
      const Status failed = context_.disks.Fail(slot, error);
      if (!failed.ok()) what += "; " + failed.error().message();
    }
    Note({.kind = FindingKind::kDiskMissing,
          .severity = Severity::kRepairable,
          .disk = slot,
          .stripe = {},
          .what = std::move(what),
          .next_step = error.code() == ErrorCode::kNoSpace
                           ? "make room on it and run varve fsck -y again"
                           : "replace it: varve fsck -y --replace OLD=NEW"});
  }

  // A disk that now has all that it should hold takes its full part again. One that lacks fragments
  // because too few others are left waits while a disk is absent that may bring them back; if none
  // is, they are gone for good, and are told as lost.
  Status DeclareWhole() {
    const bool all_online =
        context_.disks.OnlineSlots().size() == static_cast<std::size_t>(context_.disks.size());
    for (const DiskIndex slot : rebuilding_) {
      if (lacking_.contains(slot) && !all_online) continue;
      if (spoilt_.contains(slot) || context_.disks.state(slot) != DiskState::kOnline) continue;
      const DiskLabel label = context_.disks.label();
      if (slot.value < label.slots.size() &&
          label.slots[slot.value].state == SlotState::kRebuilding) {
        RETURN_IF_ERROR(context_.disks.MarkRebuilt(slot));
      }
      outcome_.rebuilt.push_back(slot);
    }
    return {};
  }

  const RepairContext& context_;
  const RepairOptions& options_;
  const Uuid volume_uuid_;
  RepairOutcome outcome_;
  RepairProgress progress_;
  std::vector<Work> batch_;
  std::uint64_t held_bytes_ = 0;
  std::set<DiskIndex> rebuilding_;
  std::set<DiskIndex> walked_;   // those of them whose every fragment is looked at
  std::set<DiskIndex> spoilt_;   // a write to it failed
  std::set<DiskIndex> lacking_;  // a fragment of it could not be computed
};

}  // namespace

Result<RepairOutcome> CarryOut(const RepairContext& context, const RepairPlan& plan,
                               const RepairOptions& options) {
  return Repairer(context, options).Run(plan);
}

}  // namespace varve
