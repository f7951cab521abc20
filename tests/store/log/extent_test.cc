#include "store/log/extent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>

#include "tests/support/random_seed.h"

namespace varve {
namespace {

ExtentRef Extent(std::uint64_t stripe, std::uint32_t raw_bytes) {
  ExtentRef extent;
  extent.stripe = StripeId(SegmentId(stripe), 1);
  extent.stored_bytes = raw_bytes;
  extent.raw_bytes = raw_bytes;
  return extent;
}

Piece At(std::uint32_t offset, std::uint32_t length, const ExtentRef& extent,
         std::uint32_t raw_offset = 0) {
  return {offset, length, raw_offset, extent, nullptr};
}

Piece Hole(std::uint32_t offset, std::uint32_t length) { return {offset, length, 0, {}, nullptr}; }

bool Same(const PieceList& a, const PieceList& b) {
  return std::ranges::equal(a, b, [](const Piece& x, const Piece& y) {
    return x.chunk_offset == y.chunk_offset && x.length == y.length &&
           x.raw_offset == y.raw_offset && x.extent == y.extent && x.pending == y.pending;
  });
}

// What every list must be, wherever it came from.
void ExpectWellFormed(const PieceList& pieces) {
  std::uint64_t end = 0;
  for (const Piece& piece : pieces) {
    ASSERT_GE(piece.chunk_offset, end);
    ASSERT_GE(piece.length, 1u);
    end = std::uint64_t{piece.chunk_offset} + piece.length;
    ASSERT_LE(end, kChunkBytes);
    if (piece.IsHole() || piece.pending) continue;
    ASSERT_LE(std::uint64_t{piece.raw_offset} + piece.length, piece.extent.raw_bytes);
    ASSERT_LE(piece.extent.raw_bytes, kChunkBytes);
    ASSERT_LE(piece.extent.stored_bytes, piece.extent.raw_bytes);
  }
}

// A chunk as plain cells: which byte of which extent is where; {0, 0} is nothing, {1, 0} a hole.
struct Model {
  using Cell = std::pair<std::uint64_t, std::uint32_t>;
  std::vector<Cell> cells = std::vector<Cell>(kChunkBytes);

  static constexpr Cell kHole{1, 0};
  void Lay(const PieceList& pieces, Holes holes) {
    for (const Piece& piece : pieces) {
      for (std::uint32_t i = 0; i < piece.length; ++i) {
        Cell& cell = cells[piece.chunk_offset + i];
        if (piece.IsHole()) {
          cell = holes == Holes::kKeep ? kHole : Cell{};
        } else {
          cell = {piece.extent.stripe.value, piece.raw_offset + i};
        }
      }
    }
  }
};

class Overlays : public testing::Test {
 protected:
  std::uint32_t Below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  // 1 to `most` pieces, some of them holes, in a chunk whose upper part is rarely touched.
  PieceList RandomPieces(std::uint32_t most) {
    PieceList pieces;
    std::uint32_t at = Below(4) == 0 ? 0 : Below(2000);
    for (std::uint32_t i = 0; i <= Below(most) && at < kChunkBytes; ++i) {
      const std::uint32_t length =
          std::min(kChunkBytes - at, 1 + (Below(8) == 0 ? Below(kChunkBytes) : Below(700)));
      if (Below(4) == 0) {
        pieces.push_back(Hole(at, length));
      } else {
        const std::uint32_t raw_offset = Below(kChunkBytes - length + 1);
        pieces.push_back(At(at, length, Extent(++next_extent_, kChunkBytes), raw_offset));
      }
      at += length + (Below(3) == 0 ? 0 : Below(300));
    }
    return pieces;
  }

  const std::uint64_t seed_ = RandomSeed();
  testing::ScopedTrace trace_{__FILE__, __LINE__, "VARVE_SEED=" + std::to_string(seed_)};
  std::mt19937_64 random_{seed_};
  std::uint64_t next_extent_ = 0;
};

TEST(Piece, ClipsToAPart) {
  const Piece piece = At(100, 50, Extent(7, 200), 30);
  const Piece part = piece.Clip(110, 120);
  EXPECT_EQ(part.chunk_offset, 110u);
  EXPECT_EQ(part.length, 10u);
  EXPECT_EQ(part.raw_offset, 40u);
  EXPECT_EQ(part.extent, piece.extent);
  EXPECT_TRUE(Same({piece.Clip(100, 150)}, {piece}));
  EXPECT_EQ(Hole(5, 10).Clip(7, 9).raw_offset, 0u);
}

TEST(PieceDeathTest, RefusesToClipOutsideOfItself) {
  const Piece piece = At(100, 50, Extent(7, 200));
  EXPECT_DEATH(static_cast<void>(piece.Clip(99, 120)), "outside of the piece");
  EXPECT_DEATH(static_cast<void>(piece.Clip(120, 151)), "outside of the piece");
  EXPECT_DEATH(static_cast<void>(piece.Clip(120, 120)), "outside of the piece");
}

TEST(Overlay, CutsWhatIsInTheMiddle) {
  const ExtentRef below = Extent(1, 1000);
  const ExtentRef above = Extent(2, 10);
  const PieceList result = Overlay({At(0, 1000, below)}, {At(400, 10, above)}, Holes::kDrop);
  EXPECT_TRUE(Same(result, {At(0, 400, below), At(400, 10, above), At(410, 590, below, 410)}));
}

TEST(Overlay, HidesEverythingThatAWiderPieceCovers) {
  const PieceList base = {At(0, 10, Extent(1, 10)), At(20, 10, Extent(2, 10)),
                          At(50, 10, Extent(3, 10))};
  const PieceList over = {At(0, 55, Extent(4, 55))};
  EXPECT_TRUE(Same(Overlay(base, over, Holes::kDrop), {over[0], At(55, 5, Extent(3, 10), 5)}));
}

TEST(Overlay, PunchesHoles) {
  const ExtentRef below = Extent(1, 100);
  const PieceList base = {At(0, 100, below)};
  EXPECT_TRUE(
      Same(Overlay(base, {Hole(10, 20)}, Holes::kDrop), {At(0, 10, below), At(30, 70, below, 30)}));
  EXPECT_TRUE(Same(Overlay(base, {Hole(10, 20)}, Holes::kKeep),
                   {At(0, 10, below), Hole(10, 20), At(30, 70, below, 30)}));
  EXPECT_TRUE(Overlay(base, {Hole(0, kChunkBytes)}, Holes::kDrop).empty());
}

TEST(Overlay, JoinsWhatContinuesItself) {
  const ExtentRef extent = Extent(1, 100);
  EXPECT_TRUE(Same(Overlay({At(0, 50, extent)}, {At(50, 50, extent, 50)}, Holes::kDrop),
                   {At(0, 100, extent)}));
  EXPECT_TRUE(Same(Overlay({Hole(0, 5)}, {Hole(5, 5)}, Holes::kKeep), {Hole(0, 10)}));
  // The same extent, but not its next byte.
  EXPECT_EQ(Overlay({At(0, 50, extent)}, {At(50, 50, extent, 49)}, Holes::kDrop).size(), 2u);
}

TEST(Overlay, TellsPendingExtentsApart) {
  const auto a = std::make_shared<PendingExtent>(ByteVector(10));
  const auto b = std::make_shared<PendingExtent>(ByteVector(10));
  const Piece first{0, 5, 0, {}, a};
  const Piece second{5, 5, 5, {}, b};
  EXPECT_EQ(Overlay({first}, {second}, Holes::kDrop).size(), 2u);
  const Piece more{5, 5, 5, {}, a};
  EXPECT_EQ(Overlay({first}, {more}, Holes::kDrop).size(), 1u);
}

TEST_F(Overlays, AreWhatAByteArraySays) {
  for (int round = 0; round < 12; ++round) {
    const Holes holes = round % 2 == 0 ? Holes::kDrop : Holes::kKeep;
    PieceList state;
    Model model;
    for (int step = 0; step < 250; ++step) {
      const PieceList over = RandomPieces(6);
      state = Overlay(state, over, holes);
      model.Lay(over, holes);
      ExpectWellFormed(state);
      Model seen;
      seen.Lay(state, Holes::kKeep);
      ASSERT_EQ(seen.cells, model.cells) << "round " << round << " step " << step;
    }
  }
}

// Laying (a over b) over c is laying a over what b over c is: the order of grouping does not
// matter.
TEST_F(Overlays, MayBeGroupedAsOneLikes) {
  for (int i = 0; i < 3000; ++i) {
    const PieceList c = Overlay({}, RandomPieces(6), Holes::kDrop);
    const PieceList b = RandomPieces(6);
    const PieceList a = RandomPieces(6);
    const auto left = Overlay(c, Overlay(b, a, Holes::kKeep), Holes::kDrop);
    const auto right = Overlay(Overlay(c, b, Holes::kDrop), a, Holes::kDrop);
    ASSERT_TRUE(Same(left, right));
  }
}

class PieceCoding : public Overlays {
 protected:
  PieceList AtRest(std::uint32_t most) {
    PieceList pieces = Overlay({}, RandomPieces(most), Holes::kDrop);
    for (Piece& piece : pieces) {
      ExtentRef& extent = piece.extent;
      extent.stripe = StripeId(SegmentId(1 + random_() % 100'000), Below(500));
      extent.column = static_cast<std::uint8_t>(Below(32));
      extent.fragment_offset = Below(900'000);
      extent.checksum = random_();
      if (Below(2) == 0) {
        extent.codec = Codec::kLz4;
        extent.stored_bytes = 1 + Below(extent.raw_bytes);
      } else if (Below(3) == 0) {
        extent.in_blocks = true;
        extent.blocks.known = static_cast<std::uint16_t>(
            random_() & ((1u << (extent.raw_bytes + 4095) / kChecksumBlockBytes) - 1));
        for (unsigned b = 0; b < kMaxExtentBlocks; ++b) {
          if (extent.blocks.known & 1u << b) extent.blocks.values[b] = Below(1'000'000);
        }
      }
    }
    return pieces;
  }
  static ByteVector Encode(const PieceList& pieces) {
    Encoder out;
    EncodePieces(pieces, out);
    return out.Take();
  }
};

TEST_F(PieceCoding, GivesBackWhatWasEncoded) {
  for (int i = 0; i < 2000; ++i) {
    const PieceList pieces = AtRest(20);
    const ByteVector bytes = Encode(pieces);
    Decoder in(bytes);
    const auto back = DecodePieces(in);
    ASSERT_TRUE(back.ok()) << back.error().message();
    EXPECT_TRUE(in.AtEnd());
    ASSERT_TRUE(Same(*back, pieces));
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      const Piece& piece = pieces[p];
      ASSERT_EQ((*back)[p].extent.blocks,
                piece.extent.blocks.Of(piece.raw_offset, piece.raw_offset + piece.length));
    }
  }
}

TEST_F(PieceCoding, KeepsTheChecksumsOfThePiecesBlocksAlone) {
  constexpr std::uint32_t kBlock = kChecksumBlockBytes;
  ExtentRef extent = Extent(7, 5 * kBlock + 10);
  extent.in_blocks = true;
  extent.blocks.known = 0b111011;
  for (const std::size_t b : {0, 1, 3, 4, 5}) extent.blocks.values[b] = 100 + b;
  const auto back = [](const PieceList& pieces) {
    const ByteVector bytes = Encode(pieces);
    Decoder in(bytes);
    Result<PieceList> decoded = DecodePieces(in);
    EXPECT_TRUE(decoded.ok() && in.AtEnd());
    return decoded.ok() ? *std::move(decoded) : PieceList();
  };
  const PieceList whole = back({At(0, extent.raw_bytes, extent)});
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_TRUE(whole[0].extent.in_blocks);
  EXPECT_EQ(whole[0].extent.blocks, extent.blocks);
  EXPECT_TRUE(whole[0].extent.blocks.Cover(0, 2 * kBlock));
  EXPECT_FALSE(whole[0].extent.blocks.Cover(2 * kBlock - 1, 2 * kBlock + 1));
  EXPECT_TRUE(whole[0].extent.blocks.Cover(3 * kBlock, 5 * kBlock + 10));

  const PieceList cut = back({At(0, kBlock + 1, extent), At(9 * kBlock, 1, extent, 5 * kBlock)});
  ASSERT_EQ(cut.size(), 2u);
  EXPECT_EQ(cut[0].extent.blocks.known, 0b11);
  EXPECT_EQ(cut[0].extent.blocks.values[1], 101u);
  EXPECT_EQ(cut[0].extent.blocks.values[3], 0u);
  EXPECT_EQ(cut[1].extent.blocks.known, 0b100000);
  EXPECT_EQ(Encode({At(0, kBlock, extent)}).size() + 4, Encode({At(0, 2 * kBlock, extent)}).size());

  // Neighbours that are joined know what both knew.
  const PieceList joined =
      Overlay({cut[0]}, {At(kBlock + 1, kBlock, whole[0].extent, kBlock + 1)}, Holes::kDrop);
  ASSERT_EQ(joined.size(), 1u);
  EXPECT_EQ(joined[0].extent.blocks, extent.blocks);

  Encoder out;
  extent.raw_bytes = extent.stored_bytes = 5 * kBlock;  // has no sixth block
  EncodeExtentRef(extent, out);
  Decoder in(out.bytes());
  EXPECT_FALSE(DecodeExtentRef(in).ok());
}

TEST_F(PieceCoding, TakesAboutThirtyBytesAPiece) {
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (int i = 0; i < 300; ++i) {
    const PieceList pieces = AtRest(20);
    count += pieces.size();
    bytes += Encode(pieces).size();
  }
  EXPECT_LE(bytes, count * 32);
  // A chunk written at once, which is nearly all of them.
  EXPECT_LE(Encode({At(0, kChunkBytes, Extent(5000, kChunkBytes))}).size(), 26u);
}

TEST_F(PieceCoding, LeavesHolesOut) {
  const Piece piece = At(10, 10, Extent(1, 10));
  EXPECT_EQ(Encode({Hole(0, 10), piece, Hole(20, 5)}), Encode({piece}));
}

TEST_F(PieceCoding, RefusesToWritePendingPieces) {
  const Piece pending{0, 5, 0, {}, std::make_shared<PendingExtent>(ByteVector(10))};
  EXPECT_DEATH(Encode({pending}), "no on-disk form");
}

TEST_F(PieceCoding, NeverBelievesHostileBytes) {
  int believed = 0;
  for (int i = 0; i < 30'000; ++i) {
    ByteVector bytes = i % 3 == 0 ? ByteVector(random_() % 200) : Encode(AtRest(4));
    if (i % 3 == 0) {
      for (auto& byte : bytes) byte = static_cast<std::byte>(random_());
      if (!bytes.empty()) bytes[0] = static_cast<std::byte>(random_() % 8);
    } else if (i % 3 == 1) {
      bytes[random_() % bytes.size()] ^= std::byte{1} << (random_() % 8);
    } else {
      bytes.resize(random_() % bytes.size());
    }
    Decoder in(bytes);
    const auto pieces = DecodePieces(in);
    if (!pieces.ok()) {
      ASSERT_EQ(pieces.error().code(), ErrorCode::kCorrupt);
      continue;
    }
    ++believed;
    ExpectWellFormed(*pieces);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(believed, 100) << "some flips only change a checksum: the test does look at results";
}

TEST_F(PieceCoding, RefusesAnAbsurdCountBeforeAllocating) {
  Encoder out;
  out.Varint(60'000);
  Decoder in(out.bytes());
  EXPECT_FALSE(DecodePieces(in).ok());
}

}  // namespace
}  // namespace varve
