#include "store/codec/compression.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

namespace varve {
namespace {

std::uint64_t Seed() {
  const char* given = std::getenv("VARVE_SEED");
  return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

class Compression : public testing::Test {
 protected:
  Compression() { RecordProperty("seed", std::to_string(seed_)); }
  ByteVector Random(std::size_t length_bytes) {
    ByteVector bytes(length_bytes);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random_());
    return bytes;
  }
  // Compresses to about half: runs of random words out of a small vocabulary.
  ByteVector Text(std::size_t length_bytes) {
    ByteVector bytes;
    while (bytes.size() < length_bytes) {
      static constexpr std::string_view kWords[] = {"journal", " stripe ", "catalog", "\n", "of"};
      const auto word = AsBytes(kWords[random_() % std::size(kWords)]);
      bytes.insert(bytes.end(), word.begin(), word.end());
    }
    bytes.resize(length_bytes);
    return bytes;
  }
  const std::uint64_t seed_ = Seed();
  testing::ScopedTrace trace_{__FILE__, __LINE__, "VARVE_SEED=" + std::to_string(seed_)};
  std::mt19937_64 random_{seed_};
};

TEST_F(Compression, GivesBackWhatItWasGiven) {
  for (const std::size_t length : {1u, 31u, 32u, 33u, 100u, 4096u, 4097u, 65535u, 65536u}) {
    const ByteVector raw = Text(length);
    ByteVector out;
    const Codec codec = Compress(raw, out);
    if (length >= 4096) {
      ASSERT_EQ(codec, Codec::kLz4);
    }
    ByteVector back(length);
    ASSERT_TRUE(Decompress(codec, codec == Codec::kNone ? raw : out, back).ok());
    EXPECT_EQ(back, raw);
  }
}

TEST_F(Compression, FindsItsWayBackFromRandomData) {
  Compressor compressor;
  ByteVector out;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(compressor.Compress(Random(65536), out), Codec::kNone);
  const ByteVector text = Text(65536);
  int tries = 1;
  while (compressor.Compress(text, out) != Codec::kLz4) ASSERT_LT(++tries, 9);
  ByteVector back(text.size());
  ASSERT_TRUE(Decompress(Codec::kLz4, out, back).ok());
  EXPECT_EQ(back, text);
  ByteVector alone;
  ASSERT_EQ(Compress(text, alone), Codec::kLz4);
  ASSERT_EQ(compressor.Compress(text, out), Codec::kLz4);
  EXPECT_EQ(out, alone);
}

TEST_F(Compression, GivesUpOnRandomDataAndLeavesNothing) {
  ByteVector out = Random(10);
  EXPECT_EQ(Compress(Random(65536), out), Codec::kNone);
  EXPECT_TRUE(out.empty());
}

TEST_F(Compression, NeverStoresMoreThanFifteenSixteenths) {
  for (int percent = 0; percent <= 100; ++percent) {
    ByteVector raw = Random(65536);
    std::fill_n(raw.begin(), raw.size() / 100 * static_cast<std::size_t>(percent), std::byte{9});
    ByteVector out;
    if (Compress(raw, out) == Codec::kLz4) {
      EXPECT_LE(out.size(), raw.size() / 16 * 15);
      ByteVector back(raw.size());
      ASSERT_TRUE(Decompress(Codec::kLz4, out, back).ok());
      EXPECT_EQ(back, raw);
    } else {
      EXPECT_LT(percent, 30) << "this much repetition compresses";
    }
  }
}

TEST_F(Compression, CompressesNothingToNothing) {
  ByteVector out;
  EXPECT_EQ(Compress({}, out), Codec::kNone);
  EXPECT_TRUE(Decompress(Codec::kNone, {}, {}).ok());
}

TEST_F(Compression, RefusesAnotherLengthThanWasStored) {
  const ByteVector raw = Text(5000);
  ByteVector out;
  ASSERT_EQ(Compress(raw, out), Codec::kLz4);
  for (const std::size_t wrong : {0u, 4999u, 5001u, 60000u}) {
    ByteVector back(wrong);
    const Status read = Decompress(Codec::kLz4, out, back);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code(), ErrorCode::kCorrupt);
    EXPECT_FALSE(Decompress(Codec::kNone, raw, back).ok());
  }
}

TEST_F(Compression, SurvivesHostileInput) {
  const ByteVector raw = Text(3000);
  ByteVector good;
  ASSERT_EQ(Compress(raw, good), Codec::kLz4);
  for (int i = 0; i < 5000; ++i) {
    ByteVector bad = i % 2 == 0 ? Random(random_() % 300) : good;
    if (i % 2 != 0) bad[random_() % bad.size()] ^= static_cast<std::byte>(1 + random_() % 255);
    ByteVector back(raw.size());
    static_cast<void>(Decompress(Codec::kLz4, bad, back));  // any answer, but no crash
  }
  ByteVector back(10);
  EXPECT_FALSE(Decompress(static_cast<Codec>(2), good, back).ok());
}

}  // namespace
}  // namespace varve
