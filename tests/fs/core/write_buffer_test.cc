#include "fs/core/write_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

namespace varve {
namespace {

constexpr std::uint64_t kChunk = kChunkBytes;

ByteVector Filled(std::size_t length, int value) {
  return ByteVector(length, static_cast<std::byte>(value));
}

TEST(WriteBuffer, JoinsNeighboursWithinAChunkAndSplitsAtItsEnd) {
  WriteBuffer buffer;
  buffer.Write(kChunk - 10, Filled(5, 1));
  buffer.Write(kChunk - 5, Filled(10, 2));
  EXPECT_EQ(buffer.bytes(), 15u);
  const std::vector<WriteChunkPieces> chunks = buffer.Take();
  ASSERT_EQ(chunks.size(), 2u);
  ASSERT_EQ(chunks[0].pieces.size(), 1u);
  EXPECT_EQ(chunks[0].pieces[0].chunk_offset, kChunk - 10);
  EXPECT_EQ(chunks[0].pieces[0].length, 10u);
  EXPECT_EQ(chunks[1].chunk, 1u);
  EXPECT_EQ(chunks[1].pieces[0].chunk_offset, 0u);
  EXPECT_EQ(chunks[1].pieces[0].length, 5u);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.bytes(), 0u);
}

TEST(WriteBuffer, CountsChunksThatAreDirtyFromEndToEnd) {
  WriteBuffer buffer;
  buffer.Write(0, Filled(2 * kChunk + 1, 1));
  EXPECT_EQ(buffer.full_chunk_bytes(), 2 * kChunk);
  buffer.Write(2 * kChunk + 1, Filled(kChunk - 1, 1));
  EXPECT_EQ(buffer.full_chunk_bytes(), 3 * kChunk);
  buffer.Write(100, Filled(kChunk, 2));
  EXPECT_EQ(buffer.full_chunk_bytes(), 3 * kChunk);
  buffer.Clear();
  EXPECT_EQ(buffer.full_chunk_bytes(), 0u);
}

TEST(WriteBuffer, RestoresWhatItGave) {
  WriteBuffer buffer;
  buffer.Write(10, Filled(20, 7));
  buffer.Write(kChunk, Filled(kChunk, 8));
  buffer.Restore(buffer.Take());
  EXPECT_EQ(buffer.bytes(), 20 + kChunk);
  EXPECT_EQ(buffer.full_chunk_bytes(), kChunk);
  ByteVector out = Filled(40, 0);
  buffer.Overlay(0, out);
  EXPECT_EQ(out[9], std::byte{0});
  EXPECT_EQ(out[10], std::byte{7});
  EXPECT_EQ(out[29], std::byte{7});
  EXPECT_EQ(out[30], std::byte{0});
}

// Random writes against plain arrays.
TEST(WriteBuffer, HoldsWhatAPlainArrayWould) {
  std::uint64_t seed = std::random_device{}();
  if (const char* given = std::getenv("VARVE_SEED")) seed = std::strtoull(given, nullptr, 0);
  SCOPED_TRACE("VARVE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr std::size_t kSpace = 4 * kChunkBytes;
  for (int round = 0; round < 40; ++round) {
    WriteBuffer buffer;
    ByteVector model = Filled(kSpace, 0);
    std::vector<bool> dirty(kSpace, false);
    for (int step = 0; step < 60; ++step) {
      const std::size_t offset = random() % kSpace;
      const std::size_t limit = random() % 3 == 0 ? 2 * kChunkBytes : 3000;
      const std::size_t length = std::min<std::size_t>(1 + random() % limit, kSpace - offset);
      const ByteVector bytes = Filled(length, static_cast<int>(1 + random() % 255));
      buffer.Write(offset, bytes);
      std::copy(bytes.begin(), bytes.end(), model.begin() + static_cast<std::ptrdiff_t>(offset));
      std::fill_n(dirty.begin() + static_cast<std::ptrdiff_t>(offset), length, true);
    }
    if (round % 2 == 1) buffer.Restore(buffer.Take());
    ByteVector out = Filled(kSpace, 0);
    buffer.Overlay(0, out);
    EXPECT_TRUE(out == model);
    EXPECT_EQ(buffer.bytes(),
              static_cast<std::uint64_t>(std::count(dirty.begin(), dirty.end(), true)));
    std::uint64_t full = 0;
    for (std::size_t chunk = 0; chunk < kSpace; chunk += kChunkBytes) {
      const auto begin = dirty.begin() + static_cast<std::ptrdiff_t>(chunk);
      if (std::all_of(begin, begin + kChunkBytes, [](bool d) { return d; })) full += kChunkBytes;
    }
    EXPECT_EQ(buffer.full_chunk_bytes(), full);
    for (int probe = 0; probe < 50; ++probe) {
      const std::size_t from = random() % kSpace;
      const std::size_t length = std::min<std::size_t>(1 + random() % 5000, kSpace - from);
      const auto begin = dirty.begin() + static_cast<std::ptrdiff_t>(from);
      const bool all =
          std::all_of(begin, begin + static_cast<std::ptrdiff_t>(length), [](bool d) { return d; });
      EXPECT_EQ(buffer.Covers(from, length), all);
      ByteVector part = Filled(length, 0);
      buffer.Overlay(from, part);
      EXPECT_TRUE(
          std::equal(part.begin(), part.end(), model.begin() + static_cast<std::ptrdiff_t>(from)));
    }
    for (const WriteChunkPieces& chunk : buffer.Take()) {
      std::uint32_t end = 0;
      for (const Piece& piece : chunk.pieces) {
        EXPECT_TRUE(end == 0 || piece.chunk_offset > end) << "neighbours are one run";
        end = piece.end();
        EXPECT_LE(end, kChunkBytes);
        EXPECT_EQ(piece.pending->raw_bytes(), piece.length);
      }
    }
  }
}

}  // namespace
}  // namespace varve
