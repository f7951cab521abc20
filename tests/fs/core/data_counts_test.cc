// The count of a sparse file's data through everything that changes it.
#include <algorithm>
#include <random>
#include <set>
#include <string>

#include "tests/fs/core/filesystem_fixture.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

using DataCounting = FilesystemFixture;

// What is counted once is carried along with what is written; here it must stay what a plain list
// of pages says.
TEST_F(DataCounting, BlocksFollowEveryChange) {
  constexpr std::uint64_t kPage = 4096;
  constexpr std::uint64_t kPages = 20 * kChunkBytes / kPage;
  std::mt19937_64 random(RandomSeed());
  std::set<std::uint64_t> pages;
  std::uint64_t size = kPages;
  Lsn then;
  std::set<std::uint64_t> pages_then;
  std::uint64_t size_then = 0;
  VARVE_ASSERT_OK(Write("f", ""));
  VARVE_ASSERT_OK(Truncate("f", size * kPage));
  FileHandle handle = Open("f", O_RDWR);
  for (int step = 0; step < 1'500; ++step) {
    const std::uint64_t page = random() % kPages;
    const std::uint64_t count = std::min(kPages - page, 1 + random() % (random() % 4 ? 3 : 40));
    switch (random() % 16) {
      case 0:
        VARVE_ASSERT_OK(
            fs().Allocate(handle, AllocateMode::kPunchHole, page * kPage, count * kPage));
        std::erase_if(pages, [&](auto at) { return at >= page && at < page + count; });
        break;
      case 1:
        VARVE_ASSERT_OK(Truncate("f", page * kPage));
        size = page;
        std::erase_if(pages, [&](auto at) { return at >= size; });
        break;
      case 2:
        VARVE_ASSERT_OK(CloseFile(handle));
        handle = Open("f", O_RDWR);
        break;
      case 3:
        VARVE_ASSERT_OK(fs().Sync(handle, SyncMode::kDataOnly));
        then = Last();
        pages_then = pages;
        size_then = size;
        break;
      case 4:
        if (!then) break;
        VARVE_ASSERT_OK(fs().Rollback("/f", then));
        pages = pages_then;
        size = size_then;
        break;
      case 5:
        VARVE_ASSERT_OK(fs().Sync(handle, SyncMode::kDataOnly));
        break;
      default:
        VARVE_ASSERT_OK(WriteAt(handle, page * kPage, std::string(count * kPage, 'x')));
        for (std::uint64_t at = page; at < page + count; ++at) pages.insert(at);
        size = std::max(size, page + count);
    }
    if (random() % 2) continue;
    ASSERT_EQ(Stat("f").st_blocks, static_cast<blkcnt_t>(pages.size() * kPage / 512)) << step;
  }
  VARVE_ASSERT_OK(CloseFile(handle));
  EXPECT_EQ(Stat("f").st_blocks, static_cast<blkcnt_t>(pages.size() * kPage / 512));
  Remount();
  EXPECT_EQ(Stat("f").st_blocks, static_cast<blkcnt_t>(pages.size() * kPage / 512));
}

}  // namespace
}  // namespace varve
