#include "store/log/stripe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "store/log/fragment.h"
#include "store/log/stripe_layout.h"
#include "store/log/stripe_reader.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

StripeDescriptor SomeStripe() {
  StripeDescriptor stripe;
  stripe.id = StripeId(SegmentId(42), 3);
  stripe.data = 4;
  stripe.parity = 2;
  stripe.first_column = 5;
  stripe.file_offset = 8192;
  stripe.fragment_bytes = 16384;
  stripe.epoch = Epoch(9);
  stripe.checksums = {1, 2, 3, 4, 5, 6};
  return stripe;
}

const Uuid kVolume = *Uuid::Parse("01234567-89ab-cdef-0123-456789abcdef");

ByteVector Header(const StripeDescriptor& stripe, int column) {
  ByteVector header(kFragmentHeaderBytes);
  EncodeFragmentHeader(kVolume, stripe, column, header);
  return header;
}

TEST(Stripe, NamesItsSegmentObject) {
  EXPECT_EQ(SegmentObjectName(SegmentId(0x2a)), "segment/000000000000002a");
}

TEST(Stripe, ComesBackFromItsBytes) {
  Encoder out;
  EncodeStripe(SomeStripe(), out);
  Decoder in(out.bytes());
  const auto back = DecodeStripe(in);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, SomeStripe());
  EXPECT_TRUE(in.AtEnd());
}

TEST(Stripe, SegmentComesBackFromItsBytes) {
  const SegmentDescriptor segment{SegmentId(7), {DiskIndex(3), DiskIndex(0), DiskIndex(63)}};
  Encoder out;
  EncodeSegment(segment, out);
  Decoder in(out.bytes());
  const auto back = DecodeSegment(in);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, segment);
}

TEST(Stripe, SegmentRefusesADiskTwiceOrOutOfRange) {
  for (const auto& disks : {std::vector{DiskIndex(3), DiskIndex(3)}, std::vector{DiskIndex(64)}}) {
    Encoder out;
    EncodeSegment({SegmentId(7), disks}, out);
    Decoder in(out.bytes());
    EXPECT_EQ(DecodeSegment(in).error().code(), ErrorCode::kCorrupt);
  }
}

TEST(Stripe, RefusesFieldsOutOfBounds) {
  const auto broken = [](auto&& change) {
    StripeDescriptor stripe = SomeStripe();
    change(stripe);
    return !CheckStripe(stripe).ok();
  };
  EXPECT_TRUE(CheckStripe(SomeStripe()).ok());
  EXPECT_TRUE(broken([](auto& s) { s.id = StripeId(); }));
  EXPECT_TRUE(broken([](auto& s) { s.data = 0; }));
  EXPECT_TRUE(broken([](auto& s) { s.data = 33; }));
  EXPECT_TRUE(broken([](auto& s) { s.parity = 9; }));
  EXPECT_TRUE(broken([](auto& s) { s.first_column = 64; }));
  EXPECT_TRUE(broken([](auto& s) { s.fragment_bytes = 0; }));
  EXPECT_TRUE(broken([](auto& s) { s.fragment_bytes = 5000; }));
  EXPECT_TRUE(broken([](auto& s) { s.fragment_bytes = kMaxFragmentBytes + kFragmentAlign; }));
  EXPECT_TRUE(broken([](auto& s) { s.file_offset = 1; }));
  EXPECT_TRUE(broken([](auto& s) { s.checksums.pop_back(); }));
}

TEST(Stripe, NeverBelievesHostileBytes) {
  const std::uint64_t seed = RandomSeed();
  SCOPED_TRACE("VARVE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  Encoder good;
  EncodeStripe(SomeStripe(), good);
  for (int i = 0; i < 20'000; ++i) {
    ByteVector bytes(good.bytes().begin(), good.bytes().end());
    bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    if (i % 4 == 0) bytes.resize(random() % bytes.size());
    Decoder in(bytes);
    const auto stripe = DecodeStripe(in);
    if (stripe.ok()) {
      ASSERT_TRUE(CheckStripe(*stripe).ok());
    }
    Decoder again(bytes);
    static_cast<void>(DecodeSegment(again));
  }
}

TEST(FragmentHeader, IsAcceptedWhereItBelongs) {
  for (int column = 0; column < 6; ++column) {
    EXPECT_TRUE(
        CheckFragmentHeader(kVolume, SomeStripe(), column, Header(SomeStripe(), column)).ok());
  }
}

TEST(FragmentHeader, TellsEveryFlippedBit) {
  ByteVector header = Header(SomeStripe(), 1);
  for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
    header[bit / 8] ^= std::byte{1} << (bit % 8);
    const Status check = CheckFragmentHeader(kVolume, SomeStripe(), 1, header);
    ASSERT_FALSE(check.ok());
    EXPECT_EQ(check.error().code(), ErrorCode::kCorrupt);
    EXPECT_FALSE(ScanFragmentHeader(kVolume, header).ok());
    header[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(FragmentHeader, SaysWhatLiesThereInstead) {
  StripeDescriptor other = SomeStripe();
  other.id = StripeId(SegmentId(42), 4);
  const auto check = [](const ByteVector& header) {
    return CheckFragmentHeader(kVolume, SomeStripe(), 1, header).error().message();
  };
  EXPECT_NE(check(Header(other, 1)).find("misdirected"), std::string::npos);
  EXPECT_NE(check(Header(SomeStripe(), 2)).find("misdirected"), std::string::npos);
  other = SomeStripe();
  other.epoch = Epoch(8);
  EXPECT_NE(check(Header(other, 1)).find("older fragment of epoch 8"), std::string::npos);
  ByteVector foreign(kFragmentHeaderBytes);
  EncodeFragmentHeader(Uuid::Random(), SomeStripe(), 1, foreign);
  EXPECT_NE(check(foreign).find("another volume"), std::string::npos);
  EXPECT_NE(check(ByteVector(kFragmentHeaderBytes)).find("no fragment header"), std::string::npos);
  EXPECT_NE(check(ByteVector(5)).find("cut short"), std::string::npos);
}

TEST(FragmentHeader, TellsAScanEverythingButTheOtherChecksums) {
  const auto scanned = ScanFragmentHeader(kVolume, Header(SomeStripe(), 4));
  ASSERT_TRUE(scanned.ok()) << scanned.error().message();
  StripeDescriptor expected = SomeStripe();
  expected.checksums = {0, 0, 0, 0, 5, 0};
  EXPECT_EQ(scanned->stripe, expected);
  EXPECT_EQ(scanned->column, 4);
}

TEST(StripeLocation, MustFitItsSegment) {
  StripeLocation location{{SegmentId(42), {}}, SomeStripe()};
  for (std::uint8_t slot = 0; slot < 7; ++slot) location.segment.disks.emplace_back(slot);
  EXPECT_TRUE(CheckLocation(location).ok());
  EXPECT_EQ(DiskOfColumn(location, 0), DiskIndex(5));
  EXPECT_EQ(DiskOfColumn(location, 2), DiskIndex(0)) << "wraps around";
  StripeLocation wrong = location;
  wrong.segment.id = SegmentId(43);
  EXPECT_FALSE(CheckLocation(wrong).ok());
  wrong = location;
  wrong.segment.disks.resize(5);
  EXPECT_FALSE(CheckLocation(wrong).ok());
}

TEST(StripeLayout, IsAsWideAsTheDataDeserves) {
  const auto width = [](std::vector<std::uint32_t> lengths) {
    return LayOutStripe(lengths, 4, kMaxFragmentBytes).data;
  };
  EXPECT_EQ(width({1}), 1);
  EXPECT_EQ(width(std::vector<std::uint32_t>(16, 4096)), 1);
  EXPECT_EQ(width(std::vector<std::uint32_t>(2, 65536)), 2);
  EXPECT_EQ(width(std::vector<std::uint32_t>(40, 4096)), 3);
  EXPECT_EQ(width(std::vector<std::uint32_t>(60, 65536)), 4);
}

TEST(StripeLayout, PlacesEveryExtentWholeAndWastesLittle) {
  const std::uint64_t seed = RandomSeed();
  SCOPED_TRACE("VARVE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 500; ++i) {
    const int widest = 1 + static_cast<int>(random() % 32);
    std::vector<std::uint32_t> lengths;
    ColumnFill fill(widest, kMaxFragmentBytes - kFragmentHeaderBytes);
    ColumnFill::Place place;
    const std::size_t most = 1 + random() % 300;
    const std::uint32_t longest = 1 + static_cast<std::uint32_t>(random() % 65536);
    while (lengths.size() < most) {
      const auto length = 1 + static_cast<std::uint32_t>(random() % longest);
      if (!fill.TryAdd(length, place)) break;
      lengths.push_back(length);
    }
    const StripeLayout layout = LayOutStripe(lengths, widest, kMaxFragmentBytes);
    ASSERT_LE(layout.data, widest);
    ASSERT_EQ(layout.places.size(), lengths.size());
    std::vector<std::uint64_t> used(static_cast<std::size_t>(layout.data));
    std::uint64_t total = 0;
    for (std::size_t e = 0; e < lengths.size(); ++e) {
      ASSERT_LT(layout.places[e].column, layout.data);
      ASSERT_EQ(layout.places[e].offset, used[layout.places[e].column]);
      used[layout.places[e].column] += lengths[e];
      total += lengths[e];
    }
    for (const std::uint64_t bytes : used) {
      ASSERT_GT(bytes, 0u);
      ASSERT_LE(bytes, layout.fragment_bytes - kFragmentHeaderBytes);
    }
    // No column is longer than its share by more than the longest extent and the padding.
    const std::uint64_t share = total / static_cast<std::uint64_t>(layout.data);
    ASSERT_LE(layout.fragment_bytes, share + longest + 2 * kFragmentAlign + kFragmentHeaderBytes);
  }
}

}  // namespace
}  // namespace varve
