#include "store/log/stripe_reader.h"

#include <algorithm>
#include <functional>

#include "tests/store/log/stripe_fixture.h"

namespace varve {
namespace {

class Reader : public StripeFixture {
 protected:
  // The first extent in a column.
  const ExtentRef& ExtentIn(int column) const {
    for (const auto& [extent, raw] : placed_) {
      if (extent.column == column) return extent;
    }
    ADD_FAILURE() << "no extent in column " << column;
    return placed_.front().first;
  }
  void ExpectAllReadableAtOnce() {
    std::vector<ByteVector> raws;
    std::vector<ExtentRead> reads;
    for (const auto& [extent, raw] : placed_) raws.emplace_back(extent.raw_bytes);
    for (std::size_t i = 0; i < placed_.size(); ++i) reads.push_back({placed_[i].first, raws[i]});
    const Status read = reader_->ReadExtents(reads);
    ASSERT_TRUE(read.ok()) << read.error().message();
    for (std::size_t i = 0; i < placed_.size(); ++i) EXPECT_EQ(raws[i], placed_[i].second) << i;
  }
};

TEST_F(Reader, ReadsManyExtentsAtOnceAndMendsThoseThatAreBad) {
  PlaceOneStripe();
  MustPlace(SomeInputs(20));  // short ones between, some compressed
  ExpectAllReadableAtOnce();
  EXPECT_TRUE(Findings().empty());
  FlipBit(location_, 1, kFragmentHeaderBytes + kChunkBytes + 5);  // in the second of a run
  ExpectAllReadableAtOnce();
  EXPECT_EQ(Findings().size(), 1u);
  LoseDisk(DiskOf(location_, 0).value);
  ExpectAllReadableAtOnce();
}

TEST_F(Reader, ReadsManyExtentsAtOnceOfLostDisks) {
  PlaceOneStripe();
  MustPlace(SomeInputs(20));
  for (const int column : {0, 2}) {
    LoseDisk(DiskOf(location_, column).value);
    ExpectAllReadableAtOnce();
  }
  EXPECT_TRUE(Findings().empty()) << "lost disks are a finding themselves";
}

TEST_F(Reader, ReadsPartsOfExtents) {
  PlaceOneStripe();
  MustPlace(SomeInputs(30));  // short ones and compressed ones too
  const auto expect_parts = [&] {
    for (const auto& [extent, raw] : placed_) {
      for (int i = 0; i < 20; ++i) {
        const auto from = static_cast<std::uint32_t>(random_() % extent.raw_bytes);
        ByteVector part(1 + random_() % (i % 2 == 0 ? extent.raw_bytes - from
                                                    : std::min(extent.raw_bytes - from, 9000u)));
        const Status read = reader_->ReadPart(extent, from, part);
        ASSERT_TRUE(read.ok()) << read.error().message();
        ASSERT_TRUE(std::ranges::equal(part, ByteSpan(raw).subspan(from, part.size())));
      }
    }
  };
  ASSERT_NO_FATAL_FAILURE(expect_parts());
  EXPECT_TRUE(Findings().empty());
  for (const int column : {0, 3}) FlipBit(location_, column, kFragmentHeaderBytes + 20'000);
  ByteVector part(2);
  for (const int column : {0, 3}) {
    ASSERT_EQ(ExtentIn(column).fragment_offset, 0u);
    ASSERT_TRUE(reader_->ReadPart(ExtentIn(column), 20'000, part).ok());
  }
  EXPECT_EQ(Findings().size(), 2u);
  ASSERT_NO_FATAL_FAILURE(expect_parts());
  EXPECT_EQ(Findings().size(), 2u);
  LoseDisk(DiskOf(location_, 0).value);
  ASSERT_NO_FATAL_FAILURE(expect_parts());

  EXPECT_EQ(reader_->ReadPart(ExtentIn(0), kChunkBytes - 1, part).error().code(),
            ErrorCode::kCorrupt);
  EXPECT_EQ(reader_->ReadPart(ExtentIn(0), ~0u, part).error().code(), ErrorCode::kCorrupt);
}

// What is not asked for is not read: damage beside it is neither seen nor in the way.
TEST_F(Reader, ReadsOfAPartOnlyItsBlocks) {
  PlaceOneStripe();
  const ExtentRef extent = ExtentIn(2);
  const ByteVector raw = *Read(extent);
  const auto read = [&](std::uint32_t from, std::size_t length) -> Result<ByteVector> {
    ByteVector part(length);
    RETURN_IF_ERROR(reader_->ReadPart(extent, from, part));
    EXPECT_TRUE(std::ranges::equal(part, ByteSpan(raw).subspan(from, length)));
    return part;
  };
  // The third block is gone for good: damaged in one column more than parity can make up for.
  for (const int column : {1, 2, 4}) {
    FlipBit(location_, column, kFragmentHeaderBytes + extent.fragment_offset + 2 * 4096 + 7);
  }
  EXPECT_TRUE(read(0, 2 * 4096).ok());
  EXPECT_TRUE(read(3 * 4096, 100).ok());
  EXPECT_TRUE(read(kChunkBytes - 1, 1).ok());
  EXPECT_TRUE(Findings().empty());
  EXPECT_EQ(read(2 * 4096 + 4000, 200).error().code(), ErrorCode::kDataLost);
  EXPECT_EQ(Read(extent).error().code(), ErrorCode::kDataLost);
  EXPECT_GE(Findings().size(), 1u);

  // Of a reference without them, and of one that lies about them, the whole extent counts.
  PlaceOneStripe();
  ExtentRef without = ExtentIn(2);
  const ByteVector bytes = *Read(without);
  without.blocks = {};
  ByteVector part(10);
  ASSERT_TRUE(reader_->ReadPart(without, 9000, part).ok());
  EXPECT_TRUE(std::ranges::equal(part, ByteSpan(bytes).subspan(9000, 10)));
  ExtentRef lying = ExtentIn(2);
  lying.blocks.values[2] ^= 1;
  ASSERT_TRUE(reader_->ReadPart(lying, 9000, part).ok());
  EXPECT_TRUE(std::ranges::equal(part, ByteSpan(bytes).subspan(9000, 10)));
}

TEST_F(Reader, ReportsAReadErrorThatPasses) {
  PlaceOneStripe();
  FaultController& disk = Controller(DiskOf(location_, 0));
  int reads = 0;
  disk.SetHook([&](DiskOperation operation, std::string_view) {
    if (operation == DiskOperation::kRead && ++reads == 2) disk.Heal();
  });
  disk.FailReads();
  std::vector<ByteVector> raws(2, ByteVector(kChunkBytes));
  std::vector<ExtentRead> run;
  for (const auto& [extent, raw] : placed_) {
    if (extent.column == 0) run.push_back({extent, raws.at(run.size())});
  }
  ASSERT_EQ(run.size(), 2u);
  ASSERT_TRUE(reader_->ReadExtents(run).ok());
  EXPECT_EQ(Findings().size(), 1u);
}

TEST_F(Reader, SurvivesEveryPairOfLostDisks) {
  for (int a = 0; a < 6; ++a) {
    for (int b = a + 1; b < 6; ++b) {
      SCOPED_TRACE(testing::Message() << "disks " << a << " and " << b);
      ASSERT_NO_FATAL_FAILURE(Format(4, 2, 6, {.segment_column_bytes = 256 * 1024}));
      for (int i = 0; i < 6; ++i) MustPlace(SomeInputs(6));
      for (const int slot : {a, b}) controllers_[static_cast<std::size_t>(slot)]->Lose();
      ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
      // The same once the set knows that they are gone.
      for (const int slot : {a, b}) LoseDisk(slot);
      ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
    }
  }
}

TEST_F(Reader, MendsEveryKindOfDamage) {
  using Harm = std::function<void(const StripeLocation&, int)>;
  const std::map<std::string, Harm> harms = {
      {"bit in payload", [&](const auto& at, int c) { FlipBit(at, c, kFragmentHeaderBytes + 10); }},
      {"whole fragment zero",
       [&](const auto& at, int c) { Overwrite(at, c, ByteVector(at.stripe.fragment_bytes)); }},
      {"file cut short",
       [&](const auto& at, int c) {
         ASSERT_TRUE(Controller(DiskOf(at, c)).TruncateObject(ObjectOf(at), 4096).ok());
       }},
      {"file removed",
       [&](const auto& at, int c) {
         ASSERT_TRUE(Controller(DiskOf(at, c)).base().Remove(ObjectOf(at)).ok());
         reader_->Forget(DiskOf(at, c));
       }},
      {"fragment of another column",
       [&](const auto& at, int c) { Overwrite(at, c, RawFragment(at, (c + 1) % 6)); }},
      {"reads fail", [&](const auto& at, int c) { Controller(DiskOf(at, c)).FailReads(); }},
  };
  for (const auto& [name, harm] : harms) {
    for (int column = 0; column < 4; ++column) {
      SCOPED_TRACE(name + " in column " + std::to_string(column));
      ASSERT_NO_FATAL_FAILURE(PlaceOneStripe());
      harm(location_, column);
      harm(location_, (column + 3) % 6);
      ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
      EXPECT_EQ(disks_->OnlineSlots().size(), 6u) << "a read fails no disk";
      const auto findings = Findings();
      ASSERT_GE(findings.size(), 1u);
      for (const Finding& finding : findings) {
        EXPECT_EQ(finding.stripe, location_.stripe.id);
        EXPECT_TRUE(finding.column == column || finding.column == (column + 3) % 6);
        EXPECT_EQ(finding.disk, DiskOf(location_, finding.column));
        EXPECT_EQ(finding.severity, Severity::kRepairable);
        EXPECT_NE(finding.what.find(ObjectOf(location_)), std::string::npos) << finding.what;
        EXPECT_EQ(finding.next_step, "run varve fsck -y");
      }
    }
  }
}

TEST_F(Reader, SeesLostAndMisdirectedWrites) {
  Format(4, 2, 6);
  controllers_[1]->DropWrites(1, "segment/");
  controllers_[4]->MisdirectNextWrite(4096, "segment/");
  MustPlace(std::vector(8, Random(kChunkBytes)));
  ExpectAllReadable();
  MustPlace(std::vector(8, Random(kChunkBytes)));
  ExpectAllReadable();
}

TEST_F(Reader, ReportsAFragmentOnce) {
  PlaceOneStripe();
  FlipBit(location_, 2, kFragmentHeaderBytes + 1);
  for (int i = 0; i < 3; ++i) ExpectAllReadable();
  const auto findings = Findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].kind, FindingKind::kFragmentCorrupt);
  EXPECT_EQ(findings[0].column, 2);
}

TEST_F(Reader, KeepsSilentAboutFragmentsOnDisksThatAreKnownToBeAway) {
  PlaceOneStripe();
  LoseDisk(1);
  ExpectAllReadable();
  EXPECT_TRUE(Findings().empty());
  // A fresh disk that has not been rebuilt holds nothing, which is no news either.
  ASSERT_TRUE(disks_->Replace(DiskIndex(1), std::make_unique<MemoryDisk>()).ok());
  ExpectAllReadable();
  EXPECT_TRUE(Findings().empty());
}

TEST_F(Reader, RefusesWhatMoreLossesThanParityMakeImpossible) {
  PlaceOneStripe();
  for (const int column : {0, 1, 2}) {
    Overwrite(location_, column, ByteVector(location_.stripe.fragment_bytes));
  }
  for (const auto& [extent, raw] : placed_) {
    const auto read = Read(extent);
    if (extent.column == 3) {
      ASSERT_TRUE(read.ok()) << "it is still readable";
      EXPECT_EQ(*read, raw);
    } else {
      ASSERT_FALSE(read.ok());
      EXPECT_EQ(read.error().code(), ErrorCode::kDataLost);
    }
  }
}

TEST_F(Reader, RefusesLossWithoutParity) {
  Format(1, 0, 1);
  const Placement placement = MustPlace({Random(5000)});
  FlipBit(LocationOf(placement.extents[0]), 0, kFragmentHeaderBytes + 7);
  EXPECT_EQ(Read(placement.extents[0]).error().code(), ErrorCode::kDataLost);
}

TEST_F(Reader, UsesDamagedFragmentsWhereTheyAreWhole) {
  PlaceOneStripe();
  // Column 0 is gone; three others are damaged, each in another place: no selection of whole
  // fragments is enough, but of the ranges of the first extents four are right.
  Overwrite(location_, 0, ByteVector(location_.stripe.fragment_bytes));
  const std::uint64_t half = kFragmentHeaderBytes + kChunkBytes;
  FlipBit(location_, 1, half + 5);
  FlipBit(location_, 4, half + 50);
  FlipBit(location_, 5, kFragmentHeaderBytes + 3);
  EXPECT_EQ(CountRefused(), 2) << "the second extents of columns 0 and 1: three of six are broken";
}

TEST_F(Reader, NeverReturnsAWrongByte) {
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    ASSERT_NO_FATAL_FAILURE(Format(4, 2, 6));
    for (int i = 0; i < 5; ++i) MustPlace(SomeInputs(10));
    for (int i = 0; i < 6 + 10 * round; ++i) {
      const auto& [extent, raw] = placed_[random_() % placed_.size()];
      const StripeLocation& location = LocationOf(extent);
      const int column =
          static_cast<int>(random_() % static_cast<unsigned>(location.stripe.columns()));
      FlipBit(location, column, random_() % location.stripe.fragment_bytes);
    }
    // Reads that flip bits on their way, too.
    for (const auto& controller : controllers_) {
      controller->RandomFaults(random_(), {.read_error = 0.01, .read_flip = 0.05});
    }
    CountRefused();
    if (HasFailure()) return;
  }
}

TEST_F(Reader, ReadsOnlyTheRangeThatItNeeds) {
  PlaceOneStripe();
  const ExtentRef& extent = ExtentIn(1);
  ASSERT_TRUE(Read(extent).ok());
  std::uint64_t reads = 0;
  for (const auto& controller : controllers_) reads += controller->count(DiskOperation::kRead);
  ASSERT_TRUE(Read(extent).ok());
  std::uint64_t after = 0;
  for (const auto& controller : controllers_) after += controller->count(DiskOperation::kRead);
  EXPECT_EQ(after, reads + 1);
}

TEST_F(Reader, RefusesReferencesThatCannotBe) {
  PlaceOneStripe();
  const ExtentRef good = placed_[0].first;
  const auto code = [&](auto&& change) {
    ExtentRef bad = good;
    change(bad);
    return Read(bad).error().code();
  };
  EXPECT_EQ(code([](auto& e) { e.column = 4; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& e) { e.column = 200; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& e) { e.fragment_offset = 0xFFFFFFFF; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& e) { e.stored_bytes = 0; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& e) { e.stored_bytes = 0xFFFFFFFF; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& e) { e.stored_bytes -= 1; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& e) { e.checksum ^= 1; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& e) { e.stripe = StripeId(SegmentId(99), 0); }), ErrorCode::kNotFound);
  EXPECT_TRUE(Findings().empty()) << "a wrong reference accuses no fragment";
}

TEST_F(Reader, ReadsMoreSegmentsThanItKeepsOpen) {
  Format(1, 1, 2, {.segment_column_bytes = 4096});
  for (int i = 0; i < 300; ++i) MustPlace({Random(20)});
  for (int i = 0; i < 2; ++i) ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
}

TEST_F(Reader, ReadsNothingThroughTheHandleOfADiskThatWasReplaced) {
  PlaceOneStripe();
  ExpectAllReadable();
  const DiskIndex slot = DiskOf(location_, 0);
  LoseDisk(slot.value);
  ASSERT_TRUE(disks_->Replace(slot, std::make_unique<MemoryDisk>()).ok());
  EXPECT_EQ(reader_->VerifyFragment(location_, 0).error().code(), ErrorCode::kNotFound);
  ExpectAllReadable();
}

}  // namespace
}  // namespace varve
