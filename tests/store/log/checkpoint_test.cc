#include "store/log/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/codec/checksum.h"
#include "tests/store/log/random_change.h"

namespace varve {
namespace {

CheckpointRef MakeRef(RandomChanges& random, Lsn first, Lsn last) {
  CheckpointRef ref;
  ref.first_lsn = first;
  ref.last_lsn = last;
  for (std::uint64_t s = 1; s <= 1 + random.Below(3); ++s) {
    ref.segments.push_back({SegmentId{s}, {DiskIndex{0}, DiskIndex{1}, DiskIndex{2}}});
    StripeDescriptor stripe = random.Stripe(SegmentId{s});
    stripe.fragment_bytes = kMaxFragmentBytes;
    ref.stripes.push_back(stripe);
    ExtentRef part = random.Extent();
    part.stripe = stripe.id;
    part.column = static_cast<std::uint8_t>(random.Below(stripe.data));
    ref.parts.push_back(part);
  }
  return ref;
}

Result<CheckpointRef> DecodeRef(ByteSpan bytes) {
  Decoder in(bytes);
  return DecodeCheckpointRef(in);
}

ByteVector Encoded(const CheckpointRef& ref) {
  Encoder out;
  EncodeCheckpointRef(ref, out);
  return out.Take();
}

struct Link {
  ByteVector changes;
  ByteVector bytes;
};
Link MakeLink(RandomChanges& random, const std::optional<CheckpointRef>& previous, Lsn first,
              Lsn last) {
  Encoder changes;
  for (Lsn lsn = first; lsn <= last; ++lsn.value) EncodeChange(random.Next(lsn, 3), changes);
  Link link;
  link.bytes = EncodeCheckpointLink(previous, first, last, changes.bytes());
  link.changes = changes.Take();
  return link;
}

TEST(Checkpoint, ReferencesComeBackAsTheyWere) {
  RandomChanges random(SeedFromEnvironment(1));
  for (int i = 0; i < 100; ++i) {
    CheckpointRef ref = MakeRef(random, Lsn{1 + random.Below(100)}, Lsn{101 + random.Below(100)});
    auto decoded = DecodeRef(Encoded(ref));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message();
    EXPECT_EQ(*decoded, ref);
  }
}

TEST(Checkpoint, AReferenceThatCannotBeWalkedIsRefused) {
  RandomChanges random(2);
  const CheckpointRef good = MakeRef(random, Lsn{1}, Lsn{5});
  // The fields are damaged after encoding, for encoding checks them as well.
  ByteVector bytes = Encoded(good);
  ASSERT_TRUE(DecodeRef(bytes).ok());
  ByteVector reversed = bytes;
  reversed[0] = std::byte{9};  // first LSN 9, last 5
  EXPECT_FALSE(DecodeRef(reversed).ok());
  ByteVector many = bytes;
  many[2] = std::byte{0x7f};  // count of segments
  EXPECT_FALSE(DecodeRef(many).ok());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(
        DecodeRef(ByteVector(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)))
            .ok());
  }
  CheckpointRef stray = good;
  stray.parts[0].stripe = StripeId(SegmentId{77}, 1);
  EXPECT_DEATH(Encoded(stray), "not described");
}

TEST(Checkpoint, FlippedBitsInAReferenceNeverCrash) {
  RandomChanges random(SeedFromEnvironment(3));
  for (int i = 0; i < 3000; ++i) {
    ByteVector bytes = Encoded(MakeRef(random, Lsn{1}, Lsn{5}));
    bytes[random.Below(bytes.size())] ^= static_cast<std::byte>(1u << random.Below(8));
    auto decoded = DecodeRef(bytes);
    if (decoded.ok()) Encoded(*decoded);  // CHECKs every bound
  }
}

TEST(Checkpoint, LinksComeBackAsTheyWere) {
  RandomChanges random(SeedFromEnvironment(4));
  std::optional<CheckpointRef> previous;
  for (std::uint64_t first = 1; first < 60;) {
    const Lsn last{first + random.Below(20)};
    Link link = MakeLink(random, previous, Lsn{first}, last);
    auto decoded = DecodeCheckpointLink(link.bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message();
    EXPECT_EQ(decoded->previous, previous);
    EXPECT_EQ(decoded->first, Lsn{first});
    EXPECT_EQ(decoded->last, last);
    Encoder again;
    for (const Change& change : decoded->changes) EncodeChange(change, again);
    EXPECT_EQ(again.Take(), link.changes);
    previous = MakeRef(random, Lsn{first}, last);
    first = last.value + 1;
  }
}

TEST(Checkpoint, AHeadIsReadFromTheFirstBytesThatHoldIt) {
  RandomChanges random(SeedFromEnvironment(9));
  for (const bool has_previous : {false, true}) {
    std::optional<CheckpointRef> previous;
    if (has_previous) previous = MakeRef(random, Lsn{1}, Lsn{4});
    const Lsn first{has_previous ? 5u : 1u};
    const Link link = MakeLink(random, previous, first, Lsn{8});
    const std::size_t head_bytes = 48 + (previous ? Encoded(*previous).size() : 0);
    for (std::size_t length = 0; length <= link.bytes.size(); ++length) {
      auto head = DecodeCheckpointLinkHead(ByteSpan(link.bytes).first(length));
      ASSERT_TRUE(head.ok()) << head.error().message();
      ASSERT_EQ(head->has_value(), length >= head_bytes) << length;
      if (!head->has_value()) continue;
      EXPECT_EQ((*head)->previous, previous);
      EXPECT_EQ((*head)->first, first);
      EXPECT_EQ((*head)->last, Lsn{8});
    }
  }
}

TEST(Checkpoint, ADamagedHeadNeverCrashes) {
  RandomChanges random(SeedFromEnvironment(10));
  const Link link = MakeLink(random, MakeRef(random, Lsn{1}, Lsn{4}), Lsn{5}, Lsn{8});
  for (int i = 0; i < 500; ++i) {
    ByteVector bytes = link.bytes;
    bytes[random.Below(100)] ^= static_cast<std::byte>(1u << random.Below(8));
    auto head = DecodeCheckpointLinkHead(bytes);
    if (head.ok()) continue;  // what was hit is not in the head, or means something else now
    EXPECT_THAT(head.error().code(), testing::AnyOf(ErrorCode::kCorrupt, ErrorCode::kUnsupported));
  }
  ByteVector strange = link.bytes;
  strange[0] ^= std::byte{1};
  EXPECT_EQ(DecodeCheckpointLinkHead(strange).error().code(), ErrorCode::kCorrupt);
  ByteVector newer = link.bytes;
  newer[8] = std::byte{2};
  EXPECT_EQ(DecodeCheckpointLinkHead(newer).error().code(), ErrorCode::kUnsupported);
}

TEST(Checkpoint, EveryFlippedBitInALinkIsSeen) {
  RandomChanges random(SeedFromEnvironment(5));
  Link link = MakeLink(random, std::nullopt, Lsn{1}, Lsn{3});
  for (int i = 0; i < 500; ++i) {
    ByteVector bytes = link.bytes;
    bytes[random.Below(bytes.size())] ^= static_cast<std::byte>(1u << random.Below(8));
    auto decoded = DecodeCheckpointLink(bytes);
    ASSERT_FALSE(decoded.ok());
    EXPECT_EQ(decoded.error().code(), ErrorCode::kCorrupt);
  }
}

TEST(Checkpoint, EveryTruncationOfALinkIsSeen) {
  RandomChanges random(6);
  Link link = MakeLink(random, std::nullopt, Lsn{1}, Lsn{3});
  const std::size_t step = 1 + link.bytes.size() / 500;
  for (std::size_t length = 0; length < link.bytes.size(); length += step) {
    EXPECT_FALSE(DecodeCheckpointLink(ByteSpan(link.bytes).first(length)).ok());
  }
}

TEST(Checkpoint, ALinkMustHoldEveryChangeItClaims) {
  RandomChanges random(7);
  Encoder changes;
  EncodeChange(random.Next(Lsn{1}, 2), changes);
  EncodeChange(random.Next(Lsn{3}, 2), changes);
  auto gap =
      DecodeCheckpointLink(EncodeCheckpointLink(std::nullopt, Lsn{1}, Lsn{3}, changes.bytes()));
  ASSERT_FALSE(gap.ok());
  EXPECT_THAT(gap.error().message(), testing::HasSubstr("LSN 3 where 2"));
  auto short_one =
      DecodeCheckpointLink(EncodeCheckpointLink(std::nullopt, Lsn{1}, Lsn{4}, ByteSpan()));
  EXPECT_FALSE(short_one.ok());
}

TEST(Checkpoint, ANewerFormatIsRefusedByName) {
  RandomChanges random(8);
  ByteVector bytes = MakeLink(random, std::nullopt, Lsn{1}, Lsn{1}).bytes;
  bytes[8] = std::byte{2};
  Encoder out;
  out.Raw(ByteSpan(bytes).first(bytes.size() - 8));
  out.U64(Checksum(out.bytes()));
  auto decoded = DecodeCheckpointLink(out.bytes());
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(decoded.error().message(), testing::HasSubstr("format 2"));
}

}  // namespace
}  // namespace varve
