#include "store/catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/store/catalog/catalog_fixture.h"
#include "tests/support/memory_disk.h"

namespace varve {
namespace {

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto created = Catalog::Create(disk_, TestIdentity(), {});
    ASSERT_TRUE(created.ok()) << created.error().message();
    catalog_ = std::move(created).value();
  }
  void Apply(const std::vector<Change>& changes) {
    const auto applied = catalog_->Apply(Pointers(changes, 0, changes.size()));
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }
  void Reopen() {
    catalog_.reset();
    auto opened = Catalog::Open(disk_, TestIdentity(), {});
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    catalog_ = std::move(opened).value();
  }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, IsEmptyWhenNew) {
  EXPECT_EQ(catalog_->applied_lsn(), Lsn(0));
  EXPECT_EQ(catalog_->highest_id(), 0u);
  EXPECT_FALSE(catalog_->GetInode(kRootInode, kLsnNow)->has_value());
  EXPECT_EQ(*catalog_->LsnAt(1'000'000), Lsn(0));
  EXPECT_FALSE(catalog_->TimeOf(kLsnNow)->has_value());
  EXPECT_TRUE(catalog_->List(kRootInode, 0, 10)->empty());
  EXPECT_TRUE(catalog_->Apply({}).ok());
}

TEST_F(CatalogTest, LeavesOneObjectWhenClosed) {
  Apply({MakeChange(1, {PutInode{kRootInode, FileAttributes(BodyId(2), 3)}})});
  catalog_.reset();
  EXPECT_EQ(*disk_->List("catalog/"), std::vector<std::string>{std::string(kCatalogObject)});
}

TEST_F(CatalogTest, RefusesAnotherVolumeAndAnotherGeneration) {
  catalog_.reset();
  CatalogIdentity other = TestIdentity();
  other.generation = 4;
  auto opened = Catalog::Open(disk_, other, {});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), ErrorCode::kStale);
  other = TestIdentity();
  other.volume_uuid = Uuid::Random();
  opened = Catalog::Open(disk_, other, {});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), ErrorCode::kStale);
  EXPECT_NE(opened.error().message().find(other.volume_uuid.ToString()), std::string::npos);
}

TEST_F(CatalogTest, SaysNotFoundWhenThereIsNoneAndCorruptWhenItIsNoDatabase) {
  auto none = Catalog::Open(std::make_shared<MemoryDisk>(), TestIdentity(), {});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ErrorCode::kNotFound);
  for (const std::size_t size_bytes : {0u, 10u, 8192u, 100'000u}) {
    auto disk = std::make_shared<MemoryDisk>();
    ASSERT_TRUE(WriteAtomically(*disk, kCatalogObject, ByteVector(size_bytes, std::byte{7})).ok());
    const auto opened = Catalog::Open(disk, TestIdentity(), {});
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code(), ErrorCode::kCorrupt) << opened.error().message();
  }
}

TEST_F(CatalogTest, CreateReplacesWhatWasThere) {
  Apply({MakeChange(1, {PutInode{kRootInode, FileAttributes(BodyId(2), 3)}})});
  catalog_.reset();
  SetUp();
  EXPECT_EQ(catalog_->applied_lsn(), Lsn(0));
  EXPECT_FALSE(catalog_->GetInode(kRootInode, kLsnNow)->has_value());
}

TEST_F(CatalogTest, KeepsProgressOverReopening) {
  Apply({MakeChange(1, {PutInode{InodeId(40), FileAttributes(BodyId(41), 3)}}),
         MakeChange(2, {PutEntry{kRootInode, Entry{"a", InodeId(40), 0100000, 77}}})});
  Reopen();
  EXPECT_EQ(catalog_->applied_lsn(), Lsn(2));
  EXPECT_EQ(catalog_->applied_time_ns(), 2000);
  EXPECT_EQ(catalog_->highest_id(), 77u);
}

TEST_F(CatalogTest, SkipsWhatItHasAppliedAndRefusesDisorder) {
  const std::vector<Change> changes = {
      MakeChange(1, {PutInode{kRootInode, FileAttributes(BodyId(2), 1)}}),
      MakeChange(2, {PutInode{kRootInode, FileAttributes(BodyId(2), 2)}}),
  };
  Apply(changes);
  const auto digest = *catalog_->ComputeDigest();
  Apply(changes);
  EXPECT_EQ(*catalog_->ComputeDigest(), digest);

  const std::vector<Change> disorder = {
      MakeChange(4, {PutInode{kRootInode, FileAttributes(BodyId(2), 4)}}),
      MakeChange(3, {PutInode{kRootInode, FileAttributes(BodyId(2), 3)}}),
  };
  const auto applied = catalog_->Apply(Pointers(disorder, 0, 2));
  ASSERT_FALSE(applied.ok());
  EXPECT_EQ(applied.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(catalog_->applied_lsn(), Lsn(2));
  EXPECT_EQ(*catalog_->ComputeDigest(), digest);
}

TEST_F(CatalogTest, RefusesNumbersThatItCannotKeep) {
  const std::vector<Change> changes = {
      MakeChange(1, {PutInode{InodeId(~0ULL), FileAttributes(BodyId(2), 1)}})};
  EXPECT_FALSE(catalog_->Apply(Pointers(changes, 0, 1)).ok());
  EXPECT_EQ(catalog_->applied_lsn(), Lsn(0));
}

TEST_F(CatalogTest, KeepsSizesBitForBit) {
  InodeAttributes attributes = FileAttributes(BodyId(2), ~0ULL - 5);
  attributes.rdev = 1ULL << 63;
  attributes.target = std::string(4095, 't');
  Apply({MakeChange(1, {PutInode{kRootInode, attributes}})});
  EXPECT_EQ(**catalog_->GetInode(kRootInode, kLsnNow), attributes);
}

TEST_F(CatalogTest, FindsTheLastChangeAtATime) {
  // Times 10, 10, 20, 40 at LSNs 3, 4, 5, 9.
  std::vector<Change> changes;
  for (const auto& [lsn, time] : {std::pair{3, 10}, {4, 10}, {5, 20}, {9, 40}}) {
    changes.push_back(MakeChange(static_cast<std::uint64_t>(lsn), {}));
    changes.back().time_ns = time;
  }
  Apply(changes);
  for (const auto& [time, lsn] : {std::pair{-1, 0},
                                  {0, 0},
                                  {9, 0},
                                  {10, 4},
                                  {11, 4},
                                  {19, 4},
                                  {20, 5},
                                  {39, 5},
                                  {40, 9},
                                  {1'000'000, 9}}) {
    EXPECT_EQ(*catalog_->LsnAt(time), Lsn(static_cast<std::uint64_t>(lsn))) << "at " << time;
  }
  EXPECT_FALSE(catalog_->TimeOf(Lsn(2))->has_value());
  EXPECT_EQ(**catalog_->TimeOf(Lsn(3)), 10);
  EXPECT_EQ(**catalog_->TimeOf(Lsn(8)), 20);
  EXPECT_EQ(**catalog_->TimeOf(kLsnNow), 40);
}

TEST_F(CatalogTest, EntriesMayExchangeTheirCookies) {
  Apply({MakeChange(1, {PutEntry{kRootInode, Entry{"a", InodeId(5), 0100000, 11}},
                        PutEntry{kRootInode, Entry{"b", InodeId(6), 0100000, 12}}})});
  Apply({MakeChange(2, {PutEntry{kRootInode, Entry{"a", InodeId(6), 0100000, 12}},
                        PutEntry{kRootInode, Entry{"b", InodeId(5), 0100000, 11}}})});
  const auto listed = *catalog_->List(kRootInode, 0, 10);
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0], (Entry{"b", InodeId(5), 0100000, 11}));
  EXPECT_EQ(listed[1], (Entry{"a", InodeId(6), 0100000, 12}));
  EXPECT_THAT(*catalog_->ListThen(kRootInode, "", 10, Lsn(2)),
              testing::ElementsAre(listed[1], listed[0]));
  EXPECT_TRUE(catalog_->CheckIntegrity()->empty());
}

TEST_F(CatalogTest, KnowsStripesSegmentsAndOwnersOfBodies) {
  const SegmentId seven(7);
  const SegmentDescriptor segment{seven, {DiskIndex(0), DiskIndex(2), DiskIndex(1)}};
  Apply({MakeChange(1, {PutSegment{segment}, PutStripe{TestStripe(StripeId(seven, 1))},
                        PutStripe{TestStripe(StripeId(seven, 0))},
                        PutStripe{TestStripe(StripeId(SegmentId(8), 0))}}),
         MakeChange(2, {PutInode{InodeId(5), FileAttributes(BodyId(9), 1)}}),
         MakeChange(3, {PutInode{InodeId(5), FileAttributes(BodyId(9), 2)},
                        PutInode{InodeId(6), FileAttributes(BodyId(9), 2)}})});
  EXPECT_EQ(**catalog_->GetSegment(seven), segment);
  EXPECT_FALSE(catalog_->GetSegment(SegmentId(1))->has_value());
  EXPECT_EQ(catalog_->ListSegments()->size(), 1u);
  EXPECT_EQ(**catalog_->GetStripe(StripeId(seven, 1)), TestStripe(StripeId(seven, 1)));
  EXPECT_FALSE(catalog_->GetStripe(StripeId(seven, 2))->has_value());
  const auto stripes = *catalog_->ListStripes(seven);
  ASSERT_EQ(stripes.size(), 2u);
  EXPECT_EQ(stripes[0].id, StripeId(seven, 0));
  const std::vector<std::pair<InodeId, Lsn>> owners = {{InodeId(5), Lsn(2)}, {InodeId(6), Lsn(3)}};
  EXPECT_EQ(*catalog_->InodesOfBody(BodyId(9)), owners);

  const auto totals = *catalog_->ComputeTotals();
  EXPECT_EQ(totals.inodes, 2u);
  EXPECT_EQ(totals.versions, 3u);
  EXPECT_EQ(totals.logical_bytes, 4u);
  EXPECT_EQ(totals.stripe_bytes, 3u * 3u * 8u * kFragmentAlign);
}

TEST_F(CatalogTest, SnapshotsComeAndGo) {
  Apply({MakeChange(1, {PutSnapshot{"later", Lsn(9), 90}, PutSnapshot{"early", Lsn(2), 20}})});
  auto snapshots = *catalog_->Snapshots();
  ASSERT_EQ(snapshots.size(), 2u);
  EXPECT_EQ(snapshots[0].name, "early");
  EXPECT_EQ(snapshots[0].lsn, Lsn(2));
  EXPECT_EQ(snapshots[0].time_ns, 20);
  Apply({MakeChange(2, {RemoveSnapshot{"early"}})});
  snapshots = *catalog_->Snapshots();
  ASSERT_EQ(snapshots.size(), 1u);
  EXPECT_EQ(snapshots[0].name, "later");
}

TEST_F(CatalogTest, VisitsEveryStateOfEveryChunk) {
  std::vector<Change> changes;
  for (std::uint64_t i = 1; i <= 1300; ++i) {
    changes.push_back(
        MakeChange(i, {PutChunk{BodyId(1 + i % 3), i % 5, {RestPiece(StripeId(i), 0, 4096, 0)}}}));
  }
  changes.push_back(MakeChange(1301, {CutChunks{BodyId(1), 0}}));
  Apply(changes);
  std::uint64_t seen = 0;
  const auto visited = catalog_->ForEachChunk([&](const Catalog::ExtentUse& use) -> Status {
    ++seen;
    EXPECT_EQ(use.pieces.at(0).extent.stripe, StripeId(use.from.value));
    EXPECT_EQ(use.body, BodyId(1 + use.from.value % 3));
    return {};
  });
  ASSERT_TRUE(visited.ok()) << visited.error().message();
  EXPECT_EQ(seen, 1300u);
  EXPECT_FALSE(catalog_
                   ->ForEachChunk([](const Catalog::ExtentUse&) -> Status {
                     return Error(ErrorCode::kCancelled, "enough");
                   })
                   .ok());
}

TEST_F(CatalogTest, ReadsAnOldMomentOfAChunkWithALongHistory) {
  std::vector<Change> changes;
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    changes.push_back(
        MakeChange(i, {PutChunk{BodyId(1), i % 3, {RestPiece(StripeId(i), 0, 4096, 0)}}}));
  }
  Apply(changes);
  for (const std::uint64_t at : {1ull, 2ull, 3ull, 50ull, 1500ull, 2999ull, 3000ull}) {
    const auto chunks = *catalog_->Chunks(BodyId(1), 0, 100, Lsn(at));
    ASSERT_EQ(chunks.size(), std::min<std::size_t>(at, 3));
    for (const auto& [chunk, pieces] : chunks) {
      const std::uint64_t last = at - (at % 3 + 3 - chunk) % 3;
      EXPECT_EQ(pieces.at(0).extent.stripe, StripeId(last));
    }
  }
}

TEST_F(CatalogTest, PagesThroughALargePastListing) {
  std::vector<Change> changes;
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    changes.push_back(MakeChange(
        i, {PutEntry{kRootInode, Entry{"f" + std::to_string(i), InodeId(i + 1), 0100000, i}}}));
  }
  changes.push_back(MakeChange(1001, {RemoveEntry{kRootInode, "f500"}}));
  Apply(changes);
  std::set<Cookie> cookies;
  for (std::string after;;) {
    const auto page = *catalog_->ListThen(kRootInode, after, 64, Lsn(800));
    for (const Entry& entry : page) {
      EXPECT_GT(entry.name, after);
      after = entry.name;
      EXPECT_TRUE(cookies.insert(entry.cookie).second) << entry.name;
    }
    if (page.size() < 64) break;
  }
  EXPECT_EQ(cookies.size(), 800u);
  EXPECT_EQ(*cookies.rbegin(), 800u);
  EXPECT_EQ(catalog_->List(kRootInode, 0, 5000)->size(), 999u);
}

TEST_F(CatalogTest, ListsThePastOfNamesWithALongHistory) {
  std::vector<Change> changes;
  for (std::uint64_t i = 1; i <= 300; ++i) {
    const std::string name(1, static_cast<char>('a' + i % 3));
    changes.push_back(
        i % 7 == 0
            ? MakeChange(i, {RemoveEntry{kRootInode, name}})
            : MakeChange(i, {PutEntry{kRootInode, Entry{name, InodeId(i + 1), 0100000, i}}}));
  }
  Apply(changes);
  for (std::uint64_t at = 1; at <= 300; ++at) {
    std::vector<Entry> expected;
    for (const char* name : {"a", "b", "c"}) {
      auto entry = *catalog_->Lookup(kRootInode, name, Lsn(at));
      if (entry) expected.push_back(*std::move(entry));
    }
    EXPECT_EQ(*catalog_->ListThen(kRootInode, "", 10, Lsn(at)), expected) << "@" << at;
    if (expected.size() < 2) continue;
    EXPECT_EQ(*catalog_->ListThen(kRootInode, "", 1, Lsn(at)), std::vector{expected[0]});
    EXPECT_EQ(*catalog_->ListThen(kRootInode, expected[0].name, 1, Lsn(at)),
              std::vector{expected[1]});
  }
}

TEST_F(CatalogTest, KnowsAllNamesOfAnInodeAsOfAMoment) {
  const InodeId file(5), d(6), e(7);
  const auto link = [&](InodeId parent, const std::string& name, Cookie cookie) {
    return PutEntry{parent, Entry{name, file, 0100000, cookie}};
  };
  Apply({MakeChange(1, {link(d, "a", 1)}), MakeChange(2, {link(e, "b", 2)}),
         MakeChange(3, {link(d, "c", 3)}), MakeChange(4, {RemoveEntry{d, "a"}}),
         MakeChange(5, {RemoveEntry{e, "b"}, RemoveEntry{d, "c"}}),
         MakeChange(6, {link(d, "a", 4), PutEntry{d, Entry{"c", InodeId(8), 0100000, 5}}})});
  using Links = std::vector<Catalog::Link>;
  EXPECT_EQ(*catalog_->LinksOf(file, Lsn(1)), (Links{{d, "a"}}));
  EXPECT_EQ(*catalog_->LinksOf(file, Lsn(3)), (Links{{d, "c"}, {e, "b"}, {d, "a"}}));
  EXPECT_EQ(*catalog_->LinksOf(file, Lsn(4)), (Links{{d, "c"}, {e, "b"}}));
  EXPECT_EQ(*catalog_->LinksOf(file, Lsn(5)), Links{});
  EXPECT_EQ(*catalog_->LinksOf(file, kLsnNow), (Links{{d, "a"}}));
  EXPECT_EQ(**catalog_->LinkOf(file, e, Lsn(3)), (Catalog::Link{e, "b"}));
  EXPECT_EQ(**catalog_->LinkOf(file, e, kLsnNow), (Catalog::Link{d, "a"}));
  EXPECT_EQ(**catalog_->LinkOf(file, InodeId{}, Lsn(4)), (Catalog::Link{d, "c"}));
  EXPECT_FALSE(catalog_->LinkOf(file, d, Lsn(5))->has_value());
}

}  // namespace
}  // namespace varve
