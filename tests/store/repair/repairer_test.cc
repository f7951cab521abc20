#include "store/repair/repairer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/store/repair/repair_fixture.h"

namespace varve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Repairing : public RepairTest {
 protected:
  void MakeVolume() {
    fixture_.FormatAndOpen();
    WriteVersions("alpha", 3);
    WriteVersions("beta", 5, 10 * kChunkBytes);
    ASSERT_TRUE(fixture_.Close().ok());
    catalog_slot_ = Workbench::Open(fixture_)->disks().label().catalog_slot.value;
  }

  // A slot `steps` after that of the catalog.
  int Beside(int steps) const { return (catalog_slot_ + steps) % 6; }

  // A volume that has lost `slot` and gone on.
  void GoOnWithout(int slot) {
    fixture_.LoseDisk(slot);
    ASSERT_TRUE(fixture_.Open().ok());
    WriteVersions("gamma", 2);
    ASSERT_TRUE(fixture_.Close().ok());
  }

  // The bench with a fresh disk in place of `slot`, over `platter`.
  std::unique_ptr<Workbench> ReplaceDisk(int slot, const std::shared_ptr<MemoryPlatter>& platter) {
    auto bench = Workbench::Open(fixture_);
    const Status replaced = bench->disks().Replace(DiskIndex(static_cast<std::uint8_t>(slot)),
                                                   std::make_unique<MemoryDisk>(platter));
    EXPECT_TRUE(replaced.ok()) << replaced.error().message();
    return bench;
  }

  static std::unique_ptr<Workbench> OpenWith(VolumeFixture& fixture,
                                             const std::shared_ptr<MemoryPlatter>& platter) {
    auto disks = fixture.OpenDisks();
    disks.push_back(std::make_unique<MemoryDisk>(platter));
    auto set = DiskSet::Assemble(std::move(disks));
    EXPECT_TRUE(set.ok()) << set.error().message();
    return set.ok() ? Workbench::Over(*std::move(set)) : nullptr;
  }

  int catalog_slot_ = 0;
};

TEST_F(Repairing, MendsEveryBadFragmentToTheVeryBytesItHad) {
  MakeVolume();
  const auto before = Segments();
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  for (std::size_t i = 0; i < stripes.size(); ++i) {
    const int columns = stripes[i].stripe.columns();
    const int first = static_cast<int>(i) % columns;
    FlipFragment(stripes[i], first, 9);
    ZeroFragment(stripes[i], (first + 1) % columns);
  }
  auto bench = Workbench::Open(fixture_);
  const RepairOutcome outcome = bench->CheckAndMend();
  EXPECT_EQ(outcome.fragments_written, 2 * stripes.size());
  EXPECT_EQ(outcome.fragments_not_mended, 0u);
  EXPECT_TRUE(Segments() == before);
  EXPECT_FALSE(bench->Check({.depth = CheckDepth::kDeep}).HasErrors());
}

TEST_F(Repairing, WritesNothingTheSecondTime) {
  MakeVolume();
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  FlipFragment(stripes[0], 0, 200);
  FlipFragment(stripes[1], 5, 200);
  auto bench = Workbench::Open(fixture_);
  const RepairPlan plan = bench->Plan(bench->Check());
  EXPECT_THAT(plan.mends, SizeIs(2));
  EXPECT_THAT(plan.Lines(), ElementsAre(testing::StartsWith("write 2 bad fragments anew")));
  EXPECT_EQ(bench->CarryOut(plan).fragments_written, 2u);
  std::uint64_t written = 0;
  for (int slot = 0; slot < 6; ++slot) written += fixture_.faults(slot).bytes_written();
  const RepairOutcome again = bench->CarryOut(plan);
  EXPECT_EQ(again.fragments_written, 0u);
  EXPECT_EQ(again.fragments_already_good, 2u);
  for (int slot = 0; slot < 6; ++slot) written -= fixture_.faults(slot).bytes_written();
  EXPECT_EQ(written, 0u);
}

TEST_F(Repairing, MendsASegmentFileThatIsGone) {
  MakeVolume();
  const auto before = Segments();
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  {
    auto disks = fixture_.OpenDisks();
    ASSERT_TRUE(disks[3]->Remove(SegmentObjectName(stripes[0].segment.id)).ok());
  }
  auto bench = Workbench::Open(fixture_);
  EXPECT_GT(bench->CheckAndMend().fragments_written, 0u);
  bench.reset();
  for (int slot = 0; slot < 6; ++slot) fixture_.platter(slot).CutPower(5);
  EXPECT_TRUE(Segments() == before);
}

TEST_F(Repairing, LeavesAStripeAloneThatHasLostMoreThanParity) {
  MakeVolume();
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  for (int column = 0; column < 3; ++column) FlipFragment(stripes[0], column, 300);
  FlipFragment(stripes[1], 0, 300);
  const auto before = Segments();
  auto bench = Workbench::Open(fixture_);
  RepairPlan plan = bench->Plan(bench->Check());
  EXPECT_THAT(plan.mends, SizeIs(1));
  plan.mends = {{stripes[0].stripe.id, 7, 7}};  // even when it is told to
  const RepairOutcome outcome = bench->CarryOut(plan);
  EXPECT_EQ(outcome.fragments_written, 0u);
  EXPECT_EQ(outcome.fragments_not_mended, 3u);
  EXPECT_THAT(outcome.findings, SizeIs(1));
  EXPECT_TRUE(Segments() == before);
}

TEST_F(Repairing, RebuildsAFreshDiskSoThatTwoOthersMayBeLost) {
  MakeVolume();
  const int lost = Beside(1);
  GoOnWithout(lost);
  const auto platter = MakeMemoryPlatters(1).front();
  auto bench = ReplaceDisk(lost, platter);
  const CheckReport report = bench->Check();
  EXPECT_THAT(report.findings, IsEmpty()) << report.findings[0].what;
  EXPECT_TRUE(report.HasErrors());
  const RepairPlan plan = bench->Plan(report);
  ASSERT_THAT(plan.rebuilds, SizeIs(1));
  EXPECT_EQ(plan.rebuilds[0].fragments, report.bad_fragments);
  EXPECT_EQ(plan.mend_fragments, 0u);
  const RepairOutcome outcome = bench->CarryOut(plan);
  EXPECT_EQ(outcome.fragments_written, report.bad_fragments);
  EXPECT_THAT(outcome.rebuilt, ElementsAre(DiskIndex(static_cast<std::uint8_t>(lost))));
  EXPECT_EQ(bench->disks().label().slots[static_cast<std::size_t>(lost)].state, SlotState::kActive);
  EXPECT_FALSE(bench->Check().HasErrors());
  bench.reset();

  platter->CutPower(7);  // what was declared whole is durable
  fixture_.LoseDisk(Beside(2));
  fixture_.LoseDisk(Beside(3));
  auto disks = fixture_.OpenDisks();
  disks.push_back(std::make_unique<MemoryDisk>(platter));
  auto set = DiskSet::Assemble(std::move(disks));
  ASSERT_TRUE(set.ok()) << set.error().message();
  auto volume = Volume::Open(*std::move(set), fixture_.options());
  ASSERT_TRUE(volume.ok()) << volume.error().message();
  for (const Version& version : versions_) {
    auto view = (*volume)->At(version.lsn);
    ASSERT_TRUE(view.ok());
    EXPECT_TRUE(ContentOf(*view, version.name) == version.text) << version.name;
  }
}

TEST_F(Repairing, WalksTheWholeDiskWhenThePlanSaysSo) {
  MakeVolume();
  const int lost = Beside(1);
  GoOnWithout(lost);
  const auto platter = MakeMemoryPlatters(1).front();
  auto bench = ReplaceDisk(lost, platter);
  RepairPlan plan = bench->Plan(bench->Check());
  ASSERT_THAT(plan.rebuilds, SizeIs(1));
  plan.rebuilds[0].scope = RepairPlan::Rebuild::Scope::kEverything;
  plan.mends.clear();
  EXPECT_EQ(bench->CarryOut(plan).fragments_written, plan.rebuilds[0].fragments);
  EXPECT_FALSE(bench->Check().HasErrors());
}

TEST_F(Repairing, GoesOnWhereItWasInterrupted) {
  MakeVolume();
  const int lost = Beside(1);
  GoOnWithout(lost);
  const auto platter = MakeMemoryPlatters(1).front();
  auto bench = ReplaceDisk(lost, platter);
  std::atomic<bool> cancel{false};
  RepairOptions options;
  options.memory_bytes = 1;  // one stripe at a time
  options.cancel = &cancel;
  options.progress = [&](const RepairProgress& progress) {
    if (progress.done_bytes > 0) cancel = true;
  };
  const CheckReport report = bench->Check();
  const RepairOutcome first = bench->CarryOut(bench->Plan(report), options);
  EXPECT_TRUE(first.cancelled);
  EXPECT_GT(first.fragments_written, 0u);
  EXPECT_LT(first.fragments_written, report.bad_fragments);
  EXPECT_THAT(first.rebuilt, IsEmpty());
  EXPECT_EQ(bench->disks().label().slots[static_cast<std::size_t>(lost)].state,
            SlotState::kRebuilding);
  bench.reset();

  bench = OpenWith(fixture_, platter);
  const RepairOutcome second = bench->CheckAndMend();
  EXPECT_EQ(second.fragments_written + first.fragments_written, report.bad_fragments);
  EXPECT_THAT(second.rebuilt, SizeIs(1));
  EXPECT_FALSE(bench->Check().HasErrors());
}

TEST_F(Repairing, SurvivesPowerCutsAtAnyMoment) {
  MakeVolume();
  const int lost = Beside(1);
  GoOnWithout(lost);
  const std::uint64_t seed = TestSeed(4711);
  const auto platter = MakeMemoryPlatters(1).front();
  ReplaceDisk(lost, platter).reset();
  for (std::uint64_t round = 0; round < 6; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    auto bench = OpenWith(fixture_, platter);
    ASSERT_NE(bench, nullptr);
    std::atomic<bool> cancel{false};
    RepairOptions options;
    options.memory_bytes = 1;
    options.cancel = &cancel;
    std::uint64_t steps = 0;
    options.progress = [&](const RepairProgress&) {
      if (++steps == 2 + round) {
        platter->CutPower(seed + round);
        cancel = true;
      }
    };
    bench->CarryOut(bench->Plan(bench->Check()), options);
  }
  auto bench = OpenWith(fixture_, platter);
  bench->CheckAndMend();
  EXPECT_FALSE(bench->Check().HasErrors());
}

TEST_F(Repairing, TakesBackAStaleDiskAndWritesOnlyWhatIsWrong) {
  MakeVolume();
  const int away = Beside(2);
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  // Not there for a while: the disk is as it was, the others go on.
  {
    auto disks = fixture_.OpenDisks();
    disks.erase(disks.begin() + away);
    auto set = DiskSet::Assemble(std::move(disks));
    ASSERT_TRUE(set.ok());
    auto volume = Volume::Open(*std::move(set), fixture_.options());
    ASSERT_TRUE(volume.ok()) << volume.error().message();
    auto file = CreateFile(**volume, "while-away");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(WriteFile(**volume, *file, RandomText(random_, 5 * kChunkBytes)).ok());
    ASSERT_TRUE((*volume)->Close().ok());
  }
  int column_there = -1;  // and one bit on it has gone bad meanwhile
  for (int column = 0; column < stripes[0].stripe.columns(); ++column) {
    if (DiskOfColumn(stripes[0], column).value == away) column_there = column;
  }
  ASSERT_GE(column_there, 0);
  FlipFragment(stripes[0], column_there, 1000);

  auto bench = Workbench::Open(fixture_);
  const DiskIndex slot(static_cast<std::uint8_t>(away));
  ASSERT_EQ(bench->disks().state(slot), DiskState::kStale);
  ASSERT_TRUE(bench->disks().Rejoin(slot).ok());
  const CheckReport report = bench->Check();
  EXPECT_EQ(report.bad_fragments, 1u);
  const RepairOutcome outcome = bench->CarryOut(bench->Plan(report));
  EXPECT_EQ(outcome.fragments_written, 1u);
  EXPECT_THAT(outcome.rebuilt, ElementsAre(slot));
  EXPECT_FALSE(bench->Check().HasErrors());
  bench.reset();
  ExpectAllVersionsReadable();
}

TEST_F(Repairing, FailsADiskThatCannotBeWrittenAndDoesNotCallItWhole) {
  MakeVolume();
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  auto bench = Workbench::Open(fixture_);
  const int column = 1;
  const DiskIndex slot = DiskOfColumn(stripes[0], column);
  FlipFragment(stripes[0], column, 222);
  const RepairPlan plan = bench->Plan(bench->Check());
  fixture_.faults(slot.value).FailSyncs();
  const RepairOutcome outcome = bench->CarryOut(plan);
  EXPECT_EQ(outcome.fragments_written, 0u);
  EXPECT_EQ(outcome.fragments_not_mended, 1u);
  ASSERT_THAT(outcome.findings, SizeIs(1));
  EXPECT_EQ(outcome.findings[0].kind, FindingKind::kDiskMissing);
  EXPECT_EQ(bench->disks().state(slot), DiskState::kFailed);
}

TEST_F(Repairing, KeepsADiskThatIsOnlyFull) {
  MakeVolume();
  const auto stripes = Workbench::Open(fixture_)->Stripes(StripeKind::kData);
  auto bench = Workbench::Open(fixture_);
  const DiskIndex slot = DiskOfColumn(stripes[0], 1);
  FlipFragment(stripes[0], 1, 222);
  const RepairPlan plan = bench->Plan(bench->Check());
  fixture_.faults(slot.value).FullAfter(0);
  const RepairOutcome outcome = bench->CarryOut(plan);
  EXPECT_EQ(outcome.fragments_not_mended, 1u);
  EXPECT_EQ(bench->disks().state(slot), DiskState::kOnline);
  fixture_.faults(slot.value).Heal();
  EXPECT_EQ(bench->CarryOut(plan).fragments_written, 1u);
}

}  // namespace
}  // namespace varve
