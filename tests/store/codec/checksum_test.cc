#include "store/codec/checksum.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <array>

namespace varve {
namespace {

TEST(Checksum, IsXxh3WithTheGivenSeed) {
  const std::string_view text = "the quick brown fox";
  EXPECT_EQ(Checksum(AsBytes(text)), XXH3_64bits(text.data(), text.size()));
  EXPECT_EQ(Checksum(AsBytes(text), 77), XXH3_64bits_withSeed(text.data(), text.size(), 77));
}

// The on-disk format rests on these numbers: a library that answers differently would make every
// volume unreadable.
TEST(Checksum, NeverChangesItsAnswer) {
  EXPECT_EQ(Checksum({}), 0x2D06800538D394C2ULL);
  EXPECT_EQ(Checksum(ByteVector(1)), 0xC44BDFF4074EECDBULL);
}

TEST(Checksum, TellsEveryFlippedBitOfABlock) {
  ByteVector block(300);
  for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(i * 7);
  const std::uint64_t right = Checksum(block);
  for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
    block[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_NE(Checksum(block), right) << "bit " << bit;
    block[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(Checksum, OfBlocksIsThatOfTheirChecksums) {
  ByteVector bytes(2 * kChecksumBlockBytes + 100);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 99);
  const ByteSpan all(bytes);
  Encoder list;
  std::array<std::uint32_t, 3> expected{};
  for (std::size_t b = 0; b < 3; ++b) {
    const std::uint64_t checksum =
        Checksum(all.subspan(b * kChecksumBlockBytes).first(b < 2 ? kChecksumBlockBytes : 100));
    list.U64(checksum);
    expected[b] = static_cast<std::uint32_t>(checksum);
  }
  std::array<std::uint32_t, 4> blocks{};
  EXPECT_EQ(BlockwiseChecksum(all, blocks), Checksum(list.bytes()));
  EXPECT_TRUE(std::ranges::equal(expected, std::span(blocks).first(3)));
  EXPECT_EQ(blocks[3], 0u);
  EXPECT_EQ(BlockwiseChecksum(all), Checksum(list.bytes()));
  // The format rests on this one too.
  EXPECT_EQ(BlockwiseChecksum(ByteVector(kChecksumBlockBytes + 1)), 0x799277F101EF1329ULL);
  EXPECT_DEATH(BlockwiseChecksum(all, std::span(blocks).first(2)), "no room");
}

}  // namespace
}  // namespace varve
