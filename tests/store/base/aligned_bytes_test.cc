#include "store/base/aligned_bytes.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

namespace varve {
namespace {

TEST(AlignedBytes, BeginOnAPageAndAreWhole) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kPageAlign - 16, kPageAlign,
                                 kPageAlign + 1, std::size_t{1024 * 1024}}) {
    std::vector<AlignedBytes> several;
    for (int i = 0; i < 8; ++i) {
      several.push_back(MakeAlignedBytes(size));
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(several.back().get()) % kPageAlign, 0u);
      std::fill_n(several.back().get(), size, std::byte(i));
    }
    for (int i = 0; i < 8 && size > 0; ++i) {
      EXPECT_EQ(several[static_cast<std::size_t>(i)][0], std::byte(i));
      EXPECT_EQ(several[static_cast<std::size_t>(i)][size - 1], std::byte(i));
    }
  }
}

// As stripes are read while disks are missing: a few images in use, each let go for the next, and
// smaller things made and freed between. A sanitizer's allocator is not asked, and answers zeros.
TEST(AlignedBytes, AreTakenAgainWhenGivenBack) {
  constexpr std::size_t kBytes = 1024 * 1024 - 4096;
  constexpr std::size_t kColumns = 4;
  constexpr std::size_t kImages = 8;
  const std::size_t before = mallinfo2().arena + mallinfo2().hblkhd;
  std::deque<std::vector<AlignedBytes>> images;
  std::deque<std::vector<std::byte>> answers;
  for (int i = 0; i < 400; ++i) {
    std::vector<AlignedBytes>& image = images.emplace_back();
    for (std::size_t column = 0; column < kColumns; ++column) {
      image.push_back(MakeAlignedBytes(kBytes));
      answers.emplace_back(100 + 40 * column);
    }
    if (images.size() > kImages) images.pop_front();
    if (answers.size() > 100) answers.pop_front();
  }
  const std::size_t taken = mallinfo2().arena + mallinfo2().hblkhd - before;
  EXPECT_LE(taken, 2 * kImages * kColumns * (kBytes + kPageAlign));
}

}  // namespace
}  // namespace varve
