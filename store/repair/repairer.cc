#include "store/repair/repairer.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <set>
#include <utility>

#include "store/codec/checksum.h"
#include "store/log/columns.h"
#include "store/parity/erasure_code.h"
#include "store/repair/batch.h"

namespace varve {
namespace {

constexpr std::size_t kMaxFindings = 1000;
// Batches under way at once: one is looked at, one is read and computed, one is written.
constexpr std::uint64_t kBatchesHeld = 3;

class Repairer {
 public:
  Repairer(const RepairContext& context, const RepairOptions& options)
      : context_(context), options_(options) {}

  Result<RepairOutcome> Run(const RepairPlan& plan) {
    progress_ = {.phase = "mending", .done_bytes = 0, .total_bytes = plan.mend_bytes};
    for (const RepairPlan::Rebuild& rebuild : plan.rebuilds) {
      rebuilding_.insert(rebuild.slot);
      if (rebuild.scope == RepairPlan::Rebuild::Scope::kEverything) walked_.insert(rebuild.slot);
      progress_.total_bytes += rebuild.bytes;
    }
    options_.progress(progress_);
    const Status mended = Mend(plan);
    FinishWriting();  // after an error too: a disk may have failed
    RETURN_IF_ERROR(mended);
    if (!Cancelled()) RETURN_IF_ERROR(DeclareWhole());
    outcome_.cancelled = Cancelled();
    return std::move(outcome_);
  }

 private:
  bool Cancelled() const { return options_.cancel != nullptr && options_.cancel->load(); }

  Status Mend(const RepairPlan& plan) {
    RETURN_IF_ERROR(MendScattered(plan));
    Finish();
    if (!walked_.empty()) RETURN_IF_ERROR(MendWholeDisks());
    Finish();
    return {};
  }

  Status MendScattered(const RepairPlan& plan) {
    for (const BadStripe& stripe : plan.mends) {
      if (Cancelled()) return {};
      ASSIGN_OR_RETURN(auto descriptor, context_.catalog.GetStripe(stripe.id));
      ASSIGN_OR_RETURN(auto segment, context_.catalog.GetSegment(stripe.id.segment()));
      if (!descriptor.has_value() || !segment.has_value()) continue;
      Enqueue({*std::move(segment), *std::move(descriptor)}, stripe.columns);
    }
    return {};
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
          if (walked_.contains(DiskOfColumn(location, column))) columns |= ColumnBit(column);
        }
        if (columns != 0) Enqueue(location, columns);
      }
    }
    return {};
  }

  void Enqueue(StripeLocation location, std::uint64_t suspects) {
    const StripeDescriptor& stripe = location.stripe;
    if (!IsSane(location, context_.disks.size())) return;
    const std::uint64_t bytes =
        std::uint64_t{stripe.fragment_bytes} * static_cast<std::uint64_t>(stripe.columns());
    if (collected_->held_bytes + bytes > options_.memory_bytes / kBatchesHeld) Advance();
    StripeImage image = TakeImage(stripe);
    collected_->held_bytes += bytes;
    collected_->works.push_back(
        {.location = std::move(location), .suspects = suspects, .image = std::move(image)});
  }

  // Memory that has been used before costs the kernel nothing more.
  StripeImage TakeImage(const StripeDescriptor& stripe) {
    if (spare_.empty() || !spare_.back().Fits(stripe)) {
      spare_.clear();
      return {stripe.columns(), stripe.fragment_bytes};
    }
    StripeImage image = std::move(spare_.back());
    spare_.pop_back();
    return image;
  }

  // One step on for each batch: while what has been collected is looked at, the one before is read
  // and computed, and the one before that is written. So the disks that are read and those that are
  // written work at once. On a disk's thread looking comes before the writing of the same step,
  // which it would wait for.
  void Advance() {
    const auto looking = Transfer::Read(context_, std::exchange(collected_, NewBatch()),
                                        [](const Work& work) { return work.suspects; });
    const std::shared_ptr<Batch> batch = std::exchange(looked_at_, nullptr);
    if (batch != nullptr && !Cancelled()) ReadAndCompute(batch);
    FinishWriting();
    looking->Wait();
    if (batch != nullptr && !Cancelled()) writing_ = Transfer::Write(context_, batch);
    SetAsideTheGood(looking->batch());
  }

  // Until nothing is under way.
  void Finish() {
    if (Cancelled()) collected_ = NewBatch();
    while (!collected_->works.empty() || looked_at_ != nullptr || writing_ != nullptr) Advance();
  }

  static std::shared_ptr<Batch> NewBatch() { return std::make_shared<Batch>(); }

  void SetAsideTheGood(const std::shared_ptr<Batch>& batch) {
    std::erase_if(batch->works, [&](const Work& work) {
      outcome_.fragments_already_good += CountBits(work.good & work.suspects);
      return (work.bad & work.suspects) == 0;
    });
    if (!batch->works.empty()) looked_at_ = batch;
  }

  void ReadAndCompute(const std::shared_ptr<Batch>& batch) {
    // Just as many survivors as are needed; more when some of those are bad.
    for (bool again = true; again && !Cancelled();) {
      const auto reading = Transfer::Read(context_, batch, SurvivorsToRead);
      reading->Wait();
      again = !reading->IsEmpty();
    }
    if (Cancelled()) return;
    for (Work& work : batch->works) Compute(work);
  }

  static std::uint64_t CountBits(std::uint64_t mask) {
    return static_cast<std::uint64_t>(std::popcount(mask));
  }

  static std::uint64_t SurvivorsToRead(const Work& work) {
    const StripeDescriptor& stripe = work.location.stripe;
    int wanted = stripe.data - std::popcount(work.good);
    std::uint64_t columns = 0;
    for (int column = 0; column < stripe.columns() && wanted > 0; ++column) {
      if (((work.good | work.bad) & ColumnBit(column)) != 0) continue;
      columns |= ColumnBit(column);
      --wanted;
    }
    return columns;
  }

  void Compute(Work& work) {
    const StripeDescriptor& stripe = work.location.stripe;
    const std::uint64_t wanted = work.bad & work.suspects;
    if (std::popcount(work.good) < stripe.data) {
      outcome_.fragments_not_mended += CountBits(wanted);
      for (int column = 0; column < stripe.columns(); ++column) {
        if ((wanted & ColumnBit(column)) != 0) lacking_.insert(DiskOfColumn(work.location, column));
      }
      NoteHopeless(work);
      return;
    }
    std::vector<MutableByteSpan> payloads;
    for (const MutableByteSpan fragment : work.image.columns()) {
      payloads.push_back(fragment.empty() ? fragment : fragment.subspan(kFragmentHeaderBytes));
    }
    const std::uint64_t all = ColumnBit(stripe.columns()) - 1;
    const Status decoded = ErasureCodeFor(stripe.data, stripe.parity)
                               .Reconstruct(payloads, wanted, all & ~wanted & ~work.good);
    for (int column = 0; column < stripe.columns(); ++column) {
      if ((wanted & ColumnBit(column)) == 0) continue;
      const auto at = static_cast<std::size_t>(column);
      if (decoded.ok() && Checksum(payloads[at]) == stripe.checksums[at]) {
        work.mended |= ColumnBit(column);
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

  void FinishWriting() {
    const std::unique_ptr<Transfer> written = std::exchange(writing_, nullptr);
    if (written == nullptr) return;
    const std::vector<Work>& works = written->batch()->works;
    for (const auto& [slot, status] : written->Wait()) {
      Account(slot, works, written->On(slot), status);
    }
    for (Work& work : written->batch()->works) spare_.push_back(std::move(work.image));
  }

  void Account(DiskIndex slot, const std::vector<Work>& works, const Transfer::Fragments& fragments,
               const Status& done) {
    if (!done.ok()) {
      outcome_.fragments_not_mended += fragments.size();
      spoilt_.insert(slot);
      NoteWriteFailure(slot, done.error());
      return;
    }
    for (const auto& [i, column] : fragments) {
      const std::uint64_t bytes = works[i].location.stripe.fragment_bytes;
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
  RepairOutcome outcome_;
  RepairProgress progress_;
  std::shared_ptr<Batch> collected_ = NewBatch();
  std::shared_ptr<Batch> looked_at_;   // its suspects are known to be good or bad
  std::unique_ptr<Transfer> writing_;  // what was read and computed before
  std::vector<StripeImage> spare_;
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
