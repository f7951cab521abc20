// How rows are packed shows nowhere but in their size: attributes, commits that share rows, a
// catalog that was filled without a log.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "store/catalog/commit_row.h"
#include "store/catalog/disk_vfs.h"
#include "store/catalog/sqlite.h"
#include "tests/store/catalog/catalog_fixture.h"
#include "tests/support/memory_disk.h"

namespace varve {
namespace {

std::unique_ptr<Catalog> NewCatalog() {
  auto created = Catalog::Create(std::make_shared<MemoryDisk>(), TestIdentity(), {});
  EXPECT_TRUE(created.ok());
  return std::move(*created);
}

TEST(CatalogRows, AttributesOfEveryKindComeBack) {
  InodeAttributes plain = FileAttributes(BodyId(7), 4096);
  plain.atime_ns = plain.ctime_ns = plain.birth_ns = plain.mtime_ns;
  plain.uid = plain.gid = 0;
  std::vector<InodeAttributes> kinds{plain, InodeAttributes{}};
  InodeAttributes extreme = plain;
  extreme.mode = extreme.uid = extreme.gid = extreme.nlink =
      std::numeric_limits<std::uint32_t>::max();
  extreme.size = extreme.rdev = std::numeric_limits<std::uint64_t>::max();
  extreme.mtime_ns = std::numeric_limits<TimeNs>::min();
  extreme.atime_ns = extreme.birth_ns = std::numeric_limits<TimeNs>::max();
  extreme.ctime_ns = -1;
  extreme.sparse = true;
  extreme.body = BodyId(1ULL << 62);
  extreme.parent = InodeId(1ULL << 61);
  kinds.push_back(extreme);
  InodeAttributes link = plain;
  link.mode = S_IFLNK | 0777;
  link.target = std::string(4095, 'x');
  kinds.push_back(link);
  InodeAttributes group_only = plain;
  group_only.gid = 5;
  kinds.push_back(group_only);
  InodeAttributes device = plain;
  device.rdev = 259;
  kinds.push_back(device);

  const auto catalog = NewCatalog();
  std::vector<Change> changes;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    changes.push_back(MakeChange(i + 1, {PutInode{InodeId(10 + i), kinds[i]}}));
  }
  ASSERT_TRUE(catalog->Apply(Pointers(changes, 0, changes.size())).ok());
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto got = catalog->GetInode(InodeId(10 + i), kLsnNow);
    ASSERT_TRUE(got.ok()) << got.error().message();
    ASSERT_TRUE(got->has_value());
    EXPECT_EQ(**got, kinds[i]) << "kind " << i;
  }
}

// Commits with gaps in their numbers, so many that they fill several rows.
std::vector<Change> ManyCommits() {
  std::vector<Change> changes;
  for (std::uint64_t i = 0; i < 5 * kCommitsOfARow + 3; ++i) {
    changes.push_back(MakeChange(3 * i + 2, {RemoveInode{InodeId(1000 + i)}}));
    changes.back().time_ns = static_cast<TimeNs>(1'000'000 * (i / 2));
    changes.back().kind = i % 2 == 0 ? ChangeKind::kWrite : ChangeKind::kUnlink;
  }
  return changes;
}

std::vector<std::uint64_t> VisitCommits(Catalog& catalog, Lsn first, Lsn last,
                                        Catalog::Order order) {
  std::vector<std::uint64_t> seen;
  const Status visited = catalog.ForEachCommit(first, last, order, [&](const CommitRecord& c) {
    seen.push_back(c.lsn.value);
    EXPECT_EQ(c.inodes, std::vector{InodeId(1000 + (c.lsn.value - 2) / 3)});
    return Result<bool>(true);
  });
  EXPECT_TRUE(visited.ok()) << visited.error().message();
  return seen;
}

TEST(CatalogRows, CommitsAreFoundInWhateverRowTheyStand) {
  const auto catalog = NewCatalog();
  const std::vector<Change> changes = ManyCommits();
  ASSERT_TRUE(catalog->Apply(Pointers(changes, 0, changes.size())).ok());
  const std::uint64_t end = changes.back().lsn.value;
  for (std::uint64_t first = 0; first <= end + 1; first += 7) {
    for (const std::uint64_t last : {first, first + 1, first + 250, end, kLsnNow.value}) {
      std::vector<std::uint64_t> wanted;
      for (const Change& change : changes) {
        if (change.lsn >= Lsn(first) && change.lsn <= Lsn(last)) wanted.push_back(change.lsn.value);
      }
      EXPECT_EQ(VisitCommits(*catalog, Lsn(first), Lsn(last), Catalog::Order::kOldestFirst),
                wanted);
      std::reverse(wanted.begin(), wanted.end());
      EXPECT_EQ(VisitCommits(*catalog, Lsn(first), Lsn(last), Catalog::Order::kNewestFirst),
                wanted);
    }
  }
}

TEST(CatalogRows, MomentsAreFoundInWhateverRowTheyStand) {
  const auto catalog = NewCatalog();
  const std::vector<Change> changes = ManyCommits();
  ASSERT_TRUE(catalog->Apply(Pointers(changes, 0, changes.size())).ok());
  EXPECT_EQ(*catalog->TimeOf(Lsn(1)), std::nullopt);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    for (const std::uint64_t after : {0, 1, 2}) {
      EXPECT_EQ(*catalog->TimeOf(Lsn(changes[i].lsn.value + after)), changes[i].time_ns);
    }
    const std::size_t last_of_time = std::min(i | 1, changes.size() - 1);
    EXPECT_EQ(*catalog->LsnAt(changes[i].time_ns), changes[last_of_time].lsn);
  }
}

TEST(CatalogRows, RowsDoNotDependOnBatches) {
  const std::vector<Change> changes = ManyCommits();
  const auto whole = NewCatalog();
  ASSERT_TRUE(whole->Apply(Pointers(changes, 0, changes.size())).ok());
  const auto single = NewCatalog();
  for (std::size_t i = 0; i < changes.size(); ++i) {
    ASSERT_TRUE(single->Apply(Pointers(changes, i, 1)).ok());
  }
  EXPECT_EQ(*whole->ComputeDigest(), *single->ComputeDigest());
}

TEST(CatalogRows, ARowOfCommitsGoesOnWhereItEnded) {
  const ByteVector touched(3, std::byte{7});
  CommitRow grown;
  for (std::uint64_t i = 0; !grown.full(); ++i) {
    grown.Add({Lsn(100 + 2 * i), static_cast<TimeNs>(i * i), ChangeKind::kWrite, touched});
    auto again = CommitRow::Decode(grown.first(), grown.bytes());
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(again->full(), grown.full());
    grown = std::move(*again);
  }
  const auto commits = DecodeCommitRow(grown.first(), grown.bytes());
  ASSERT_TRUE(commits.ok());
  ASSERT_EQ(commits->size(), kCommitsOfARow);
  EXPECT_EQ(commits->back().lsn, Lsn(100 + 2 * (kCommitsOfARow - 1)));
  EXPECT_EQ(commits->front().touched.size(), 3u);
}

TEST(CatalogRows, ABrokenRowOfCommitsIsRefused) {
  CommitRow row;
  row.Add({Lsn(5), 77, ChangeKind::kCreate, {}});
  row.Add({Lsn(6), 78, ChangeKind::kWrite, {}});
  const ByteVector whole(row.bytes().begin(), row.bytes().end());
  const std::size_t first_bytes = whole.size() - 4;  // step, time, kind, length of the second
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto read = DecodeCommitRow(Lsn(5), ByteSpan(whole).first(length));
    EXPECT_EQ(read.ok(), length == first_bytes) << length;
  }
  ByteVector standing = whole;
  standing[first_bytes] = std::byte{0};  // the second with the number of the first
  EXPECT_EQ(DecodeCommitRow(Lsn(5), standing).error().code(), ErrorCode::kCorrupt);
  ByteVector unknown = whole;
  unknown[whole.size() - 2] = std::byte{200};
  EXPECT_EQ(DecodeCommitRow(Lsn(5), unknown).error().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(DecodeCommitRow(kLsnNow, whole).error().code(), ErrorCode::kCorrupt);
}

TEST(CatalogRows, AnotherVersionIsRefusedByName) {
  for (const auto& [version, code, words] :
       {std::tuple(2, ErrorCode::kCorrupt, "version 2"),
        std::tuple(99, ErrorCode::kUnsupported, "version 99")}) {
    auto disk = std::make_shared<MemoryDisk>();
    ASSERT_TRUE(Catalog::Create(disk, TestIdentity(), {}).ok());
    {
      const auto vfs = DiskVfs::Register(disk, kCatalogObject);
      ASSERT_TRUE(vfs.ok());
      const auto database = Database::Open(**vfs, kCatalogObject, OpenDatabase::kExisting);
      ASSERT_TRUE(database.ok());
      ASSERT_TRUE((*database)->Execute("PRAGMA user_version = " + std::to_string(version)).ok());
    }
    const auto opened = Catalog::Open(disk, TestIdentity(), {});
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code(), code);
    EXPECT_NE(opened.error().message().find(words), std::string::npos) << opened.error().message();
  }
}

TEST(CatalogRows, ACatalogFilledWithoutALogIsTheSame) {
  RandomHistory history(TestSeed());
  for (int i = 0; i < 300; ++i) history.Next();
  const std::vector<Change>& changes = history.changes();
  auto disk = std::make_shared<MemoryDisk>();
  {
    auto filled = Catalog::CreateToFill(disk, TestIdentity(), {});
    ASSERT_TRUE(filled.ok());
    for (std::size_t i = 0; i < changes.size(); i += 100) {
      ASSERT_TRUE((*filled)->Apply(Pointers(changes, i, 100)).ok());
    }
    ASSERT_TRUE((*filled)->FinishFilling().ok());
    EXPECT_EQ(*(*filled)->ComputeDigest(), DigestOf(changes, changes.size()));
  }
  const auto reopened = Catalog::Open(disk, TestIdentity(), {});
  ASSERT_TRUE(reopened.ok()) << reopened.error().message();
  EXPECT_EQ((*reopened)->applied_lsn(), changes.back().lsn);
  EXPECT_EQ(*(*reopened)->ComputeDigest(), DigestOf(changes, changes.size()));
  EXPECT_TRUE((*reopened)->CheckIntegrity()->empty());
}

TEST(CatalogRows, ACatalogLeftHalfFilledIsRefused) {
  RandomHistory history(TestSeed());
  for (int i = 0; i < 100; ++i) history.Next();
  auto disk = std::make_shared<MemoryDisk>();
  {
    auto filled = Catalog::CreateToFill(disk, TestIdentity(), {});
    ASSERT_TRUE(filled.ok());
    ASSERT_TRUE((*filled)->Apply(Pointers(history.changes(), 0, 100)).ok());
  }
  const auto opened = Catalog::Open(disk, TestIdentity(), {});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt) << opened.error().message();
}

}  // namespace
}  // namespace varve
