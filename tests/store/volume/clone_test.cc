// Clones of chunks against a model: files as strings of one letter a chunk, compared through the
// tail, the catalog, the past, and after a power cut with the catalog gone.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "store/volume/volume.h"
#include "tests/support/volume_fixture.h"

namespace varve {
namespace {

constexpr std::size_t kFiles = 3;
constexpr std::size_t kChunks = 12;
constexpr char kHole = '.';
using Model = std::array<std::string, kFiles>;

class Clone : public testing::Test {
 protected:
  void SetUp() override {
    fixture_.FormatAndOpen();
    for (std::size_t i = 0; i < kFiles; ++i) {
      bodies_[i] = BodyId{fixture_.volume().AllocateId()};
      model_[i] = std::string(kChunks, kHole);
    }
  }

  void Write(std::size_t file, std::size_t chunk, char letter) {
    Piece piece;
    piece.length = kChunkBytes;
    piece.pending =
        std::make_shared<PendingExtent>(ByteVector(kChunkBytes, static_cast<std::byte>(letter)));
    Commit(WriteChunk{bodies_[file], chunk, {std::move(piece)}});
    model_[file][chunk] = letter;
  }
  void Cut(std::size_t file, std::size_t first) {
    Commit(CutChunks{bodies_[file], first});
    model_[file].replace(first, kChunks - first, kChunks - first, kHole);
  }
  void CloneRange(std::size_t from, std::size_t from_first, std::size_t to, std::size_t to_first,
                  std::size_t count) {
    Commit(CloneChunks{bodies_[from], Lsn{}, from_first, bodies_[to], to_first, count});
    model_[to].replace(to_first, count, model_[from].substr(from_first, count));
  }
  // As the filesystem does, after a look at the past: then it is in the catalog.
  void ClonePast(const std::pair<const Lsn, Model>& then, std::size_t from, std::size_t from_first,
                 std::size_t to, std::size_t to_first, std::size_t count) {
    ASSERT_TRUE(fixture_.volume().At(then.first).ok());
    Commit(CloneChunks{bodies_[from], then.first, from_first, bodies_[to], to_first, count});
    model_[to].replace(to_first, count, then.second[from].substr(from_first, count));
  }

  // One letter a chunk, as the view has it; '?' where a chunk is not of one letter.
  std::string Letters(const View& view, std::size_t file) {
    std::string letters;
    for (std::size_t chunk = 0; chunk < kChunks; ++chunk) {
      ByteVector bytes(kChunkBytes);
      const Status read = view.Read(bodies_[file], chunk * kChunkBytes, bytes);
      EXPECT_TRUE(read.ok()) << (read.ok() ? "" : read.error().message());
      const char first = static_cast<char>(bytes.front());
      const bool same = std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
      letters += !same ? '?' : first == 0 ? kHole : first;
    }
    return letters;
  }
  void ExpectModel(const View& view, const Model& model) {
    for (std::size_t file = 0; file < kFiles; ++file) {
      EXPECT_EQ(Letters(view, file), model[file]) << "file " << file;
      const std::uint64_t size = kChunks * kChunkBytes;
      const auto data = std::count_if(model[file].begin(), model[file].end(),
                                      [](char letter) { return letter != kHole; });
      const auto counted = view.CountData(bodies_[file], size);
      ASSERT_TRUE(counted.ok());
      EXPECT_EQ(*counted, static_cast<std::uint64_t>(data) * kChunkBytes);
      const auto next = view.NextData(bodies_[file], 0, size);
      ASSERT_TRUE(next.ok());
      EXPECT_EQ(*next, std::min(model[file].find_first_not_of(kHole), kChunks) * kChunkBytes);
    }
  }

  void RandomStep(std::mt19937_64& random) {
    const std::size_t file = random() % kFiles;
    switch (random() % 6) {
      case 0:
        return Cut(file, random() % kChunks);
      case 1:
      case 2:
        return Write(file, random() % kChunks, static_cast<char>('a' + random() % 26));
      case 3:
        if (!versions_.empty()) {
          const std::size_t count = 1 + random() % kChunks;
          const auto then = std::next(versions_.begin(),
                                      static_cast<std::ptrdiff_t>(random() % versions_.size()));
          return ClonePast(*then, file, random() % (kChunks - count + 1), random() % kFiles,
                           random() % (kChunks - count + 1), count);
        }
        [[fallthrough]];
      default: {
        const std::size_t count = 1 + random() % (kChunks / 2);
        CloneRange(file, random() % (kChunks - count + 1), (file + 1 + random() % 2) % kFiles,
                   random() % (kChunks - count + 1), count);
      }
    }
  }

  void Commit(Operation operation) {
    Change change;
    change.kind = ChangeKind::kWrite;
    change.operations.push_back(std::move(operation));
    const auto lsn = fixture_.volume().Commit(std::move(change));
    ASSERT_TRUE(lsn.ok()) << lsn.error().message();
    last_ = *lsn;
  }

  VolumeFixture fixture_;
  std::array<BodyId, kFiles> bodies_;
  Model model_;
  Lsn last_;
  std::map<Lsn, Model> versions_;
};

TEST_F(Clone, SharesBytesUntilOneOfTheTwoIsWritten) {
  for (std::size_t chunk = 0; chunk < 4; ++chunk) Write(0, chunk, 'a');
  CloneRange(0, 0, 1, 2, 4);
  Write(0, 1, 'b');
  Write(1, 2, 'c');
  EXPECT_EQ(Letters(fixture_.volume().Now(), 0), "abaa........");
  EXPECT_EQ(Letters(fixture_.volume().Now(), 1), "..caaa......");
  ASSERT_TRUE(fixture_.Reopen().ok());
  ExpectModel(fixture_.volume().Now(), model_);
}

TEST_F(Clone, PointsAtTheSameExtents) {
  for (std::size_t chunk = 0; chunk < kChunks; ++chunk) Write(0, chunk, 'a');
  CloneRange(0, 0, 1, 0, kChunks);
  const auto view = fixture_.volume().At(last_);
  ASSERT_TRUE(view.ok()) << view.error().message();
  for (std::size_t chunk = 0; chunk < kChunks; ++chunk) {
    const auto source = view->GetChunk(bodies_[0], chunk);
    const auto copy = view->GetChunk(bodies_[1], chunk);
    ASSERT_TRUE(source.ok() && copy.ok());
    ASSERT_EQ(source->size(), 1u);
    ASSERT_EQ(copy->size(), 1u);
    EXPECT_EQ(source->front().extent, copy->front().extent);
  }
}

TEST_F(Clone, AgreesWithAModelNowThenAndAfterTheCatalogIsLost) {
  const std::uint64_t seed = TestSeed(20261125);
  std::mt19937_64 random(seed);
  for (int step = 0; step < 400; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    RandomStep(random);
    versions_[last_] = model_;
    if (step % 7 == 0) {
      ASSERT_NO_FATAL_FAILURE(ExpectModel(fixture_.volume().Now(), model_));
    }
    if (step % 100 == 99) {
      ASSERT_TRUE(fixture_.volume().SyncAll().ok());
      ASSERT_TRUE(fixture_.CutPowerAndOpen(random()).ok());
      ExpectModel(fixture_.volume().Now(), model_);
    }
  }
  const int catalog_slot = fixture_.volume().status().label.catalog_slot.value;
  ASSERT_TRUE(fixture_.Close().ok());
  fixture_.LoseDisk(catalog_slot);
  ASSERT_TRUE(fixture_.Open().ok());
  for (const auto& [lsn, model] : versions_) {
    SCOPED_TRACE("as of " + std::to_string(lsn.value));
    auto view = fixture_.volume().At(lsn);
    ASSERT_TRUE(view.ok()) << view.error().message();
    ASSERT_NO_FATAL_FAILURE(ExpectModel(*view, model));
  }
}

}  // namespace
}  // namespace varve
