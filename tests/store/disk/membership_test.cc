// Failing, replacing and taking back disks, and what the labels say of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "tests/store/disk/disk_set_fixture.h"

namespace varve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Membership : public DiskSetFixture {
 protected:
  void Put(int i, const std::string& name) {
    MemoryDisk disk(platters_[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(WriteAtomically(disk, name, AsBytes("x")).ok());
  }
  std::vector<std::string> Names(int i) {
    MemoryDisk disk(platters_[static_cast<std::size_t>(i)]);
    return disk.List("").value();
  }
};

TEST_F(Membership, BeginsNoEpochWhenAllIsAsTheLabelsSay) {
  Format({2, 1}, 3);
  OpenAll();
  ASSERT_TRUE(set_->BeginEpoch().ok());
  EXPECT_EQ(set_->epoch(), Epoch(1));
  EXPECT_EQ(LabelOn(0).epoch, Epoch(1));
}

TEST_F(Membership, BeginsAnEpochWithoutAMissingDisk) {
  Format({2, 1}, 3);
  Open({0, 2});
  ASSERT_TRUE(set_->BeginEpoch().ok());
  EXPECT_EQ(set_->epoch(), Epoch(2));
  for (int i : {0, 2}) {
    EXPECT_EQ(LabelOn(i).epoch, Epoch(2));
    EXPECT_EQ(LabelOn(i).epoch_id, set_->label().epoch_id);
    EXPECT_EQ(LabelOn(i).slots[1].state, SlotState::kFailed);
    EXPECT_EQ(LabelOn(i).slot, Slot(i));
  }
  EXPECT_EQ(LabelOn(1).epoch, Epoch(1));
  ASSERT_TRUE(set_->BeginEpoch().ok());
  EXPECT_EQ(set_->epoch(), Epoch(2));
}

TEST_F(Membership, BeginsNoEpochWithFewerThanOneMoreDiskThanParity) {
  Format({1, 2}, 3);
  Open({0, 2});
  EXPECT_FALSE(set_->writable());
  Status begun = set_->BeginEpoch();
  ASSERT_FALSE(begun.ok());
  EXPECT_EQ(begun.error().code(), ErrorCode::kTooFewDisks);
  EXPECT_THAT(begun.error().message(), HasSubstr("memory-1"));
  EXPECT_EQ(LabelOn(0).epoch, Epoch(1));
}

TEST_F(Membership, RemembersWhereAMovedDiskIsNow) {
  Format({1, 0}, 1);
  auto label = LabelOn(0);
  label.slots[0].last_path = "somewhere-else";
  MemoryDisk disk(platters_[0]);
  ASSERT_TRUE(WriteLabel(disk, label).ok());
  OpenAll();
  ASSERT_TRUE(set_->BeginEpoch().ok());
  EXPECT_EQ(LabelOn(0).slots[0].last_path, "memory-0");
}

TEST_F(Membership, TellsTheSurvivorsOfAFailure) {
  Format({2, 2}, 4);
  OpenAll();
  ASSERT_TRUE(set_->Fail(Slot(1), Why()).ok());
  EXPECT_EQ(set_->state(Slot(1)), DiskState::kFailed);
  EXPECT_EQ(set_->online(Slot(1)), nullptr);
  EXPECT_THAT(set_->Report()[1].reason, HasSubstr("it made a noise"));
  EXPECT_THAT(Online(), ElementsAre(0, 2, 3));
  for (int i : {0, 2, 3}) {
    EXPECT_EQ(LabelOn(i).epoch, Epoch(2));
    EXPECT_EQ(LabelOn(i).slots[1].state, SlotState::kFailed);
  }
  EXPECT_EQ(LabelOn(1).epoch, Epoch(1));
  EXPECT_TRUE(set_->writable());
}

TEST_F(Membership, FailsADiskOnlyOnce) {
  Format({2, 2}, 4);
  OpenAll();
  ASSERT_TRUE(set_->Fail(Slot(1), Why()).ok());
  ASSERT_TRUE(set_->Fail(Slot(1), Why()).ok());
  EXPECT_EQ(set_->epoch(), Epoch(2));
}

TEST_F(Membership, DoesNotHoldAnErrorOfTheOldDiskAgainstItsReplacement) {
  Format({2, 2}, 4);
  OpenAll();
  const std::shared_ptr<Disk> old = set_->online(Slot(1));
  ASSERT_TRUE(set_->Fail(Slot(1), Why(), old.get()).ok());
  const int fresh = AddPlatter();
  ASSERT_TRUE(set_->Replace(Slot(1), OpenDisk(fresh)).ok());
  EXPECT_TRUE(set_->Fail(Slot(1), Why(), old.get()).ok());
  EXPECT_EQ(set_->state(Slot(1)), DiskState::kOnline);
  EXPECT_TRUE(set_->Fail(Slot(1), Why(), set_->online(Slot(1)).get()).ok());
  EXPECT_EQ(set_->state(Slot(1)), DiskState::kFailed);
}

TEST_F(Membership, CallsBackOnceForEachFailureAfterTheLabelsAreWritten) {
  Format({2, 2}, 4);
  OpenAll();
  std::vector<int> failed;
  set_->OnFailure([&](DiskIndex slot, const Error& why) {
    failed.push_back(slot.value);
    EXPECT_EQ(why.message(), "it made a noise");
    EXPECT_EQ(LabelOn(0).slots[slot.value].state, SlotState::kFailed);
    EXPECT_EQ(set_->state(slot), DiskState::kFailed);  // no lock is held
    EXPECT_TRUE(set_->Fail(slot, why).ok());
  });
  ASSERT_TRUE(set_->Fail(Slot(3), Why()).ok());
  EXPECT_THAT(failed, ElementsAre(3));
}

TEST_F(Membership, FailsASurvivorThatCannotTakeItsLabel) {
  Format({2, 2}, 5);
  OpenAll();
  std::vector<int> failed;
  set_->OnFailure([&](DiskIndex slot, const Error&) { failed.push_back(slot.value); });
  Faults(3).FailSyncs();
  ASSERT_TRUE(set_->Fail(Slot(1), Why()).ok());
  EXPECT_THAT(Online(), ElementsAre(0, 2, 4));
  EXPECT_THAT(failed, ElementsAre(1, 3));
  for (int i : {0, 2, 4}) {
    EXPECT_EQ(LabelOn(i).epoch, set_->epoch());
    EXPECT_EQ(LabelOn(i).slots[1].state, SlotState::kFailed);
    EXPECT_EQ(LabelOn(i).slots[3].state, SlotState::kFailed);
  }
  OpenAll();
  EXPECT_THAT(Online(), ElementsAre(0, 2, 4));
}

TEST_F(Membership, IsNeverWritableAgainOnceTooFewRemain) {
  Format({1, 1}, 3);
  OpenAll();
  ASSERT_TRUE(set_->Fail(Slot(0), Why()).ok());
  Status failed = set_->Fail(Slot(1), Why());
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), ErrorCode::kTooFewDisks);
  EXPECT_FALSE(set_->writable());
  EXPECT_FALSE(set_->BeginEpoch().ok());
  EXPECT_FALSE(set_->Fail(Slot(1), Why()).ok());
  EXPECT_THAT(Online(), ElementsAre(2));  // what is left still reads
  const int fresh = AddPlatter();
  ASSERT_TRUE(set_->Replace(Slot(0), OpenDisk(fresh)).ok());
  EXPECT_FALSE(set_->writable());
}

TEST_F(Membership, ADiskLostBeyondTheParityComesBackAsIfItHadNeverGone) {
  Format({1, 1}, 3);
  OpenAll();
  ASSERT_TRUE(set_->Fail(Slot(0), Why()).ok());
  EXPECT_FALSE(set_->Fail(Slot(1), Why()).ok());
  Open({0, 1, 2});
  EXPECT_THAT(Online(), ElementsAre(1, 2));  // nothing was written without disk 1
}

TEST_F(Membership, DoesNotFailDisksThatAreMerelyFull) {
  Format({1, 1}, 4);
  OpenAll();
  for (int i : {1, 2, 3}) Faults(i).FullAfter(0);
  Status failed = set_->Fail(Slot(0), Why());
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(Online(), ElementsAre(1, 2, 3));
  EXPECT_FALSE(set_->writable());
}

TEST_F(Membership, KeepsTheDiskForThoseWhoHoldIt) {
  Format({1, 1}, 3);
  OpenAll();
  std::shared_ptr<Disk> disk = set_->online(Slot(0));
  ASSERT_TRUE(set_->Fail(Slot(0), Why()).ok());
  EXPECT_TRUE(disk->List("").ok());
}

TEST_F(Membership, ProbesAndFailsWhatDoesNotAnswer) {
  Format({2, 2}, 4);
  OpenAll();
  EXPECT_TRUE(set_->ProbeAll().empty());
  Faults(0).Lose();
  Faults(2).FailProbes();
  const auto lost = set_->ProbeAll();
  EXPECT_THAT(lost, ElementsAre(Slot(0), Slot(2)));
  EXPECT_THAT(Online(), ElementsAre(1, 3));
  EXPECT_TRUE(set_->ProbeAll().empty());
  EXPECT_FALSE(set_->writable());
}

TEST_F(Membership, TellsAllWhereTheCatalogIs) {
  Format({2, 1}, 3);
  OpenAll();
  ASSERT_TRUE(set_->SetCatalogLocation(Slot(2), 9).ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(LabelOn(i).catalog_slot, Slot(2));
    EXPECT_EQ(LabelOn(i).catalog_generation, 9u);
  }
  const Epoch epoch = set_->epoch();
  ASSERT_TRUE(set_->SetCatalogLocation(Slot(2), 9).ok());
  EXPECT_EQ(set_->epoch(), epoch);
  EXPECT_FALSE(set_->SetCatalogLocation(Slot(3), 9).ok());
  OpenAll();
  EXPECT_EQ(set_->label().catalog_generation, 9u);
}

TEST_F(Membership, ReplacesALostDisk) {
  Format({2, 1}, 3);
  const int fresh = AddPlatter();
  GoOnWith({0, 2});
  ASSERT_TRUE(set_->Replace(Slot(1), OpenDisk(fresh)).ok());
  EXPECT_THAT(Online(), ElementsAre(0, 1, 2));
  EXPECT_EQ(set_->epoch(), Epoch(3));
  EXPECT_EQ(set_->online(Slot(1))->Describe(), "fresh-3");
  const DiskLabel label = LabelOn(fresh);
  EXPECT_EQ(label.slot, Slot(1));
  EXPECT_NE(label.disk_uuid, LabelOn(1).disk_uuid);
  for (int i : {0, 2, fresh}) {
    EXPECT_EQ(LabelOn(i).epoch, Epoch(3));
    EXPECT_EQ(LabelOn(i).slots[1].state, SlotState::kRebuilding);
    EXPECT_EQ(LabelOn(i).slots[1].disk_uuid, label.disk_uuid);
    EXPECT_EQ(LabelOn(i).slots[1].last_path, "fresh-3");
  }
  ASSERT_TRUE(set_->MarkRebuilt(Slot(1)).ok());
  EXPECT_EQ(LabelOn(0).slots[1].state, SlotState::kActive);
  ASSERT_TRUE(set_->MarkRebuilt(Slot(1)).ok());
  Open({0, fresh, 2});
  EXPECT_THAT(Online(), ElementsAre(0, 1, 2));
}

TEST_F(Membership, KeepsRebuildingDisksOnlineWhenReopened) {
  Format({2, 1}, 3);
  const int fresh = AddPlatter();
  GoOnWith({0, 2});
  ASSERT_TRUE(set_->Replace(Slot(1), OpenDisk(fresh)).ok());
  Open({0, fresh, 2});
  EXPECT_THAT(Online(), ElementsAre(0, 1, 2));
  EXPECT_EQ(set_->label().slots[1].state, SlotState::kRebuilding);
}

TEST_F(Membership, RefusesBothADiskAndItsReplacement) {
  Format({2, 1}, 3);
  const int fresh = AddPlatter();
  GoOnWith({0, 2});
  ASSERT_TRUE(set_->Replace(Slot(1), OpenDisk(fresh)).ok());
  auto both = TryOpen({0, 1, 2, fresh});
  ASSERT_FALSE(both.ok());
  EXPECT_EQ(both.error().code(), ErrorCode::kExists);
  EXPECT_THAT(both.error().message(), HasSubstr("replaced"));
  Open({0, 1, 2});
  EXPECT_EQ(set_->state(Slot(1)), DiskState::kStale);
  EXPECT_THAT(set_->Report()[1].reason, HasSubstr("replaced"));
}

TEST_F(Membership, RefusesAReplacementThatHoldsSomething) {
  Format({2, 1}, 3);
  const int used = AddPlatter();
  Put(used, "precious");
  GoOnWith({0, 2});
  Status replaced = set_->Replace(Slot(1), OpenDisk(used));
  ASSERT_FALSE(replaced.ok());
  EXPECT_EQ(replaced.error().code(), ErrorCode::kNotEmpty);
  EXPECT_THAT(replaced.error().message(), HasSubstr("fresh-3"));
  replaced = set_->Replace(Slot(1), OpenDisk(1));
  EXPECT_EQ(replaced.error().code(), ErrorCode::kExists);
  EXPECT_EQ(set_->Replace(Slot(0), OpenDisk(used)).error().code(), ErrorCode::kBusy);
  EXPECT_EQ(set_->epoch(), Epoch(2));
}

TEST_F(Membership, ChangesNothingWhenAReplacementCannotTakeItsLabel) {
  Format({2, 1}, 3);
  const int fresh = AddPlatter();
  GoOnWith({0, 2});
  auto disk = OpenDisk(fresh);
  Faults(fresh).FailWrites();
  EXPECT_FALSE(set_->Replace(Slot(1), std::move(disk)).ok());
  EXPECT_THAT(Online(), ElementsAre(0, 2));
  EXPECT_EQ(LabelOn(0).epoch, Epoch(2));
  EXPECT_TRUE(set_->writable());
}

TEST_F(Membership, SurvivesALossInTheMiddleOfAReplacement) {
  Format({2, 1}, 3);
  const int fresh = AddPlatter();
  GoOnWith({0, 2});
  auto disk = OpenDisk(fresh);
  Faults(fresh).FailSyncs(2);  // takes its label once, and not again with the others
  EXPECT_FALSE(set_->Replace(Slot(1), std::move(disk)).ok());
  EXPECT_EQ(set_->state(Slot(1)), DiskState::kFailed);
  EXPECT_TRUE(set_->writable());
  Open({0, fresh, 2});
  EXPECT_THAT(Online(), ElementsAre(0, 2));
  ASSERT_TRUE(set_->BeginEpoch().ok());
}

TEST_F(Membership, TakesBackAStaleDisk) {
  Format({2, 1}, 3);
  const Uuid uuid = LabelOn(1).disk_uuid;
  for (const char* name : {"journal/0001", "catalog/catalog.db", "seg/0001"}) Put(1, name);
  GoOnWith({0, 2});
  Open({0, 1, 2});
  ASSERT_EQ(set_->state(Slot(1)), DiskState::kStale);
  ASSERT_TRUE(set_->Rejoin(Slot(1)).ok());
  EXPECT_THAT(Online(), ElementsAre(0, 1, 2));
  EXPECT_THAT(Names(1), ElementsAre("label", "seg/0001"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(LabelOn(i).epoch, Epoch(3));
    EXPECT_EQ(LabelOn(i).slots[1].state, SlotState::kRebuilding);
    EXPECT_EQ(LabelOn(i).slots[1].disk_uuid, uuid);
  }
  ASSERT_TRUE(set_->MarkRebuilt(Slot(1)).ok());
  OpenAll();
  EXPECT_THAT(Online(), ElementsAre(0, 1, 2));
}

TEST_F(Membership, TakesBackOnlyStaleDisks) {
  Format({2, 1}, 3);
  Open({0, 2});
  EXPECT_EQ(set_->Rejoin(Slot(0)).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(set_->Rejoin(Slot(1)).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(set_->Rejoin(Slot(9)).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(set_->MarkRebuilt(Slot(1)).error().code(), ErrorCode::kDiskLost);
}

TEST_F(Membership, MendsAVolumeThatHasTooFewDisksToWrite) {
  Format({1, 2}, 3);
  const int first = AddPlatter();
  const int second = AddPlatter();
  Open({1});
  EXPECT_FALSE(set_->writable());
  ASSERT_TRUE(set_->Replace(Slot(0), OpenDisk(first)).ok());
  EXPECT_FALSE(set_->writable());
  ASSERT_TRUE(set_->Replace(Slot(2), OpenDisk(second)).ok());
  EXPECT_TRUE(set_->writable());
  EXPECT_TRUE(set_->BeginEpoch().ok());
}

TEST_F(Membership, SurvivesAPowerCutAtAnyMomentOfAFailure) {
  for (std::uint64_t stop = 0; stop < 24; ++stop) {
    Format({2, 2}, 5);
    OpenAll();
    std::uint64_t steps = 0;
    std::mutex mutex;
    for (int i = 1; i < 5; ++i) {
      Faults(i).SetHook([&](DiskOperation, std::string_view) {
        std::lock_guard lock(mutex);
        if (steps++ != stop) return;
        for (int j = 1; j < 5; ++j) Faults(j).Lose();
      });
    }
    const bool told = set_->Fail(Slot(0), Why()).ok();
    set_.reset();
    for (const auto& platter : platters_) platter->CutPower(stop);
    OpenAll();
    // Disk 0 may be back only if nobody was told that it is gone.
    EXPECT_GE(Online().size(), 4u) << stop;
    if (told) {
      EXPECT_EQ(set_->state(Slot(0)), DiskState::kStale) << stop;
    }
    ASSERT_TRUE(set_->BeginEpoch().ok());
    OpenAll();
    EXPECT_GE(Online().size(), 4u) << stop;
  }
}

}  // namespace
}  // namespace varve
