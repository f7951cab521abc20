// Making changes durable, over directories below TMPDIR: what is measured is that device as much
// as the journal. All directories lie on one device, so the m+1 copies compete for it; on disks of
// their own they do not.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "store/disk/posix_disk.h"
#include "store/log/journal.h"
#include "tests/bench/micro/sample_bytes.h"
#include "tests/store/log/random_change.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

constexpr std::size_t kWriteBytes = 4096;
constexpr int kDisks = 6;
constexpr Geometry kGeometry{4, 2};
// As Varve does, so that a long run does not fill the device.
constexpr std::uint64_t kCheckpointBytes = 64 << 20;

// A fresh journal on m+1 of six directories.
class DirectoryJournal {
 public:
  Status Open() {
    std::vector<std::unique_ptr<Disk>> found;
    for (int i = 0; i < kDisks; ++i) {
      const std::string path = directory_ / std::to_string(i);
      boost::filesystem::create_directory(path);
      ASSIGN_OR_RETURN(auto disk, OpenPosixDisk(path, DiskAccess::kReadWrite));
      found.push_back(std::move(disk));
    }
    RETURN_IF_ERROR(FormatDisks(found, {kGeometry, "bench"}));
    ASSIGN_OR_RETURN(disks_, DiskSet::Assemble(std::move(found)));
    RETURN_IF_ERROR(disks_->BeginEpoch());
    ASSIGN_OR_RETURN(journal_, Journal::Start(*disks_, disks_->label().volume_uuid, 1, {}, {}));
    return {};
  }

  // The changes get the next LSNs.
  Status Append(std::vector<Change>& changes) {
    std::vector<const Change*> pointers;
    for (Change& change : changes) {
      change.lsn = Lsn(++last_lsn_);
      pointers.push_back(&change);
    }
    return journal_->Append(pointers);
  }

  // What other threads do beside the appending.
  Status TidyUp() {
    if (journal_->bytes_since_checkpoint() >= kCheckpointBytes) {
      RETURN_IF_ERROR(journal_->Checkpointed(Checkpoint()));
    }
    return journal_->PrepareNext();
  }

 private:
  // Nobody reads it, so that it need not lead anywhere.
  CheckpointRef Checkpoint() {
    CheckpointRef ref{
        kLsnFirst, Lsn(last_lsn_), {{SegmentId{1}, {DiskIndex{0}, DiskIndex{1}}}}, {}, {}};
    ref.stripes.push_back(random_.Stripe(SegmentId{1}));
    ref.stripes.back().fragment_bytes = kMaxFragmentBytes;
    ref.parts.push_back(random_.Extent());
    ref.parts.back().stripe = ref.stripes.back().id;
    ref.parts.back().column = 0;
    return ref;
  }

  TempDirectory directory_;
  std::unique_ptr<DiskSet> disks_;
  std::unique_ptr<Journal> journal_;
  RandomChanges random_{1};
  std::uint64_t last_lsn_ = 0;
};

// A write of 4 KiB that does not compress and has no place in a stripe yet.
Change SmallWrite(std::uint64_t number) {
  Piece piece;
  piece.length = kWriteBytes;
  piece.pending = std::make_shared<PendingExtent>(RandomSample(kWriteBytes, number));
  Change change;
  change.time_ns = 1;
  change.kind = ChangeKind::kWrite;
  change.operations.emplace_back(WriteChunk{BodyId(2), number, {std::move(piece)}});
  return change;
}

void AppendToJournal(benchmark::State& state) {
  DirectoryJournal journal;
  std::vector<Change> changes;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    changes.push_back(SmallWrite(static_cast<std::uint64_t>(i)));
  }
  Status status = journal.Open();
  for ([[maybe_unused]] auto _ : state) {
    if (status.ok()) status = journal.Append(changes);
    state.PauseTiming();
    if (status.ok()) status = journal.TidyUp();
    state.ResumeTiming();
    if (!status.ok()) return state.SkipWithError(status.error().message().c_str());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * state.range(0) *
                          static_cast<std::int64_t>(kWriteBytes));
}
BENCHMARK(AppendToJournal)
    ->ArgName("changes")
    ->Arg(1)
    ->Arg(64)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace varve
