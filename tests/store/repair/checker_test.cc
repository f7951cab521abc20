#include "store/repair/checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/store/repair/repair_fixture.h"

namespace varve {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Checker : public RepairTest {
 protected:
  void MakeVolume() {
    fixture_.FormatAndOpen();
    WriteVersions("alpha", 3);
    WriteVersions("beta", 2);
    ASSERT_TRUE(fixture_.Close().ok());
  }

  // The data stripes that hold extents of this version, by asking the catalog.
  static std::set<StripeId> StripesOf(Workbench& bench, InodeId inode, Lsn lsn) {
    std::set<StripeId> stripes;
    const auto attributes = bench.catalog().GetInode(inode, lsn);
    EXPECT_TRUE(attributes.ok() && attributes->has_value());
    const auto chunks = bench.catalog().Chunks((*attributes)->body, 0, 1000, lsn);
    EXPECT_TRUE(chunks.ok());
    for (const auto& [chunk, pieces] : *chunks) {
      for (const Piece& piece : pieces) stripes.insert(piece.extent.stripe);
    }
    return stripes;
  }

  static std::vector<std::string> Names(const std::vector<DamagedVersion>& versions) {
    std::vector<std::string> names;
    for (const DamagedVersion& version : versions) {
      names.push_back(version.path + "@" + std::to_string(version.lsn.value));
    }
    return names;
  }

  std::string NameOf(std::size_t version) const {
    return "/" + versions_.at(version).name + "@" + std::to_string(versions_.at(version).lsn.value);
  }
};

TEST_F(Checker, FindsNothingOnAHealthyVolume) {
  MakeVolume();
  const auto before = Segments();
  auto bench = Workbench::Open(fixture_);
  const CheckReport report = bench->Check({.depth = CheckDepth::kDeep});
  EXPECT_FALSE(report.HasErrors());
  EXPECT_EQ(report.bad_fragments, 0u);
  EXPECT_GT(report.fragments, 20u);
  EXPECT_GE(report.extents, 4 * 5u);
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_THAT(report.slots, IsEmpty());
  EXPECT_TRUE(bench->Plan(report).IsEmpty());
  EXPECT_TRUE(Segments() == before);
}

TEST_F(Checker, FindsAFlippedBitWhereverItIs) {
  MakeVolume();
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  ASSERT_FALSE(stripes.empty());
  const StripeLocation& location = stripes.front();
  const std::uint64_t last = location.stripe.fragment_bytes - 1;
  for (int column = 0; column < location.stripe.columns(); ++column) {
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{17}, std::uint64_t{127},
                                       std::uint64_t{128}, last / 2, last}) {
      SCOPED_TRACE(testing::Message() << "column " << column << " offset " << offset);
      FlipFragment(location, column, offset);
      const CheckReport report = Workbench::Open(fixture_)->Check();
      EXPECT_EQ(report.bad_fragments, 1u);
      EXPECT_TRUE(report.HasErrors());
      EXPECT_THAT(report.beyond, IsEmpty());
      EXPECT_EQ(report.mendable,
                (std::vector<BadStripe>{
                    {location.stripe.id, std::uint64_t{1} << column, std::uint64_t{1} << column}}));
      ASSERT_THAT(report.findings, SizeIs(1));
      EXPECT_EQ(report.findings[0].kind, FindingKind::kFragmentCorrupt);
      EXPECT_EQ(report.findings[0].disk, DiskOfColumn(location, column));
      EXPECT_EQ(report.findings[0].column, column);
      FlipFragment(location, column, offset);  // back
    }
  }
}

TEST_F(Checker, NamesTheFilesThatAreHurtButWhole) {
  MakeVolume();
  auto bench = Workbench::Open(fixture_);
  const auto inode = bench->catalog().Lookup(kRootInode, "beta", kLsnNow);
  ASSERT_TRUE(inode.ok() && inode->has_value());
  const auto stripes = StripesOf(*bench, (*inode)->inode, versions_[3].lsn);
  ASSERT_THAT(stripes, SizeIs(1));
  const auto location = bench->Locate(*stripes.begin());
  ASSERT_TRUE(location.ok());
  bench.reset();
  FlipFragment(**location, (*location)->stripe.data, 4000);  // the first parity column
  const CheckReport report = Workbench::Open(fixture_)->Check();
  EXPECT_EQ(Names(report.hurt), std::vector<std::string>{NameOf(3)});
  EXPECT_THAT(report.hurt[0].ToString(), HasSubstr("/beta@2023-11-14T22:13:"));
  EXPECT_THAT(report.lost, IsEmpty());
}

TEST_F(Checker, NamesExactlyTheVersionsThatAreLost) {
  fixture_.FormatAndOpen();
  WriteVersions("other", 1);
  auto file = CreateFile(fixture_.volume(), "alpha");
  ASSERT_TRUE(file.ok());
  const std::size_t first_version = versions_.size();
  Overwrite(*file, "alpha", RandomText(random_, 4 * kChunkBytes));  // all four chunks
  Overwrite(*file, "alpha", RandomText(random_, 4 * kChunkBytes));  // all four anew
  const std::string second = versions_.back().text;
  // The first chunk anew: the other three are still those of the second version.
  Overwrite(*file, "alpha", RandomText(random_, kChunkBytes) + second.substr(kChunkBytes));
  Overwrite(*file, "alpha", RandomText(random_, 4 * kChunkBytes));  // all four anew
  ASSERT_TRUE(fixture_.Close().ok());

  auto bench = Workbench::Open(fixture_);
  const auto stripes = StripesOf(*bench, file->inode, versions_[first_version + 1].lsn);
  ASSERT_THAT(stripes, SizeIs(1));
  const auto location = bench->Locate(*stripes.begin());
  bench.reset();
  for (int column = 0; column < 3; ++column) ZeroFragment(**location, column);

  bench = Workbench::Open(fixture_);
  const CheckReport report = bench->Check();
  ASSERT_THAT(report.beyond, SizeIs(1));
  const RepairPlan plan = bench->Plan(report);
  EXPECT_TRUE(plan.mends.empty());
  EXPECT_FALSE(plan.left.empty());
  // WriteFile lays every chunk of its text over the file, so the third version has its own extents.
  EXPECT_EQ(Names(report.lost), std::vector<std::string>{NameOf(first_version + 1)});

  // And that is so: everything else reads back.
  bench.reset();
  ASSERT_TRUE(fixture_.Open().ok());
  for (std::size_t i = 0; i < versions_.size(); ++i) {
    auto view = fixture_.volume().At(versions_[i].lsn);
    ASSERT_TRUE(view.ok());
    const bool same = ContentOf(*view, versions_[i].name) == versions_[i].text;
    EXPECT_EQ(same, i != first_version + 1) << NameOf(i);
  }
}

TEST_F(Checker, NamesLaterVersionsThatStillShowTheLostBytes) {
  fixture_.FormatAndOpen();
  auto file = CreateFile(fixture_.volume(), "alpha");
  ASSERT_TRUE(file.ok());
  Overwrite(*file, "alpha", RandomText(random_, 4 * kChunkBytes));
  const std::string first = versions_.back().text;
  // Only the first chunk is written; chunks 1 to 3 stay those of the first version.
  fixture_.clock().Advance(kNsPerSecond);
  Change change;
  change.kind = ChangeKind::kWrite;
  Piece piece;
  piece.length = kChunkBytes;
  const std::string text = RandomText(random_, kChunkBytes);
  piece.pending =
      std::make_shared<PendingExtent>(ByteVector(AsBytes(text).begin(), AsBytes(text).end()));
  change.operations.emplace_back(WriteChunk{file->body, 0, {std::move(piece)}});
  change.operations.emplace_back(
      PutInode{file->inode, FileAttributes(4 * kChunkBytes, file->body)});
  const auto lsn = fixture_.volume().Commit(std::move(change));
  ASSERT_TRUE(lsn.ok());
  ASSERT_TRUE(fixture_.volume().Sync(*lsn).ok());
  versions_.push_back({"alpha", *lsn, text + first.substr(kChunkBytes)});
  Overwrite(*file, "alpha", RandomText(random_, 4 * kChunkBytes));
  ASSERT_TRUE(fixture_.Close().ok());

  auto bench = Workbench::Open(fixture_);
  const auto chunk = bench->catalog().Chunks(file->body, 2, 2, versions_[0].lsn);
  ASSERT_TRUE(chunk.ok());
  ASSERT_THAT(*chunk, SizeIs(1));
  const ExtentRef lost = chunk->front().second.front().extent;
  const auto location = bench->Locate(lost.stripe);
  bench.reset();
  // The column of chunk 2 and the two parity columns: the other three columns stay readable.
  ZeroFragment(**location, lost.column);
  for (int column = 0, zeroed = 1; column < (*location)->stripe.columns() && zeroed < 3; ++column) {
    if (column < (*location)->stripe.data) continue;
    ZeroFragment(**location, column);
    ++zeroed;
  }
  const CheckReport report = Workbench::Open(fixture_)->Check();
  EXPECT_EQ(Names(report.lost), (std::vector<std::string>{NameOf(0), NameOf(1)}));
}

TEST_F(Checker, SaysWhatAMissingDiskMeans) {
  MakeVolume();
  auto bench = Workbench::Open(fixture_);
  const int catalog_slot = bench->disks().label().catalog_slot.value;
  bench.reset();
  const int slot = (catalog_slot + 1) % 6;
  fixture_.LoseDisk(slot);
  bench = Workbench::Open(fixture_);
  const CheckReport report = bench->Check();
  ASSERT_THAT(report.slots, SizeIs(1));
  EXPECT_EQ(report.slots[0].slot.value, slot);
  EXPECT_TRUE(report.slots[0].whole);
  EXPECT_GT(report.slots[0].bad_fragments, 0u);
  EXPECT_THAT(report.mendable, IsEmpty());
  EXPECT_THAT(report.lost, IsEmpty());
  EXPECT_THAT(report.hurt, IsEmpty());
  const RepairPlan plan = bench->Plan(report);
  EXPECT_TRUE(plan.IsEmpty());
  ASSERT_THAT(plan.left, SizeIs(1));
  EXPECT_EQ(plan.left[0].kind, FindingKind::kDiskMissing);
  EXPECT_THAT(plan.left[0].next_step, HasSubstr("--replace"));
}

TEST_F(Checker, TakesGarbageInSegmentFilesForDamage) {
  MakeVolume();
  std::mt19937_64 random(TestSeed(99));
  for (int round = 0; round < 10; ++round) {
    // Two disks full of garbage: lengths, headers and payloads alike.
    for (const std::size_t slot : {random() % 3, 3 + random() % 3}) {
      auto disks = fixture_.OpenDisks();
      const auto names = disks[slot]->List("segment/");
      ASSERT_TRUE(names.ok());
      for (const std::string& name : *names) {
        auto file = disks[slot]->Open(name, OpenMode::kReadWrite);
        ASSERT_TRUE(file.ok());
        const auto size = (*file)->Size();
        if (random() % 4 == 0) {
          ASSERT_TRUE((*file)->Truncate(random() % (*size + 1)).ok());
        }
        const std::string garbage = RandomText(random, 1 + random() % 60000);
        ASSERT_TRUE((*file)->Write(random() % (*size + 1), AsBytes(garbage)).ok());
      }
    }
    auto bench = Workbench::Open(fixture_);
    const CheckReport report = bench->Check();
    EXPECT_GT(report.bad_fragments, 0u);
    EXPECT_THAT(report.beyond, IsEmpty());
    const RepairOutcome outcome = bench->CarryOut(bench->Plan(report));
    EXPECT_EQ(outcome.fragments_written, report.bad_fragments);
    EXPECT_EQ(outcome.fragments_not_mended, 0u);
    EXPECT_FALSE(bench->Check().HasErrors());
  }
  ExpectAllVersionsReadable();
}

TEST_F(Checker, NotesOrphansAndLeavesThem) {
  MakeVolume();
  {
    auto disks = fixture_.OpenDisks();
    ASSERT_TRUE(
        WriteAtomically(*disks[2], SegmentObjectName(SegmentId(0x7777)), AsBytes("x")).ok());
  }
  auto bench = Workbench::Open(fixture_);
  const CheckReport report = bench->Check();
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].kind, FindingKind::kOrphanFile);
  EXPECT_EQ(report.findings[0].severity, Severity::kNote);
  EXPECT_FALSE(report.HasErrors());
  EXPECT_TRUE(bench->Plan(report).IsEmpty());
}

TEST_F(Checker, MissesNoObjectWhereNarrowStripesNeedNone) {
  fixture_.FormatAndOpen();
  WriteVersions("tiny", 1, 100);
  ASSERT_TRUE(fixture_.Close().ok());
  auto bench = Workbench::Open(fixture_);
  const auto stripes = bench->Stripes(StripeKind::kData);
  ASSERT_THAT(stripes, SizeIs(1));
  ASSERT_LT(stripes[0].stripe.columns(), 6);
  const CheckReport report = bench->Check();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_FALSE(report.HasErrors());
}

TEST_F(Checker, EndsSoonWhenItIsCancelled) {
  MakeVolume();
  auto bench = Workbench::Open(fixture_);
  std::atomic<bool> cancel{false};
  CheckOptions options;
  options.cancel = &cancel;
  options.progress = [&](const RepairProgress& progress) {
    if (progress.done_bytes > 0) cancel = true;
  };
  const CheckReport report = bench->Check(options);
  EXPECT_TRUE(report.cancelled);
  EXPECT_THAT(report.lost, IsEmpty());
}

TEST_F(Checker, KeepsFindingsWithinBoundsAndCountsTheRest) {
  MakeVolume();
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  for (const StripeLocation& location : stripes) FlipFragment(location, 1, 500);
  const CheckReport report = Workbench::Open(fixture_)->Check({.max_findings = 2});
  EXPECT_THAT(report.findings, SizeIs(2));
  EXPECT_EQ(report.findings_not_kept, stripes.size() - 2);
  EXPECT_EQ(report.mendable.size(), stripes.size());
}

}  // namespace
}  // namespace varve
