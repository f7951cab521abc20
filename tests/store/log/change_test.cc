#include "store/log/change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/codec/checksum.h"
#include "store/log/change_check.h"
#include "tests/store/log/random_change.h"

namespace varve {
namespace {

using testing::HasSubstr;

Result<Change> Decode(ByteSpan bytes) {
  Decoder in(bytes);
  auto change = DecodeChange(in);
  if (change.ok()) {
    EXPECT_TRUE(in.ok());
  }
  return change;
}

Change With(Operation operation) {
  Change change;
  change.lsn = Lsn{7};
  change.time_ns = 1'000;
  change.operations.push_back(std::move(operation));
  return change;
}

Piece Inline(std::uint32_t chunk_offset, std::string_view text) {
  Piece piece;
  piece.chunk_offset = chunk_offset;
  piece.length = static_cast<std::uint32_t>(text.size());
  ByteSpan bytes = AsBytes(text);
  piece.pending = std::make_shared<PendingExtent>(ByteVector(bytes.begin(), bytes.end()));
  return piece;
}

Piece AtRest(std::uint32_t chunk_offset, std::uint32_t length) {
  Piece piece;
  piece.chunk_offset = chunk_offset;
  piece.length = length;
  piece.extent.stripe = StripeId(SegmentId(3), 4);
  piece.extent.stored_bytes = piece.extent.raw_bytes = length;
  return piece;
}

void ExpectSamePieces(const PieceList& got, const PieceList& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].chunk_offset, want[i].chunk_offset);
    EXPECT_EQ(got[i].length, want[i].length);
    EXPECT_EQ(got[i].raw_offset, want[i].raw_offset);
    EXPECT_EQ(got[i].extent, want[i].extent);
    ASSERT_EQ(got[i].pending == nullptr, want[i].pending == nullptr);
    if (got[i].pending == nullptr) continue;
    EXPECT_EQ(*got[i].pending->bytes(), *want[i].pending->bytes());
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_EQ(got[i].pending == got[j].pending, want[i].pending == want[j].pending);
    }
  }
}

struct SameOperation {
  const Operation& want;
  void operator()(const PutInode& got) const {
    EXPECT_EQ(got.inode, std::get<PutInode>(want).inode);
    EXPECT_EQ(got.attributes, std::get<PutInode>(want).attributes);
  }
  void operator()(const RemoveInode& got) const {
    EXPECT_EQ(got.inode, std::get<RemoveInode>(want).inode);
  }
  void operator()(const PutEntry& got) const {
    EXPECT_EQ(got.parent, std::get<PutEntry>(want).parent);
    EXPECT_EQ(got.entry, std::get<PutEntry>(want).entry);
  }
  void operator()(const RemoveEntry& got) const {
    EXPECT_EQ(got.parent, std::get<RemoveEntry>(want).parent);
    EXPECT_EQ(got.name, std::get<RemoveEntry>(want).name);
  }
  void operator()(const PutXattr& got) const {
    EXPECT_EQ(got.inode, std::get<PutXattr>(want).inode);
    EXPECT_EQ(got.name, std::get<PutXattr>(want).name);
    EXPECT_EQ(got.value, std::get<PutXattr>(want).value);
  }
  void operator()(const RemoveXattr& got) const {
    EXPECT_EQ(got.inode, std::get<RemoveXattr>(want).inode);
    EXPECT_EQ(got.name, std::get<RemoveXattr>(want).name);
  }
  void operator()(const WriteChunk& got) const {
    const auto& w = std::get<WriteChunk>(want);
    EXPECT_EQ(got.body, w.body);
    EXPECT_EQ(got.chunk, w.chunk);
    ExpectSamePieces(got.pieces, w.pieces);
  }
  void operator()(const PutChunk& got) const {
    const auto& w = std::get<PutChunk>(want);
    EXPECT_EQ(got.body, w.body);
    EXPECT_EQ(got.chunk, w.chunk);
    ExpectSamePieces(got.pieces, w.pieces);
  }
  void operator()(const CutChunks& got) const {
    EXPECT_EQ(got.body, std::get<CutChunks>(want).body);
    EXPECT_EQ(got.first, std::get<CutChunks>(want).first);
  }
  void operator()(const CloneChunks& got) const { EXPECT_EQ(got, std::get<CloneChunks>(want)); }
  void operator()(const PutSnapshot& got) const {
    EXPECT_EQ(got.name, std::get<PutSnapshot>(want).name);
    EXPECT_EQ(got.lsn, std::get<PutSnapshot>(want).lsn);
    EXPECT_EQ(got.time_ns, std::get<PutSnapshot>(want).time_ns);
  }
  void operator()(const RemoveSnapshot& got) const {
    EXPECT_EQ(got.name, std::get<RemoveSnapshot>(want).name);
  }
  void operator()(const PutSegment& got) const {
    EXPECT_EQ(got.segment, std::get<PutSegment>(want).segment);
  }
  void operator()(const PutStripe& got) const {
    EXPECT_EQ(got.stripe, std::get<PutStripe>(want).stripe);
  }
};

void ExpectSame(const Change& got, const Change& want) {
  EXPECT_EQ(got.lsn, want.lsn);
  EXPECT_EQ(got.time_ns, want.time_ns);
  EXPECT_EQ(got.kind, want.kind);
  ASSERT_EQ(got.operations.size(), want.operations.size());
  for (std::size_t i = 0; i < got.operations.size(); ++i) {
    ASSERT_EQ(got.operations[i].index(), want.operations[i].index());
    std::visit(SameOperation{want.operations[i]}, got.operations[i]);
  }
}

TEST(Change, RandomChangesComeBackAsTheyWere) {
  RandomChanges random(SeedFromEnvironment(1));
  for (std::uint64_t i = 0; i < 300; ++i) {
    Change change = random.Next(Lsn{random.Id()});
    auto decoded = Decode(EncodedChange(change));
    ASSERT_TRUE(decoded.ok()) << i << ": " << decoded.error().message();
    ExpectSame(*decoded, change);
  }
}

TEST(Change, DecodingStopsBehindItsOwnBytes) {
  RandomChanges random(SeedFromEnvironment(2));
  Encoder out;
  for (std::uint64_t lsn = 1; lsn <= 20; ++lsn) EncodeChange(random.Next(Lsn{lsn}, 3), out);
  Decoder in(out.bytes());
  for (std::uint64_t lsn = 1; lsn <= 20; ++lsn) {
    auto change = DecodeChange(in);
    ASSERT_TRUE(change.ok()) << change.error().message();
    EXPECT_EQ(change->lsn, Lsn{lsn});
  }
  EXPECT_TRUE(in.AtEnd());
}

TEST(Change, EveryTruncationIsRefused) {
  RandomChanges random(SeedFromEnvironment(3));
  for (int i = 0; i < 40; ++i) {
    ByteVector bytes = EncodedChange(random.Next(Lsn{1}, 4));
    std::size_t step = 1 + bytes.size() / 300;
    for (std::size_t length = 0; length < bytes.size(); length += step) {
      // A vector of its own, so that a read past the end is seen by the sanitizer.
      ByteVector cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
      EXPECT_FALSE(Decode(cut).ok()) << length << " of " << bytes.size();
    }
  }
}

// Whatever is accepted keeps every bound, as CheckChange and encoding it again show.
TEST(Change, FlippedBitsNeverBreakABound) {
  RandomChanges random(SeedFromEnvironment(4));
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    ByteVector bytes = EncodedChange(random.Next(Lsn{1 + random.Below(1000)}, 2));
    for (std::uint64_t flips = 1 + random.Below(3); flips > 0; --flips) {
      bytes[random.Below(std::min<std::size_t>(bytes.size(), 200))] ^=
          static_cast<std::byte>(1u << random.Below(8));
    }
    auto change = Decode(bytes);
    if (!change.ok()) continue;
    ++accepted;
    EXPECT_TRUE(CheckChange(*change).ok());
    auto again = Decode(EncodedChange(*change));
    ASSERT_TRUE(again.ok()) << again.error().message();
    ExpectSame(*again, *change);
  }
  EXPECT_GT(accepted, 0);  // a flip in a number is not to be seen here; frames have checksums
}

TEST(Change, RandomBytesNeverCrash) {
  RandomChanges random(SeedFromEnvironment(5));
  for (int i = 0; i < 20000; ++i) {
    ByteVector bytes = random.Bytes(random.Below(120));
    if (bytes.size() > 6 && random.Coin()) {
      // A plausible head, so that operations are reached.
      bytes[0] = std::byte{1};
      bytes[1] = std::byte{2};
      bytes[2] = std::byte{3};
      bytes[3] = std::byte{1};
      bytes[4] = static_cast<std::byte>(1 + random.Below(15));
    }
    auto change = Decode(bytes);
    if (change.ok()) {
      EXPECT_TRUE(CheckChange(*change).ok());
    }
  }
}

TEST(Change, BoundsAreHeldByDecoding) {
  // Each is encoded by hand, for EncodeChange refuses to.
  auto refused = [](const std::function<void(Encoder&)>& operation) {
    Encoder out;
    out.Varint(7);
    out.Varint(0);
    out.U8(0);
    out.Varint(1);
    operation(out);
    out.Zeros(40);
    auto change = Decode(out.bytes());
    return change.ok() ? std::string("accepted") : change.error().message();
  };
  auto remove_entry = [&](const std::string& name) {
    return refused([&](Encoder& out) {
      out.U8(4);
      out.Varint(1);
      out.Sized(name);
    });
  };
  EXPECT_EQ(remove_entry("fine"), "accepted");
  EXPECT_EQ(remove_entry(std::string(255, 'x')), "accepted");
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"),
        std::string(1, '\0'), std::string(256, 'x')}) {
    EXPECT_THAT(remove_entry(name), HasSubstr("name")) << name;
  }
  auto put_xattr = [&](std::size_t name_bytes, std::size_t value_bytes) {
    return refused([&](Encoder& out) {
      out.U8(5);
      out.Varint(1);
      out.Sized(std::string(name_bytes, 'n'));
      out.Sized(std::string(value_bytes, 'v'));
    });
  };
  EXPECT_EQ(put_xattr(255, 65536), "accepted");
  EXPECT_THAT(put_xattr(256, 1), HasSubstr("xattr name"));
  EXPECT_THAT(put_xattr(0, 1), HasSubstr("xattr name"));
  EXPECT_THAT(put_xattr(1, 65537), HasSubstr("xattr value"));
  EXPECT_THAT(refused([](Encoder& out) { out.U8(16); }), HasSubstr("operation tag 16"));
  EXPECT_THAT(refused([](Encoder& out) { out.U8(0); }), HasSubstr("operation tag 0"));
  auto hole = [&](std::uint64_t gap, std::uint64_t length) {
    return refused([&](Encoder& out) {
      out.U8(7);
      out.Varint(1);
      out.Varint(0);
      out.Varint(1);
      out.Varint(gap);
      out.Varint(length);
      out.U8(0);
    });
  };
  EXPECT_EQ(hole(0, kChunkBytes), "accepted");
  EXPECT_NE(hole(1, kChunkBytes), "accepted");
  EXPECT_NE(hole(0, 0), "accepted");
  EXPECT_NE(hole(kChunkBytes, 1), "accepted");
  EXPECT_NE(hole(~0ULL, 2), "accepted");
}

TEST(Change, AClonesRangesAreHeldByDecoding) {
  const auto decoded_all = [](const std::vector<CloneChunks>& clones) {
    Encoder out;
    out.Varint(7);  // the change's LSN
    out.Varint(0);
    out.U8(0);
    out.Varint(clones.size());
    for (const CloneChunks& clone : clones) {
      out.U8(14);
      for (const std::uint64_t field : {clone.from.value, clone.at.value, clone.from_first,
                                        clone.to.value, clone.to_first, clone.count}) {
        out.Varint(field);
      }
    }
    return Decode(out.bytes());
  };
  const auto decoded = [&](const CloneChunks& clone) { return decoded_all({clone}); };
  const CloneChunks fine{BodyId(1), Lsn(6), 10, BodyId(2), 20, 30};
  const auto change = decoded(fine);
  ASSERT_TRUE(change.ok()) << change.error().message();
  EXPECT_EQ(std::get<CloneChunks>(change->operations.at(0)), fine);

  const auto refused = [&](auto&& damage) {
    CloneChunks clone = fine;
    damage(clone);
    return !decoded(clone).ok();
  };
  EXPECT_TRUE(refused([](CloneChunks& c) { c.from = BodyId(); }));
  EXPECT_TRUE(refused([](CloneChunks& c) { c.to = BodyId(); }));
  EXPECT_TRUE(refused([](CloneChunks& c) { c.count = 0; }));
  EXPECT_TRUE(refused([](CloneChunks& c) { c.count = kMaxCloneChunks + 1; }));
  EXPECT_TRUE(refused([](CloneChunks& c) { c.from_first = kMaxChunks - 29; }));
  EXPECT_TRUE(refused([](CloneChunks& c) { c.to_first = ~0ULL; }));
  EXPECT_TRUE(refused([](CloneChunks& c) { c.at = Lsn(7); }));
  EXPECT_TRUE(refused([](CloneChunks& c) {
    c.at = Lsn();
    c.to = c.from;
  }));
  CloneChunks most = fine;
  most.count = kMaxCloneChunks;
  EXPECT_TRUE(decoded(most).ok());
  EXPECT_FALSE(decoded_all({most, fine}).ok()) << "too much for one change";
}

TEST(Change, DamagedInlineBytesAreRefused) {
  Change change = With(WriteChunk{BodyId{5}, 0, {Inline(0, "the words that were written")}});
  ByteVector bytes = EncodedChange(change);
  auto at = AsText(bytes).find("words");
  ASSERT_NE(at, std::string_view::npos);
  bytes[at] ^= std::byte{1};
  auto decoded = Decode(bytes);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(decoded.error().message(), HasSubstr("checksum"));
}

TEST(Change, APendingExtentWithAPlaceIsWrittenAsThatPlace) {
  Piece piece = Inline(100, "placed by now");
  ExtentRef place = AtRest(0, piece.length).extent;
  piece.pending->SetPlace(place);
  piece.pending->DropBytes();
  auto decoded = Decode(EncodedChange(With(WriteChunk{BodyId{5}, 9, {piece}})));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message();
  const Piece& got = std::get<WriteChunk>(decoded->operations[0]).pieces[0];
  EXPECT_EQ(got.pending, nullptr);
  EXPECT_EQ(got.extent, place);

  auto put = Decode(EncodedChange(With(PutChunk{BodyId{5}, 9, {piece}})));
  ASSERT_TRUE(put.ok()) << put.error().message();
  EXPECT_EQ(std::get<PutChunk>(put->operations[0]).pieces[0].extent, place);
}

TEST(Change, InlineBytesAreCompressedWhenThatHelps) {
  Change change = With(WriteChunk{BodyId{5}, 0, {Inline(0, std::string(60000, 'a'))}});
  EXPECT_LT(EncodedChange(change).size(), 1000u);
}

TEST(Change, AnExtentUsedTwiceIsWrittenOnce) {
  RandomChanges random(6);
  Piece first = Inline(0, AsText(random.Bytes(30000)));
  Piece second = first;
  first.length = 10000;
  second.chunk_offset = second.raw_offset = 20000;
  second.length = 10000;
  Change change = With(WriteChunk{BodyId{5}, 0, {first, second}});
  EXPECT_EQ(UnplacedBytes(change), 30000u);
  EXPECT_LT(EncodedChange(change).size(), 31000u);
  auto decoded = Decode(EncodedChange(change));
  ASSERT_TRUE(decoded.ok());
  ExpectSame(*decoded, change);
  EXPECT_EQ(UnplacedBytes(*decoded), 30000u);
}

TEST(Change, UnplacedBytesLeaveOutWhatHasAPlace) {
  Piece placed = Inline(0, "12345");
  placed.pending->SetPlace(AtRest(0, 5).extent);
  Change change = With(WriteChunk{BodyId{5}, 0, {placed, Inline(10, "123"), AtRest(20, 50)}});
  EXPECT_EQ(UnplacedBytes(change), 3u);
}

TEST(Change, AnInodesTimesAreCheapWhenTheyAreTheChanges) {
  Change change = With(PutInode{InodeId{1}, {}});
  auto& a = std::get<PutInode>(change.operations[0]).attributes;
  change.time_ns = a.atime_ns = a.mtime_ns = a.ctime_ns = a.birth_ns = 1'700'000'000'000'000'000;
  EXPECT_LT(EncodedChange(change).size(), 32u);
}

TEST(ChangeDeathTest, WhatCouldNotBeReadBackIsNotWritten) {
  Encoder out;
  EXPECT_DEATH(EncodeChange(With(RemoveEntry{InodeId{1}, "a/b"}), out), "name with");
  EXPECT_DEATH(EncodeChange(With(PutChunk{BodyId{1}, 0, {Inline(0, "x")}}), out), "place");
  EXPECT_DEATH(EncodeChange(With(WriteChunk{BodyId{1}, 0, {AtRest(5, 9), AtRest(8, 3)}}), out),
               "overlaps");
  EXPECT_DEATH(EncodeChange(Change{}, out), "LSN");
}

TEST(Change, EveryKindHasAName) {
  for (int kind = 0; kind <= static_cast<int>(ChangeKind::kMaintenance); ++kind) {
    EXPECT_NE(ToString(static_cast<ChangeKind>(kind)), "unknown");
  }
}

}  // namespace
}  // namespace varve
