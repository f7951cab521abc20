// What becomes of the catalog when its disk lies, fails or loses power.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>

#include "store/catalog/disk_vfs.h"
#include "tests/store/catalog/catalog_fixture.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"

namespace varve {
namespace {

const std::string kDatabase(kCatalogObject);
const std::string kLog = kDatabase + "-wal";

class CatalogFaultTest : public ::testing::Test {
 protected:
  // A catalog on a disk that fails as told, with 40 changes of a random history in it.
  void SetUp() override {
    auto disk = std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter_), faults_);
    auto created = Catalog::Create(disk, TestIdentity(), {});
    ASSERT_TRUE(created.ok()) << created.error().message();
    catalog_ = std::move(created).value();
    Apply(40);
  }
  void Apply(std::size_t count) {
    const std::size_t before = history_.changes().size();
    for (std::size_t i = 0; i < count; ++i) history_.Next();
    const auto applied = catalog_->Apply(Pointers(history_.changes(), before, count));
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }
  const ModelState& State(Lsn lsn) const { return history_.states().at(lsn.value); }

  const std::uint64_t seed_ = TestSeed();
  RandomHistory history_{seed_};
  std::shared_ptr<MemoryPlatter> platter_ = std::make_shared<MemoryPlatter>();
  std::shared_ptr<FaultController> faults_ = std::make_shared<FaultController>();
  std::unique_ptr<Catalog> catalog_;
};

std::uint64_t DigestOf(const std::vector<Change>& changes, std::size_t count) {
  auto catalog = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), {});
  EXPECT_TRUE(catalog.ok());
  EXPECT_TRUE((*catalog)->Apply(Pointers(changes, 0, count)).ok());
  return *(*catalog)->ComputeDigest();
}

// A disk as it would be found if the process died now.
std::shared_ptr<MemoryDisk> Copy(Disk& from) {
  auto to = std::make_shared<MemoryDisk>();
  const std::vector<std::string> names = *from.List("catalog/");
  for (const std::string& name : names) {
    EXPECT_TRUE(WriteAtomically(*to, name, *ReadWhole(from, name, 1ULL << 30)).ok());
  }
  return to;
}

TEST_F(CatalogFaultTest, ApplyIsAllOrNothingWhenAWriteFails) {
  const std::uint64_t digest = *catalog_->ComputeDigest();
  const auto orphans = *catalog_->Orphans();
  for (int i = 0; i < 20; ++i) history_.Next();
  const auto batch = Pointers(history_.changes(), 40, 20);
  int failures = 0;
  for (std::uint64_t after = 0;; ++after) {
    faults_->FailWrites(after);
    const auto applied = catalog_->Apply(batch);
    faults_->Heal();
    if (applied.ok()) break;
    ++failures;
    ASSERT_EQ(applied.error().code(), ErrorCode::kIo) << applied.error().message();
    ASSERT_EQ(catalog_->applied_lsn(), Lsn(40));
    ASSERT_EQ(*catalog_->ComputeDigest(), digest);
    ASSERT_EQ(*catalog_->Orphans(), orphans);
  }
  EXPECT_GT(failures, 5);
  EXPECT_EQ(catalog_->applied_lsn(), Lsn(60));
  ExpectState(*catalog_, kLsnNow, State(Lsn(60)));
  EXPECT_EQ(*catalog_->ComputeDigest(), DigestOf(history_.changes(), 60));
  EXPECT_TRUE(catalog_->CheckIntegrity()->empty());
}

TEST_F(CatalogFaultTest, AFullDiskIsNoSpaceAndPasses) {
  for (int i = 0; i < 20; ++i) history_.Next();
  const auto batch = Pointers(history_.changes(), 40, 20);
  faults_->FullAfter(20'000);
  const auto applied = catalog_->Apply(batch);
  ASSERT_FALSE(applied.ok());
  EXPECT_EQ(applied.error().code(), ErrorCode::kNoSpace) << applied.error().message();
  faults_->Heal();
  ASSERT_TRUE(catalog_->Apply(batch).ok());
  ExpectState(*catalog_, kLsnNow, State(Lsn(60)));
}

TEST_F(CatalogFaultTest, AFailingFoldLosesNothing) {
  for (std::uint64_t after = 0; after < 3; ++after) {
    faults_->FailSyncs(after);
    const auto folded = catalog_->FoldLog();
    faults_->Heal();
    if (after == 0) {
      ASSERT_FALSE(folded.ok());
      EXPECT_EQ(folded.error().code(), ErrorCode::kIo);
    }
    ExpectState(*catalog_, Lsn(33), State(Lsn(33)));
    Apply(5);
  }
  ASSERT_TRUE(catalog_->FoldLog().ok());
  ExpectState(*catalog_, kLsnNow, State(catalog_->applied_lsn()));
}

TEST_F(CatalogFaultTest, ALostDiskIsSaidAndTheCatalogCloses) {
  faults_->Lose();
  const auto inode = catalog_->GetInode(InodeId(1), kLsnNow);
  ASSERT_FALSE(inode.ok());
  EXPECT_EQ(inode.error().code(), ErrorCode::kIo) << inode.error().message();
  EXPECT_FALSE(catalog_->FoldLog().ok());
  for (int i = 0; i < 5; ++i) history_.Next();
  EXPECT_FALSE(catalog_->Apply(Pointers(history_.changes(), 40, 5)).ok());
  EXPECT_FALSE(catalog_->CheckIntegrity().ok());
  catalog_.reset();
  EXPECT_FALSE(
      Catalog::Open(std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter_),
                                                 std::make_shared<FaultController>()),
                    {TestIdentity().volume_uuid, 99}, {})
          .ok());
}

TEST_F(CatalogFaultTest, APowerCutLeavesAnEarlierStateWhole) {
  for (std::uint64_t round = 0; round < 25; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    auto platter = std::make_shared<MemoryPlatter>();
    auto faults = std::make_shared<FaultController>();
    auto created = Catalog::Create(
        std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter), faults), TestIdentity(),
        {});
    ASSERT_TRUE(created.ok());
    catalog_ = std::move(created).value();
    std::uint64_t operations_left = 1 + history_.Pick(120);
    std::atomic<bool> cut = false;
    faults->SetHook([&](DiskOperation operation, std::string_view) {
      const bool counts = operation == DiskOperation::kWrite || operation == DiskOperation::kSync ||
                          operation == DiskOperation::kTruncate;
      if (!counts || cut || --operations_left > 0) return;
      cut = true;
      platter->CutPower(seed_ + round);
    });
    Lsn acknowledged;
    Lsn attempted;
    Lsn folded;  // durable, for SQLite's log was synced
    while (!cut) {
      const std::size_t count = 1 + history_.Pick(12);
      while (history_.changes().size() < acknowledged.value + count) history_.Next();
      attempted = Lsn(acknowledged.value + count);
      if (catalog_->Apply(Pointers(history_.changes(), acknowledged.value, count)).ok() && !cut) {
        acknowledged = attempted;
      }
      if (!cut && history_.Pick(4) == 0 && catalog_->FoldLog().ok() && !cut) folded = acknowledged;
    }
    catalog_.reset();

    auto opened = Catalog::Open(std::make_shared<MemoryDisk>(platter), TestIdentity(), {});
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    const Lsn applied = (*opened)->applied_lsn();
    EXPECT_GE(applied, folded);
    EXPECT_LE(applied, attempted);
    ExpectState(**opened, kLsnNow, State(applied));
    EXPECT_EQ(*(*opened)->ComputeDigest(), DigestOf(history_.changes(), applied.value));
    EXPECT_EQ(*(*opened)->CheckIntegrity(), std::vector<std::string>());
    // It goes on from there.
    ASSERT_TRUE((*opened)->Apply(Pointers(history_.changes(), 0, attempted.value)).ok());
    EXPECT_EQ(*(*opened)->ComputeDigest(), DigestOf(history_.changes(), attempted.value));
    if (HasFailure()) return;
  }
}

TEST_F(CatalogFaultTest, APowerCutDuringCreationIsNeverMistakenForACatalog) {
  for (std::uint64_t round = 0; round < 40; ++round) {
    auto platter = std::make_shared<MemoryPlatter>();
    auto faults = std::make_shared<FaultController>();
    std::uint64_t operations_left = 1 + round;
    faults->SetHook([&](DiskOperation operation, std::string_view) {
      if (operation == DiskOperation::kRead || --operations_left > 0) return;
      operations_left = ~0ULL;
      platter->CutPower(seed_ + round);
    });
    const auto created = Catalog::Create(
        std::make_shared<FaultyDisk>(std::make_unique<MemoryDisk>(platter), faults), TestIdentity(),
        {});
    const auto opened =
        Catalog::Open(std::make_shared<MemoryDisk>(platter), TestIdentity(), {});
    if (created.ok()) {
      EXPECT_TRUE(opened.ok()) << opened.error().message();
    } else if (opened.ok()) {
      EXPECT_EQ((*opened)->applied_lsn(), Lsn(0));
      EXPECT_TRUE((*opened)->Apply(Pointers(history_.changes(), 0, 40)).ok());
      EXPECT_EQ(*(*opened)->ComputeDigest(), DigestOf(history_.changes(), 40));
    } else {
      EXPECT_TRUE(opened.error().code() == ErrorCode::kCorrupt ||
                  opened.error().code() == ErrorCode::kNotFound)
          << opened.error().message();
    }
  }
}

// Changes that fill pages of every class: leaves, inner pages and overflow pages of tables and of the
// index, and free pages.
std::vector<Change> ManyPages() {
  std::vector<Change> changes;
  for (std::uint64_t i = 1; i <= 1500; ++i) {
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
  for (std::uint64_t i = 1; i <= 1200; ++i) {
    removals.push_back(
        RemoveEntry{kRootInode, "a name that takes some room in a page " + std::to_string(i * 7919)});
  }
  changes.push_back(MakeChange(1501, std::move(removals)));
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
  for (std::uint64_t i = 1; i <= 1500; i += 97) {
    const auto& put = std::get<PutEntry>(changes[i - 1].operations[1]);
    const auto name = catalog.NameOf(kRootInode, put.entry.inode, Lsn(1500));
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
  const std::uint64_t pages = (*pristine.Open(kDatabase, OpenMode::kRead))->Size().value() /
                              kCatalogPageBytes;
  ASSERT_GT(pages, 80u);
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
  for (const std::uint64_t left : {size - 1, size - kCatalogPageBytes, size / 2, std::uint64_t{1}}) {
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
  for (int round = 0; round < 40; ++round) {
    auto disk = std::make_shared<MemoryDisk>();
    auto catalog = Catalog::Create(disk, TestIdentity(), {});
    ASSERT_TRUE(catalog.ok());
    ASSERT_TRUE((*catalog)->Apply(Pointers(changes, 0, changes.size())).ok());
    const std::uint64_t digest = *(*catalog)->ComputeDigest();
    catalog->reset();
    catalog = Catalog::Open(disk, TestIdentity(), {});
    ASSERT_TRUE(catalog.ok());
    const std::vector<Change> more = {
        MakeChange(1502, {PutXattr{InodeId(5), "user.long", std::string(300'000, 'y')}})};
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
  EXPECT_GT(found, 20u);
}

TEST(CatalogDamage, AFlippedBitInTheLogOfADeadCatalogLosesOnlyWhatCameAfter) {
  const std::uint64_t seed = TestSeed();
  RandomHistory history(seed);
  auto disk = std::make_shared<MemoryDisk>();
  auto catalog = Catalog::Create(disk, TestIdentity(), {});
  ASSERT_TRUE(catalog.ok());
  for (int i = 0; i < 60; ++i) {
    history.Next();
    ASSERT_TRUE((*catalog)->Apply(Pointers(history.changes(), static_cast<std::size_t>(i), 1)).ok());
  }
  const std::uint64_t size = (*disk->Open(kLog, OpenMode::kRead))->Size().value();
  std::set<std::uint64_t> reached;
  for (int round = 0; round < 30; ++round) {
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
  EXPECT_GT(reached.size(), 5u);
}

}  // namespace
}  // namespace varve
