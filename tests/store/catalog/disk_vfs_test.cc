#include "store/catalog/disk_vfs.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "store/catalog/sqlite.h"
#include "store/catalog/vfs_locks.h"
#include "store/catalog/vfs_pages.h"
#include "tests/support/memory_disk.h"

namespace varve {
namespace {

TEST(VfsLocks, OneWritesWhileOthersRead) {
  VfsLocks locks;
  int a = 0;
  int b = 0;
  locks.Enter(&a);
  locks.Enter(&b);
  EXPECT_EQ(locks.Lock(&a, SQLITE_LOCK_SHARED), SQLITE_OK);
  EXPECT_EQ(locks.Lock(&b, SQLITE_LOCK_SHARED), SQLITE_OK);
  EXPECT_FALSE(locks.IsReserved());
  EXPECT_EQ(locks.Lock(&a, SQLITE_LOCK_RESERVED), SQLITE_OK);
  EXPECT_TRUE(locks.IsReserved());
  EXPECT_EQ(locks.Lock(&b, SQLITE_LOCK_RESERVED), SQLITE_BUSY);
  // With a reader inside it gets no further than keeping new readers out.
  EXPECT_EQ(locks.Lock(&a, SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY);
  EXPECT_EQ(locks.Unlock(&b, SQLITE_LOCK_NONE), SQLITE_OK);
  EXPECT_EQ(locks.Lock(&b, SQLITE_LOCK_SHARED), SQLITE_BUSY);
  EXPECT_EQ(locks.Lock(&a, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
  EXPECT_EQ(locks.Unlock(&a, SQLITE_LOCK_SHARED), SQLITE_OK);
  EXPECT_EQ(locks.Lock(&b, SQLITE_LOCK_SHARED), SQLITE_OK);
  locks.Leave(&a);
  EXPECT_EQ(locks.Lock(&b, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
}

TEST(VfsLocks, SharedMemoryLocksExcludeByRange) {
  VfsLocks locks;
  int a = 0;
  int b = 0;
  locks.Enter(&a);
  locks.Enter(&b);
  constexpr int kExclusive = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE;
  constexpr int kShared = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED;
  EXPECT_EQ(locks.LockShared(&a, 0, 2, kExclusive), SQLITE_OK);
  EXPECT_EQ(locks.LockShared(&b, 1, 1, kShared), SQLITE_BUSY);
  EXPECT_EQ(locks.LockShared(&b, 2, 1, kShared), SQLITE_OK);
  EXPECT_EQ(locks.LockShared(&a, 2, 1, kShared), SQLITE_OK);
  EXPECT_EQ(locks.LockShared(&a, 2, 1, kExclusive), SQLITE_BUSY);
  EXPECT_EQ(locks.LockShared(&b, 2, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED), SQLITE_OK);
  EXPECT_EQ(locks.LockShared(&a, 2, 1, kExclusive), SQLITE_OK);
  EXPECT_EQ(locks.LockShared(&a, 0, 8, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE), SQLITE_OK);
  EXPECT_EQ(locks.LockShared(&b, 0, 8, kExclusive), SQLITE_OK);
}

TEST(VfsLocks, SharedMemoryStaysWhereItIsUntilTheLastLeaves) {
  VfsLocks locks;
  int a = 0;
  int b = 0;
  locks.Enter(&a);
  locks.Enter(&b);
  volatile void* first = nullptr;
  volatile void* again = nullptr;
  EXPECT_EQ(locks.MapShared(&a, 0, 32768, false, &first), SQLITE_OK);
  EXPECT_EQ(first, nullptr);
  EXPECT_EQ(locks.MapShared(&a, 0, 32768, true, &first), SQLITE_OK);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(locks.MapShared(&a, 5, 32768, true, &again), SQLITE_OK);
  EXPECT_EQ(locks.MapShared(&b, 0, 32768, false, &again), SQLITE_OK);
  EXPECT_EQ(again, first);
  locks.UnmapShared(&a);
  EXPECT_EQ(locks.MapShared(&b, 0, 32768, false, &again), SQLITE_OK);
  EXPECT_EQ(again, first);
  locks.Leave(&b);
  locks.Enter(&b);
  EXPECT_EQ(locks.MapShared(&b, 0, 32768, false, &again), SQLITE_OK);
  EXPECT_EQ(again, nullptr);
}

TEST(VfsPages, APageIsReadBackOnlyWhereAndAsItWasWritten) {
  MemoryDisk disk;
  auto file = std::move(*disk.Open("catalog/pages", OpenMode::kCreate));
  ByteVector page(kCatalogPageBytes, std::byte{0x5a});
  ASSERT_TRUE(WritePage(*file, 0, page).ok());
  ASSERT_TRUE(WritePage(*file, kCatalogPageBytes, page).ok());
  ByteVector read(kCatalogPageBytes);
  ASSERT_TRUE(ReadPages(*file, kCatalogPageBytes, read).ok());
  EXPECT_TRUE(std::equal(read.begin(), read.end() - kPageChecksumBytes, page.begin()));
  EXPECT_TRUE(PageChecksumFits(read, 2));
  EXPECT_FALSE(PageChecksumFits(read, 1));
  // A part of a page is verified with the whole of it; a look at the header is not.
  ByteVector part(4096);
  EXPECT_TRUE(ReadPages(*file, 4096, part).ok());
  ASSERT_TRUE(file->Write(7, ByteVector(1)).ok());
  EXPECT_EQ(ReadPages(*file, 4096, part).error().code(), ErrorCode::kCorrupt);
  ByteVector header(100);
  EXPECT_TRUE(ReadPages(*file, 0, header).ok());
  EXPECT_EQ(ReadPages(*file, 2 * kCatalogPageBytes, read).error().code(), ErrorCode::kCorrupt);
  EXPECT_FALSE(WritePage(*file, 100, page).ok());
}

TEST(DiskVfs, KeepsDatabasesOfDifferentDisksApart) {
  auto one = std::make_shared<MemoryDisk>();
  auto two = std::make_shared<MemoryDisk>();
  auto vfs_one = std::move(*DiskVfs::Register(one, "catalog/x"));
  auto vfs_two = std::move(*DiskVfs::Register(two, "catalog/x"));
  EXPECT_NE(vfs_one->name(), vfs_two->name());
  auto missing = Database::Open(*vfs_one, "catalog/x", OpenDatabase::kExisting);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound) << missing.error().message();
  auto database = std::move(*Database::Open(*vfs_one, "catalog/x", OpenDatabase::kCreate));
  ASSERT_TRUE(database->Execute("PRAGMA page_size = 8192").ok());
  ASSERT_TRUE(database->ReservePageEnd(kPageChecksumBytes).ok());
  ASSERT_TRUE(database->Execute("CREATE TABLE t (a); INSERT INTO t VALUES (5)").ok());
  EXPECT_EQ(*database->Number("SELECT a FROM t"), 5);
  EXPECT_EQ(one->List("catalog/")->size(), 1u);
  EXPECT_TRUE(two->List("catalog/")->empty());
}

TEST(DiskVfs, RollsBackAHotJournal) {
  auto disk = std::make_shared<MemoryDisk>();
  auto vfs = std::move(*DiskVfs::Register(disk, "catalog/x"));
  {
    auto database = std::move(*Database::Open(*vfs, "catalog/x", OpenDatabase::kCreate));
    ASSERT_TRUE(database->Execute("PRAGMA page_size = 8192").ok());
    ASSERT_TRUE(database->ReservePageEnd(kPageChecksumBytes).ok());
    ASSERT_TRUE(database->Execute("CREATE TABLE t (a); INSERT INTO t VALUES (5)").ok());
    // A cache of one page, so that the change reaches the file before it is committed.
    ASSERT_TRUE(database
                    ->Execute("PRAGMA cache_size = 1; BEGIN; UPDATE t SET a = 6; "
                              "INSERT INTO t SELECT randomblob(5000) FROM "
                              "(WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n "
                              "WHERE i < 200) SELECT i FROM n)")
                    .ok());
    auto left = std::make_shared<MemoryDisk>();
    const std::vector<std::string> names = *disk->List("catalog/");
    for (const std::string& name : names) {
      ASSERT_TRUE(WriteAtomically(*left, name, *ReadWhole(*disk, name, 1 << 30)).ok());
    }
    ASSERT_EQ(left->List("catalog/")->size(), 2u);
    auto vfs_left = std::move(*DiskVfs::Register(left, "catalog/x"));
    auto reopened = std::move(*Database::Open(*vfs_left, "catalog/x", OpenDatabase::kExisting));
    EXPECT_EQ(*reopened->Number("SELECT a FROM t"), 5);
    EXPECT_EQ(*reopened->Number("SELECT count(*) FROM t"), 1);
  }
}

}  // namespace
}  // namespace varve
