// Fragments whole: read and verified, and written anew.
#include "store/log/fragment.h"

#include <algorithm>
#include <map>

#include "tests/store/log/stripe_fixture.h"

namespace varve {
namespace {

class Fragment : public StripeFixture {
 protected:
  ByteVector MustReadFragment(int column) {
    ByteVector fragment(location_.stripe.fragment_bytes);
    const Status read = reader_->ReadFragment(location_, column, fragment);
    EXPECT_TRUE(read.ok()) << read.error().message();
    return fragment;
  }
};

TEST_F(Fragment, GivesWholeFragments) {
  PlaceOneStripe();
  for (int column = 0; column < 6; ++column) {
    const ByteVector fragment = MustReadFragment(column);
    EXPECT_EQ(fragment, RawFragment(location_, column));
    EXPECT_TRUE(reader_->VerifyFragment(location_, column).ok());
  }
}

TEST_F(Fragment, SaysWhyAFragmentCannotBeRead) {
  PlaceOneStripe();
  const auto code = [&](int column) {
    ByteVector fragment(location_.stripe.fragment_bytes);
    return reader_->ReadFragment(location_, column, fragment).error().code();
  };
  FlipBit(location_, 0, 3);
  EXPECT_EQ(code(0), ErrorCode::kCorrupt);
  FlipBit(location_, 1, location_.stripe.fragment_bytes - 1);
  EXPECT_EQ(code(1), ErrorCode::kCorrupt) << "padding is covered too";
  ASSERT_TRUE(Controller(DiskOf(location_, 2)).base().Remove(ObjectOf(location_)).ok());
  EXPECT_EQ(code(2), ErrorCode::kNotFound);
  Controller(DiskOf(location_, 3)).FailReads();
  EXPECT_EQ(code(3), ErrorCode::kIo);
  LoseDisk(DiskOf(location_, 4).value);
  EXPECT_EQ(code(4), ErrorCode::kDiskLost);
  EXPECT_TRUE(Findings().empty()) << "who asked for one fragment has the answer";
}

TEST_F(Fragment, FragmentsAreWrittenAnewInTheirPlace) {
  PlaceOneStripe();
  MustPlace(SomeInputs(20));
  std::map<int, ByteVector> fragments;
  for (int column : {1, 5}) {
    fragments[column] = MustReadFragment(column);
    ASSERT_TRUE(Controller(DiskOf(location_, column)).base().Remove(ObjectOf(location_)).ok());
    reader_->Forget(DiskOf(location_, column));
  }
  for (int column : {1, 5}) {
    ByteVector fragment = fragments[column];
    std::fill_n(fragment.begin(), kFragmentHeaderBytes, std::byte{7});
    ASSERT_TRUE(WriteFragment(*disks_, uuid_, location_, column, fragment).ok());
    const DiskIndex slot = DiskOf(location_, column);
    ASSERT_TRUE(SyncSegmentColumn(*disks_, location_.segment.id, slot).ok());
    EXPECT_TRUE(platters_[slot.value]->IsDurable());
    EXPECT_EQ(MustReadFragment(column), fragments[column]) << "the header is made here";
  }
  ExpectAllReadable();
}

TEST_F(Fragment, AWrongPayloadIsNeverWritten) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // disks have threads
  PlaceOneStripe();
  ByteVector fragment(location_.stripe.fragment_bytes);
  EXPECT_DEATH(static_cast<void>(WriteFragment(*disks_, uuid_, location_, 0, fragment)),
               "not the stripe's");
}

TEST_F(Fragment, WritesNoFragmentToADiskThatIsAway) {
  PlaceOneStripe();
  ByteVector fragment = MustReadFragment(0);
  LoseDisk(DiskOf(location_, 0).value);
  EXPECT_EQ(WriteFragment(*disks_, uuid_, location_, 0, fragment).error().code(),
            ErrorCode::kDiskLost);
  EXPECT_EQ(SyncSegmentColumn(*disks_, location_.segment.id, DiskOf(location_, 0)).error().code(),
            ErrorCode::kDiskLost);
}

TEST_F(Fragment, SeesAnOlderFragmentOfTheSamePlace) {
  PlaceOneStripe();
  // What a write lost by the disk leaves: the fragment of the same stripe of an epoch before.
  StripeLocation older = location_;
  older.stripe.epoch = Epoch(location_.stripe.epoch.value + 100);
  ByteVector stale = RawFragment(location_, 1);
  EncodeFragmentHeader(uuid_, older.stripe, 1, MutableByteSpan(stale).first(kFragmentHeaderBytes));
  Overwrite(location_, 1, stale);
  const Status read = reader_->VerifyFragment(location_, 1);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(read.error().message().find("lost write"), std::string::npos);
  ExpectAllReadable();
}

}  // namespace
}  // namespace varve
