#include "store/log/stripe_writer.h"

#include <set>

#include "store/log/segment_objects.h"
#include "tests/store/log/stripe_fixture.h"

namespace varve {
namespace {

class Writer : public StripeFixture {
 protected:
  std::uint64_t UsedBytes() const {
    std::uint64_t used = 0;
    for (const auto& platter : platters_) used += platter->used_bytes();
    return used;
  }
};

TEST_F(Writer, PlacesAndReadsBackWithEveryGeometry) {
  struct {
    int data, parity, disks;
  } const geometries[] = {{1, 0, 1}, {1, 1, 2},  {1, 2, 3}, {2, 1, 3}, {3, 0, 3},
                          {4, 2, 6}, {8, 3, 11}, {4, 2, 9}, {1, 1, 5}, {32, 8, 40}};
  for (const auto& geometry : geometries) {
    SCOPED_TRACE(testing::Message()
                 << geometry.data << "+" << geometry.parity << " over " << geometry.disks);
    ASSERT_NO_FATAL_FAILURE(Format(geometry.data, geometry.parity, geometry.disks));
    for (const std::size_t count : {1u, 2u, 7u, 40u}) MustPlace(SomeInputs(count));
    ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
    EXPECT_TRUE(Findings().empty());
  }
}

TEST_F(Writer, PlacesNothingWhenGivenNothing) {
  Format(2, 1, 3);
  const Placement placement = MustPlace({});
  EXPECT_TRUE(placement.segments.empty());
  EXPECT_TRUE(placement.stripes.empty());
}

TEST_F(Writer, IsDurableWhenItReturns) {
  Format(4, 2, 6);
  for (const std::size_t count : {1u, 5u, 300u}) {
    MustPlace(SomeInputs(count));
    for (const auto& platter : platters_) EXPECT_TRUE(platter->IsDurable());
  }
  for (const auto& platter : platters_) platter->CutPower(random_());
  Reopen();
  ExpectAllReadable();
}

TEST_F(Writer, KeepsAllParityInNarrowStripes) {
  Format(4, 2, 6);
  const Placement small = MustPlace({Random(100)});
  ASSERT_EQ(small.stripes.size(), 1u);
  EXPECT_EQ(small.stripes[0].data, 1);
  EXPECT_EQ(small.stripes[0].parity, 2);
  EXPECT_EQ(small.stripes[0].fragment_bytes, kFragmentAlign);
  EXPECT_EQ(MustPlace({Random(kChunkBytes), Random(kChunkBytes)}).stripes[0].data, 2);
  EXPECT_EQ(MustPlace(std::vector(8, Random(kChunkBytes))).stripes[0].data, 4);
}

TEST_F(Writer, CompressesWhatCompresses) {
  Format(2, 1, 3);
  const Placement placement = MustPlace({Text(kChunkBytes), Random(kChunkBytes)});
  EXPECT_EQ(placement.extents[0].codec, Codec::kLz4);
  EXPECT_LT(placement.extents[0].stored_bytes, kChunkBytes / 2);
  EXPECT_EQ(placement.extents[1].codec, Codec::kNone);
  EXPECT_EQ(placement.extents[1].stored_bytes, kChunkBytes);
}

TEST_F(Writer, CutsMuchDataIntoStripesOfOneOffsetInAllColumns) {
  Format(4, 2, 6);
  const Placement placement = MustPlace(std::vector(200, Random(kChunkBytes)));
  EXPECT_EQ(placement.segments.size(), 1u);
  EXPECT_GE(placement.stripes.size(), 4u);
  std::uint64_t offset = 0;
  std::set<int> first_columns;
  for (const StripeDescriptor& stripe : placement.stripes) {
    EXPECT_TRUE(CheckStripe(stripe).ok());
    EXPECT_EQ(stripe.file_offset, offset);
    offset += stripe.fragment_bytes;
    first_columns.insert(stripe.first_column);
    const StripeLocation location{placement.segments[0], stripe};
    for (int c = 0; c < stripe.columns(); ++c) {
      const ByteVector fragment = RawFragment(location, c);
      ASSERT_EQ(fragment.size(), stripe.fragment_bytes);
      const auto scanned =
          ScanFragmentHeader(uuid_, ByteSpan(fragment).first(kFragmentHeaderBytes));
      ASSERT_TRUE(scanned.ok()) << scanned.error().message();
      EXPECT_EQ(scanned->stripe.id, stripe.id);
      EXPECT_EQ(scanned->column, c);
    }
  }
  EXPECT_GT(first_columns.size(), 1u) << "parity moves from disk to disk";
}

TEST_F(Writer, BeginsANewSegmentWhenOneIsFull) {
  Format(2, 1, 3, {.segment_column_bytes = 256 * 1024});
  for (int i = 0; i < 6; ++i) MustPlace(std::vector(4, Random(kChunkBytes)));
  EXPECT_GE(segments_.size(), 3u);
  MustPlace(SomeInputs(60));
  ExpectAllReadable();
}

TEST_F(Writer, SpreadsSegmentsOverAllDisks) {
  Format(2, 1, 7, {.segment_column_bytes = 4096});
  for (int i = 0; i < 14; ++i) MustPlace({Random(1000)});
  std::vector<int> uses(7);
  for (const auto& [id, segment] : segments_) {
    EXPECT_EQ(segment.disks.size(), 3u);
    for (const DiskIndex slot : segment.disks) ++uses[slot.value];
  }
  for (const int count : uses) EXPECT_EQ(count, 6);
}

TEST_F(Writer, GoesOnWithoutADiskThatFailsToWrite) {
  for (int after = 0; after < 4; ++after) {
    SCOPED_TRACE(after);
    ASSERT_NO_FATAL_FAILURE(Format(4, 2, 6));
    MustPlace(SomeInputs(10));
    controllers_[3]->FailWrites(static_cast<std::uint64_t>(after));
    const Placement placement = MustPlace(std::vector(200, Random(kChunkBytes)));
    EXPECT_EQ(disks_->state(DiskIndex(3)), DiskState::kFailed);
    ASSERT_EQ(placement.segments.size(), 1u);
    EXPECT_EQ(placement.segments[0].disks.size(), 5u) << "3+2";
    for (const auto& stripe : placement.stripes) {
      EXPECT_EQ(stripe.parity, 2);
      EXPECT_EQ(stripe.epoch, disks_->epoch());
    }
    ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
  }
}

TEST_F(Writer, GoesOnWithoutADiskThatFailsToSync) {
  Format(4, 2, 6);
  controllers_[0]->FailSyncs();
  MustPlace(SomeInputs(50));
  EXPECT_EQ(disks_->state(DiskIndex(0)), DiskState::kFailed);
  ExpectAllReadable();
}

TEST_F(Writer, GoesOnNarrowerUntilFewerDisksThanDataColumnsAreLeft) {
  Format(4, 2, 6);
  for (int slot = 0; slot < 2; ++slot) {
    MustPlace(SomeInputs(20));
    controllers_[static_cast<std::size_t>(slot)]->Lose();
  }
  const Placement placement = MustPlace(SomeInputs(20));
  EXPECT_EQ(placement.segments.at(0).disks.size(), 4u) << "2+2";
  EXPECT_EQ(disks_->OnlineSlots().size(), 4u);
  controllers_[3]->Lose();
  const auto refused = Place(SomeInputs(1));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kTooFewDisks);
}

TEST_F(Writer, SurvivesSeveralDisksFailingAtOnce) {
  Format(4, 2, 8);
  MustPlace(SomeInputs(10));
  for (int slot : {1, 4}) controllers_[static_cast<std::size_t>(slot)]->FailWrites(1);
  MustPlace(std::vector(100, Random(kChunkBytes)));
  EXPECT_EQ(disks_->OnlineSlots().size(), 6u);
  ExpectAllReadable();
}

TEST_F(Writer, SaysWhenADiskIsFullAndKeepsIt) {
  Format(2, 1, 3);
  MustPlace(SomeInputs(10));
  const std::uint64_t used = UsedBytes();
  controllers_[1]->FullAfter(100'000);
  const auto full = Place(std::vector(40, Random(kChunkBytes)));
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(disks_->state(DiskIndex(1)), DiskState::kOnline);
  EXPECT_EQ(UsedBytes(), used) << "what had been written is given back";
  controllers_[1]->Heal();
  MustPlace(SomeInputs(10));
  ExpectAllReadable();
}

TEST_F(Writer, GivesBackTheSpaceOfSegmentsThatItBeganInVain) {
  Format(2, 1, 3, {.segment_column_bytes = 1024 * 1024});
  const std::uint64_t used = UsedBytes();
  platters_[2]->SetCapacity(3 * 1024 * 1024);
  ASSERT_FALSE(Place(std::vector(400, Random(kChunkBytes))).ok());
  EXPECT_EQ(UsedBytes(), used);
  EXPECT_EQ(disks_->OnlineSlots().size(), 3u);
}

TEST_F(Writer, ReturnsToFullWidthWhenADiskIsReplaced) {
  Format(4, 2, 6);
  MustPlace(SomeInputs(20));
  LoseDisk(2);
  EXPECT_EQ(MustPlace(std::vector(8, Random(kChunkBytes))).stripes.at(0).data, 3);
  ASSERT_TRUE(disks_->Replace(DiskIndex(2), std::make_unique<MemoryDisk>()).ok());
  EXPECT_EQ(MustPlace(std::vector(8, Random(kChunkBytes))).stripes.at(0).data, 4);
  ExpectAllReadable();
}

TEST_F(Writer, PassesOverNamesThatAreTaken) {
  Format(2, 1, 3);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ASSERT_TRUE(controllers_[id % 3]
                    ->base()
                    .Open(SegmentObjectName(SegmentId(id)), OpenMode::kCreate)
                    .ok());
  }
  const Placement placement = MustPlace({Random(10)});
  EXPECT_EQ(placement.segments.at(0).id, SegmentId(4));
  EXPECT_EQ(disks_->OnlineSlots().size(), 3u);
  ASSERT_TRUE(controllers_[1]->base().List("segment/").ok());
  EXPECT_EQ(controllers_[1]->base().List("segment/")->size(), 2u) << "the taken one was left alone";
}

TEST_F(Writer, NeverContinuesASegmentAfterARestart) {
  Format(2, 1, 3);
  const SegmentId first = MustPlace({Random(10)}).segments.at(0).id;
  EXPECT_TRUE(MustPlace({Random(10)}).segments.empty()) << "but it does while it runs";
  Reopen();
  const auto highest = HighestSegmentOnDisks(*disks_);
  ASSERT_TRUE(highest.ok());
  EXPECT_EQ(*highest, first);
  EXPECT_GT(MustPlace({Random(10)}).segments.at(0).id, first);
  ExpectAllReadable();
}

TEST_F(Writer, FindsNoSegmentOnFreshDisks) {
  Format(2, 1, 3);
  ASSERT_TRUE(controllers_[0]->base().Open("segment/not-ours", OpenMode::kCreate).ok());
  ASSERT_TRUE(controllers_[0]->base().Open("segment/2a", OpenMode::kCreate).ok());
  const auto highest = HighestSegmentOnDisks(*disks_);
  ASSERT_TRUE(highest.ok());
  EXPECT_EQ(*highest, SegmentId(0));
}

TEST_F(Writer, SharesOneSourceOfSegmentIds) {
  Format(2, 1, 3);
  StripeWriter other(*disks_, uuid_, next_segment_);
  const ByteVector bytes = Random(10);
  const std::vector<ByteSpan> inputs = {bytes};
  const auto theirs = other.Place(inputs, StripeKind::kCheckpoint);
  ASSERT_TRUE(theirs.ok());
  EXPECT_EQ(theirs->stripes.at(0).kind, StripeKind::kCheckpoint);
  EXPECT_NE(MustPlace({Random(10)}).segments.at(0).id, theirs->segments.at(0).id);
}

// Whatever goes wrong while writing, what was acknowledged reads back, also after a power cut.
TEST_F(Writer, KeepsWhatItAcknowledgedUnderRandomFaults) {
  for (int round = 0; round < 15; ++round) {
    SCOPED_TRACE(round);
    ASSERT_NO_FATAL_FAILURE(Format(3, 2, 7, {.segment_column_bytes = 512 * 1024}));
    // Faults on two disks, as many as may be lost: their labels are not always writable either.
    for (const std::size_t slot : {random_() % 7, random_() % 7}) {
      controllers_[slot]->RandomFaults(random_(), {.write_error = 0.02, .sync_error = 0.02});
    }
    for (int i = 0; i < 15; ++i) MustPlace(SomeInputs(1 + random_() % 30));
    ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
    for (const auto& platter : platters_) platter->CutPower(random_());
    ASSERT_NO_FATAL_FAILURE(Reopen());
    ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
  }
}

}  // namespace
}  // namespace varve
