// Readers beside the one writer.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "tests/store/catalog/catalog_fixture.h"
#include "tests/support/memory_disk.h"

// SQLite reads its shared index without locks and checks afterwards that it was not changed
// meanwhile; ThreadSanitizer cannot know.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:libsqlite3\n"; }

namespace varve {
namespace {

TEST(CatalogConcurrency, ReadersSeeWholeChangesWhileTheyAreAppliedAndFolded) {
  CatalogOptions options;
  options.readers = 3;  // fewer than there are threads: some wait
  options.cache_bytes = 1024 * 1024;
  auto catalog = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), options);
  ASSERT_TRUE(catalog.ok());
  constexpr std::uint64_t kChanges = 600;
  // Change i makes file i, and gives the root the size i.
  std::vector<Change> changes;
  for (std::uint64_t i = 1; i <= kChanges; ++i) {
    changes.push_back(MakeChange(
        i, {PutInode{kRootInode, FileAttributes(BodyId(), i)},
            PutInode{InodeId(i + 1), FileAttributes(BodyId(i), i)},
            PutEntry{kRootInode, Entry{"f" + std::to_string(i), InodeId(i + 1), S_IFREG, i}},
            WriteChunk{BodyId(1), i % 4, {RestPiece(StripeId(i), 0, 4096, 0)}}}));
  }
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> reads = 0;
  const auto read = [&](std::uint64_t number) {
    std::uint64_t seen = 0;
    while (!done || seen < kChanges) {
      const Lsn applied = (*catalog)->applied_lsn();
      ASSERT_GE(applied.value, seen);
      seen = applied.value;
      const auto root = (*catalog)->GetInode(kRootInode, kLsnNow);
      ASSERT_TRUE(root.ok()) << root.error().message();
      const std::uint64_t now = root->has_value() ? (*root)->size : 0;
      ASSERT_GE(now, seen);
      const auto listed = (*catalog)->List(kRootInode, 0, kChanges + 1);
      ASSERT_TRUE(listed.ok()) << listed.error().message();
      ASSERT_GE(listed->size(), now);
      if (seen == 0) continue;
      // A past moment: chunk seen % 4 was written last by change `seen`.
      const auto chunks = (*catalog)->Chunks(BodyId(1), seen % 4, seen % 4, Lsn(seen));
      ASSERT_TRUE(chunks.ok() && chunks->size() == 1);
      ASSERT_EQ(chunks->at(0).second.at(0).extent.stripe, StripeId(seen));
      const std::uint64_t file = 1 + (number * 31 + reads) % seen;
      const auto entry = (*catalog)->Lookup(kRootInode, "f" + std::to_string(file), Lsn(file));
      ASSERT_TRUE(entry.ok() && entry->has_value());
      const auto earlier =
          (*catalog)->Lookup(kRootInode, "f" + std::to_string(file), Lsn(file - 1));
      ASSERT_TRUE(earlier.ok() && !earlier->has_value());
      ++reads;
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 5; ++i) threads.emplace_back(read, i);
  std::thread folder([&] {
    while (!done) {
      const auto folded = (*catalog)->FoldLog();
      ASSERT_TRUE(folded.ok()) << folded.error().message();
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  });
  for (std::size_t i = 0; i < kChanges; i += 6) {
    const auto applied = (*catalog)->Apply(Pointers(changes, i, 6));
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  folder.join();
  EXPECT_GT(reads, 0u);
  EXPECT_TRUE((*catalog)->CheckIntegrity()->empty());
}

TEST(CatalogConcurrency, TwoCatalogsLiveBesideEachOther) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([] {
      RandomHistory history(7);
      for (int i = 0; i < 100; ++i) history.Next();
      auto catalog = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), {});
      ASSERT_TRUE(catalog.ok());
      for (std::size_t i = 0; i < 100; i += 5) {
        ASSERT_TRUE((*catalog)->Apply(Pointers(history.changes(), i, 5)).ok());
      }
      ExpectState(**catalog, kLsnNow, history.states()[100]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace varve
