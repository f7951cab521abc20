// Bits that flip, pages that go astray: every answer of a damaged catalog is right or kCorrupt.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>
#include <set>

#include "store/catalog/disk_vfs.h"
#include "tests/store/catalog/catalog_fixture.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"

namespace varve {
namespace {

const std::string kDatabase(kCatalogObject);
const std::string kLog = kDatabase + "-wal";

// A disk as it would be found if the process died now.
std::shared_ptr<MemoryDisk> Copy(Disk& from) {
  auto to = std::make_shared<MemoryDisk>();
  const std::vector<std::string> names = *from.List("catalog/");
  for (const std::string& name : names) {
    EXPECT_TRUE(WriteAtomically(*to, name, *ReadWhole(from, name, 1ULL << 30)).ok());
  }
  return to;
}

// Changes that fill pages of every class: leaves, inner pages and overflow pages of tables and of
// the index, and free pages.
std::vector<Change> ManyPages() {
  std::vector<Change> changes;
  for (std::uint64_t i = 1; i <= 900; ++i) {
    const std::string name = "a name that takes some room in a page " + std::to_string(i * 7919);
    std::vector<Operation> operations = {
        PutInode{InodeId(i + 1), FileAttributes(BodyId(i + 1), i)},
        PutEntry{kRootInode, Entry{name, InodeId(i + 1), S_IFREG, i}},
        PutChunk{BodyId(i + 1), 0, {RestPiece(StripeId(i), 0, 4096, 0)}}};
    if (i % 100 == 0) {
      operations.push_back(PutXattr{InodeId(i), "user.long", std::string(30'000, 'x')});
    }
    changes.push_back(MakeChange(i, std::move(operations)));
  }
  std::vector<Operation> removals;
  for (std::uint64_t i = 1; i <= 700; ++i) {
    removals.push_back(RemoveEntry{
        kRootInode, "a name that takes some room in a page " + std::to_string(i * 7919)});
  }
  changes.push_back(MakeChange(901, std::move(removals)));
  return changes;
}

// Every answer is right or kCorrupt. True if something was found wrong.
bool AnswersNothingWrong(Catalog& catalog, const std::vector<Change>& changes,
                         std::uint64_t digest) {
  bool found = false;
  const auto computed = catalog.ComputeDigest();
  if (computed.ok()) {
    EXPECT_EQ(*computed, digest);
  } else {
    EXPECT_EQ(computed.error().code(), ErrorCode::kCorrupt) << computed.error().message();
    found = true;
  }
  for (std::uint64_t i = 1; i <= 900; i += 97) {
    const auto& put = std::get<PutEntry>(changes[i - 1].operations[1]);
    const auto name = catalog.NameOf(kRootInode, put.entry.inode, Lsn(900));
    if (!name.ok()) {
      EXPECT_EQ(name.error().code(), ErrorCode::kCorrupt) << name.error().message();
      found = true;
    } else if (!name->has_value() || **name != put.entry.name) {
      ADD_FAILURE() << "inode " << put.entry.inode.value << " has a wrong name";
    }
  }
  return found;
}

TEST(CatalogDamage, AFlippedBitInAnyPageIsFound) {
  const std::uint64_t seed = TestSeed();
  std::mt19937_64 random(seed);
  const std::vector<Change> changes = ManyPages();
  MemoryDisk pristine;
  std::uint64_t digest = 0;
  {
    auto disk = std::make_shared<MemoryDisk>();
    auto catalog = Catalog::Create(disk, TestIdentity(), {});
    ASSERT_TRUE(catalog.ok());
    ASSERT_TRUE((*catalog)->Apply(Pointers(changes, 0, changes.size())).ok());
    digest = *(*catalog)->ComputeDigest();
    catalog->reset();
    ASSERT_TRUE(WriteAtomically(pristine, kDatabase, *ReadWhole(*disk, kDatabase, 1 << 30)).ok());
  }
  const std::uint64_t pages =
      (*pristine.Open(kDatabase, OpenMode::kRead))->Size().value() / kCatalogPageBytes;
  ASSERT_GT(pages, 70u);
  std::uint64_t refused = 0;
  std::uint64_t found_reading = 0;
  // Every byte of the header, then a bit of each page.
  for (std::uint64_t i = 0; i < 100 + pages; ++i) {
    const std::uint64_t at =
        i < 100 ? i : (i - 100) * kCatalogPageBytes + random() % kCatalogPageBytes;
    SCOPED_TRACE("byte " + std::to_string(at) + " of page " +
                 std::to_string(at / kCatalogPageBytes + 1));
    const auto disk = Copy(pristine);
    ASSERT_TRUE(FlipBit(*disk, kDatabase, at, static_cast<int>(random() % 8)).ok());
    auto opened = Catalog::Open(disk, TestIdentity(), {});
    if (!opened.ok()) {
      EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt) << opened.error().message();
      ++refused;
      continue;
    }
    if (AnswersNothingWrong(**opened, changes, digest)) ++found_reading;
    const auto problems = (*opened)->CheckIntegrity();
    ASSERT_TRUE(problems.ok()) << problems.error().message();
    EXPECT_FALSE(problems->empty());
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GE(refused, 100u);
  EXPECT_GT(found_reading, pages / 2);
}

TEST(CatalogDamage, AnAbsentEndIsFound) {
  const std::vector<Change> changes = ManyPages();
  auto disk = std::make_shared<MemoryDisk>();
  auto catalog = Catalog::Create(disk, TestIdentity(), {});
  ASSERT_TRUE(catalog.ok());
  ASSERT_TRUE((*catalog)->Apply(Pointers(changes, 0, changes.size())).ok());
  catalog->reset();
  const std::uint64_t size = (*disk->Open(kDatabase, OpenMode::kRead))->Size().value();
  for (const std::uint64_t left :
       {size - 1, size - kCatalogPageBytes, size / 2, std::uint64_t{1}}) {
    const auto copy = Copy(*disk);
    ASSERT_TRUE(TruncateObject(*copy, kDatabase, left).ok());
    const auto opened = Catalog::Open(copy, TestIdentity(), {});
    if (opened.ok()) {
      EXPECT_FALSE((*opened)->CheckIntegrity()->empty()) << left;
    } else {
      EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt) << opened.error().message();
    }
  }
}

TEST(CatalogDamage, AMisplacedPageIsFound) {
  auto disk = std::make_shared<MemoryDisk>();
  const std::vector<Change> changes = ManyPages();
  auto catalog = Catalog::Create(disk, TestIdentity(), {});
  ASSERT_TRUE(catalog.ok());
  ASSERT_TRUE((*catalog)->Apply(Pointers(changes, 0, changes.size())).ok());
  catalog->reset();
  // A whole and valid page, where another belongs.
  auto file = std::move(*disk->Open(kDatabase, OpenMode::kReadWrite));
  ByteVector page(kCatalogPageBytes);
  ASSERT_TRUE(file->Read(20 * kCatalogPageBytes, page).ok());
  ASSERT_TRUE(file->Write(30 * kCatalogPageBytes, page).ok());
  catalog = Catalog::Open(disk, TestIdentity(), {});
  ASSERT_TRUE(catalog.ok());
  const auto problems = *(*catalog)->CheckIntegrity();
  ASSERT_FALSE(problems.empty());
  EXPECT_EQ(problems[0], "page 31 fails its checksum");
}

TEST(CatalogDamage, AFlippedBitInTheLogOfARunningCatalogIsFound) {
  std::mt19937_64 random(TestSeed());
  const std::vector<Change> changes = ManyPages();
  std::uint64_t found = 0;
  for (int round = 0; round < 16; ++round) {
    auto disk = std::make_shared<MemoryDisk>();
    auto catalog = Catalog::Create(disk, TestIdentity(), {});
    ASSERT_TRUE(catalog.ok());
    ASSERT_TRUE((*catalog)->Apply(Pointers(changes, 0, changes.size())).ok());
    const std::uint64_t digest = *(*catalog)->ComputeDigest();
    catalog->reset();
    catalog = Catalog::Open(disk, TestIdentity(), {});
    ASSERT_TRUE(catalog.ok());
    const std::vector<Change> more = {
        MakeChange(902, {PutXattr{InodeId(5), "user.long", std::string(300'000, 'y')}})};
    ASSERT_TRUE((*catalog)->Apply(Pointers(more, 0, 1)).ok());
    const std::uint64_t size = (*disk->Open(kLog, OpenMode::kRead))->Size().value();
    ASSERT_GT(size, 300'000u);
    ASSERT_TRUE(FlipBit(*disk, kLog, random() % size, 3).ok());
    const auto value = (*catalog)->GetXattr(InodeId(5), "user.long", kLsnNow);
    if (value.ok()) {
      EXPECT_EQ(**value, std::string(300'000, 'y'));
    } else {
      EXPECT_EQ(value.error().code(), ErrorCode::kCorrupt) << value.error().message();
      ++found;
    }
    // Nor may folding make truth of it.
    const auto folded = (*catalog)->FoldLog();
    if (!folded.ok()) {
      EXPECT_EQ(folded.error().code(), ErrorCode::kCorrupt);
    }
    const auto before = (*catalog)->Lookup(kRootInode, "x", kLsnNow);
    if (before.ok()) {
      EXPECT_FALSE(before->has_value());
    }
    EXPECT_NE(digest, 0u);
  }
  EXPECT_GT(found, 8u);
}

TEST(CatalogDamage, AFlippedBitInTheLogOfADeadCatalogLosesOnlyWhatCameAfter) {
  const std::uint64_t seed = TestSeed();
  RandomHistory history(seed);
  auto disk = std::make_shared<MemoryDisk>();
  auto catalog = Catalog::Create(disk, TestIdentity(), {});
  ASSERT_TRUE(catalog.ok());
  for (int i = 0; i < 60; ++i) {
    history.Next();
    ASSERT_TRUE(
        (*catalog)->Apply(Pointers(history.changes(), static_cast<std::size_t>(i), 1)).ok());
  }
  const std::uint64_t size = (*disk->Open(kLog, OpenMode::kRead))->Size().value();
  std::set<std::uint64_t> reached;
  for (int round = 0; round < 15; ++round) {
    const auto copy = Copy(*disk);
    ASSERT_TRUE(FlipBit(*copy, kLog, history.Pick(size), 5).ok());
    auto opened = Catalog::Open(copy, TestIdentity(), {});
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    const Lsn applied = (*opened)->applied_lsn();
    reached.insert(applied.value);
    ExpectState(**opened, kLsnNow, history.states()[applied.value]);
    EXPECT_EQ(*(*opened)->ComputeDigest(), DigestOf(history.changes(), applied.value));
    EXPECT_TRUE((*opened)->CheckIntegrity()->empty());
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(reached.size(), 3u);
}

TEST(CatalogDamage, ALogThatRotsWhileItIsHalfFoldedIsNeverReadAsAMixture) {
  RandomHistory history(TestSeed());
  for (int i = 0; i < 80; ++i) history.Next();
  std::uint64_t refused = 0;
  std::uint64_t taken = 0;
  for (std::uint64_t round = 0; round < 60; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    auto faults = std::make_shared<FaultController>();
    auto disk = std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(), faults);
    auto catalog = Catalog::Create(disk, TestIdentity(), {});
    ASSERT_TRUE(catalog.ok());
    for (std::size_t i = 0; i < 60; i += 4) {
      ASSERT_TRUE((*catalog)->Apply(Pointers(history.changes(), i, 4)).ok());
    }
    ASSERT_TRUE((*catalog)->FoldLog().ok());
    for (std::size_t i = 60; i < 80; ++i) {
      ASSERT_TRUE((*catalog)->Apply(Pointers(history.changes(), i, 1)).ok());
    }
    // The process dies somewhere in folding.
    faults->FailWrites(1 + round % 12);
    EXPECT_FALSE((*catalog)->FoldLog().ok());
    const auto copy = Copy(faults->base());
    faults->Heal();
    const std::uint64_t size = (*copy->Open(kLog, OpenMode::kRead))->Size().value();
    // Some rounds nothing rots.
    if (round % 5 != 0) {
      ASSERT_TRUE(FlipBit(*copy, kLog, history.Pick(size), 2).ok());
    }
    const auto opened = Catalog::Open(copy, TestIdentity(), {});
    if (!opened.ok()) {
      EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt) << opened.error().message();
      EXPECT_NE(round % 5, 0u) << opened.error().message();
      ++refused;
      continue;
    }
    ++taken;
    const Lsn applied = (*opened)->applied_lsn();
    // If not even the note was written nothing has been folded, and an earlier state is right.
    EXPECT_GE(applied, Lsn(60));
    EXPECT_EQ(*(*opened)->ComputeDigest(), DigestOf(history.changes(), applied.value));
    EXPECT_TRUE((*opened)->CheckIntegrity()->empty());
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(refused, 20u);
  EXPECT_GE(taken, 12u);
}

}  // namespace
}  // namespace varve
