// The catalog, over a directory below TMPDIR: how fast history goes in, and how long a question
// about now and one about then take as history grows.
#include <benchmark/benchmark.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "store/catalog/catalog.h"
#include "store/disk/posix_disk.h"
#include "tests/store/catalog/catalog_fixture.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

constexpr std::uint64_t kBatchChanges = 1000;
constexpr std::uint64_t kVersionsEach = 16;   // versions of each name and of each chunk
constexpr std::uint64_t kChunksOfABody = 64;  // 4 MiB
constexpr std::uint64_t kFirstId = 1000;
constexpr int kBatchesBetweenFolds = 16;

std::string NameOf(std::uint64_t index) { return "measurement-" + std::to_string(index) + ".dat"; }
// Chunks are numbered through, over as many bodies as it takes.
BodyId BodyOf(std::uint64_t chunk) { return BodyId(kFirstId + chunk / kChunksOfABody); }

PutEntry Name(std::uint64_t index, InodeId inode, Cookie cookie) {
  return PutEntry{kRootInode, Entry{NameOf(index), inode, S_IFREG, cookie}};
}
PieceList WholeChunk(std::uint64_t lsn) {
  const StripeId stripe(SegmentId(1), static_cast<std::uint32_t>(lsn % 4096 + 1));
  return {RestPiece(stripe, 0, kChunkBytes, 0)};
}

// One state of one name and of one chunk.
Change Version(std::uint64_t lsn, std::uint64_t index) {
  return MakeChange(lsn, {Name(index, InodeId(kFirstId + lsn), kFirstId + lsn),
                          WriteChunk{BodyOf(index), index % kChunksOfABody, WholeChunk(lsn)}});
}

// A new file of one chunk: its attributes, its name, its bytes.
Change NewFile(std::uint64_t lsn) {
  const InodeId inode(kFirstId + 2 * lsn);
  const BodyId body(kFirstId + 2 * lsn + 1);
  return MakeChange(lsn, {PutInode{inode, FileAttributes(body, kChunkBytes)},
                          Name(lsn, inode, kFirstId + lsn), WriteChunk{body, 0, WholeChunk(lsn)}});
}

class DirectoryCatalog {
 public:
  Status Open() {
    ASSIGN_OR_RETURN(std::shared_ptr<Disk> disk,
                     OpenPosixDisk(directory_.path(), DiskAccess::kReadWrite));
    ASSIGN_OR_RETURN(catalog_, Catalog::Create(disk, TestIdentity(), {}));
    return {};
  }
  Status Apply(const std::vector<Change>& changes) {
    return catalog_->Apply(Pointers(changes, 0, changes.size()));
  }
  // So many versions, spread over names and chunks in turn.
  Status Fill(std::uint64_t versions) {
    RETURN_IF_ERROR(Open());
    std::vector<Change> batch;
    for (std::uint64_t lsn = 1; lsn <= versions; ++lsn) {
      batch.push_back(Version(lsn, lsn % (versions / kVersionsEach)));
      if (batch.size() < kBatchChanges && lsn < versions) continue;
      RETURN_IF_ERROR(Apply(batch));
      batch.clear();
    }
    return catalog_->FoldLog();
  }
  Catalog& operator*() { return *catalog_; }
  Catalog* operator->() { return catalog_.get(); }

 private:
  TempDirectory directory_;
  std::unique_ptr<Catalog> catalog_;
};

void ApplyNewFiles(benchmark::State& state) {
  DirectoryCatalog catalog;
  Status status = catalog.Open();
  std::uint64_t lsn = 0;
  int batches = 0;
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    std::vector<Change> batch;
    for (std::uint64_t i = 0; i < kBatchChanges; ++i) batch.push_back(NewFile(++lsn));
    state.ResumeTiming();
    if (status.ok()) status = catalog.Apply(batch);
    // Part of the price: the same thread does it in Varve, though once a second. Here it comes more
    // often, so that a short run has its share as well.
    if (status.ok() && ++batches % kBatchesBetweenFolds == 0) status = catalog->FoldLog();
    if (!status.ok()) return state.SkipWithError(status.error().message().c_str());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatchChanges));
}
BENCHMARK(ApplyNewFiles)->UseRealTime()->Unit(benchmark::kMillisecond);

// Made once for all questions asked of that many versions; null, and `status` says why, if it
// cannot be.
DirectoryCatalog* FilledCatalog(std::uint64_t versions, Status& status) {
  static std::map<std::uint64_t, std::unique_ptr<DirectoryCatalog>> catalogs;
  auto& catalog = catalogs[versions];
  if (catalog == nullptr) {
    auto filled = std::make_unique<DirectoryCatalog>();
    status = filled->Fill(versions);
    if (status.ok()) catalog = std::move(filled);
  }
  return catalog.get();
}

enum class When { kNow, kThen };
enum class Question { kName, kChunk };

// Whether the catalog has an answer.
bool Ask(Catalog& catalog, Question question, std::uint64_t index, Lsn at) {
  if (question == Question::kName) {
    const auto entry = catalog.Lookup(kRootInode, NameOf(index), at);
    return entry.ok() && entry->has_value();
  }
  const ChunkIndex chunk = index % kChunksOfABody;
  const auto chunks = catalog.Chunks(BodyOf(index), chunk, chunk, at);
  return chunks.ok() && chunks->size() == 1;
}

// Questions about names and chunks at random: of the present, or of a moment at random since all
// of them have existed.
void AskCatalog(benchmark::State& state, Question question, When when) {
  const auto versions = static_cast<std::uint64_t>(state.range(0));
  const std::uint64_t things = versions / kVersionsEach;
  Status status;
  DirectoryCatalog* catalog = FilledCatalog(versions, status);
  if (catalog == nullptr) return state.SkipWithError(status.error().message().c_str());
  std::mt19937_64 random(1);
  for ([[maybe_unused]] auto _ : state) {
    const std::uint64_t index = random() % things;
    const Lsn at = when == When::kNow ? kLsnNow : Lsn(things + random() % (versions - things));
    if (!Ask(**catalog, question, index, at)) return state.SkipWithError("it has no answer");
  }
  state.SetItemsProcessed(state.iterations());
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("versions")->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
  benchmark->Unit(benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(AskCatalog, name_now, Question::kName, When::kNow)->Apply(Sizes);
BENCHMARK_CAPTURE(AskCatalog, name_then, Question::kName, When::kThen)->Apply(Sizes);
BENCHMARK_CAPTURE(AskCatalog, chunk_now, Question::kChunk, When::kNow)->Apply(Sizes);
BENCHMARK_CAPTURE(AskCatalog, chunk_then, Question::kChunk, When::kThen)->Apply(Sizes);

}  // namespace
}  // namespace varve
