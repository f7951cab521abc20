#include "store/codec/checksum.h"

#include <gtest/gtest.h>
#include <xxhash.h>

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

}  // namespace
}  // namespace varve
