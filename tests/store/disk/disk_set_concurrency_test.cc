// DiskSet from many threads at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <barrier>
#include <random>
#include <thread>

#include "tests/store/disk/disk_set_fixture.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

using testing::ElementsAre;

class DiskSetConcurrency : public DiskSetFixture {};

TEST_F(DiskSetConcurrency, RunsTheTasksOfOneForEachAtOnceOnNamedThreads) {
  Format({3, 1}, 4);
  OpenAll();
  std::barrier all_there(4);  // hangs unless all four run at once
  std::array<std::string, 4> names;
  pthread_setname_np(pthread_self(), "caller");
  const auto slots = set_->OnlineSlots();
  const auto results = set_->ForEach(slots, [&](DiskIndex slot, Disk&) -> Status {
    all_there.arrive_and_wait();
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof(name));
    names[slot.value] = name;
    return {};
  });
  EXPECT_THAT(names, ElementsAre("disk-0", "disk-1", "disk-2", "caller"));
  for (const Status& result : results) EXPECT_TRUE(result.ok());
}

TEST_F(DiskSetConcurrency, ReturnsEachResultInItsPlaceAndDoesNotActOnIt) {
  Format({3, 1}, 4);
  OpenAll();
  ASSERT_TRUE(set_->Fail(Slot(1), Why()).ok());
  std::atomic<int> ran = 0;
  const std::vector<DiskIndex> slots = {Slot(3), Slot(1), Slot(0), Slot(200)};
  const auto results = set_->ForEach(slots, [&](DiskIndex slot, Disk&) -> Status {
    ++ran;
    if (slot == Slot(3)) return Error(ErrorCode::kIo, "three");
    return {};
  });
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].error().message(), "three");
  EXPECT_EQ(results[1].error().code(), ErrorCode::kDiskLost);
  EXPECT_TRUE(results[2].ok());
  EXPECT_EQ(results[3].error().code(), ErrorCode::kDiskLost);
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(set_->state(Slot(3)), DiskState::kOnline);
  EXPECT_TRUE(set_->ForEach({}, [](DiskIndex, Disk&) { return Status(); }).empty());
}

TEST_F(DiskSetConcurrency, ServesForEachFromManyThreads) {
  Format({3, 1}, 4);
  OpenAll();
  const auto slots = set_->OnlineSlots();
  std::atomic<int> ran = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        for (const Status& result : set_->ForEach(slots, [&](DiskIndex, Disk& disk) {
               ++ran;
               return disk.Probe();
             })) {
          EXPECT_TRUE(result.ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, 8 * 50 * 4);
}

TEST_F(DiskSetConcurrency, WaitsWhereAQueueIsFullInsteadOfGrowing) {
  Format({1, 1}, 2);
  OpenAll();
  std::atomic<bool> release = false;
  const std::vector<DiskIndex> many(200, Slot(0));
  DiskSet::Running blocker = set_->Start({Slot(0)}, [&](DiskIndex, Disk&) {
    while (!release) std::this_thread::yield();
    return Status();
  });
  std::atomic<int> ran = 0;
  std::thread flood([&] {
    set_->ForEach(many, [&](DiskIndex, Disk&) {
      ++ran;
      return Status();
    });
  });
  // The other disk goes on meanwhile.
  const auto probe = [](DiskIndex, Disk& disk) { return disk.Probe(); };
  EXPECT_TRUE(set_->Start({Slot(1)}, probe).Wait()[0].ok());
  release = true;
  blocker.Wait();
  flood.join();
  EXPECT_EQ(ran, 200);
}

TEST_F(DiskSetConcurrency, FailsADiskFromInsideItsOwnTask) {
  Format({2, 2}, 4);
  OpenAll();
  std::atomic<int> called = 0;
  set_->OnFailure([&](DiskIndex, const Error&) { ++called; });
  const auto slots = set_->OnlineSlots();
  const auto results = set_->ForEach(slots, [&](DiskIndex slot, Disk&) -> Status {
    if (slot == Slot(2)) return set_->Fail(slot, Why());
    return {};
  });
  for (const Status& result : results) EXPECT_TRUE(result.ok());
  EXPECT_EQ(set_->state(Slot(2)), DiskState::kFailed);
  EXPECT_EQ(LabelOn(0).slots[2].state, SlotState::kFailed);
  EXPECT_EQ(called, 1);
}

TEST_F(DiskSetConcurrency, TakesFailuresOfAllDisksFromAllTheirTasksAtOnce) {
  Format({2, 1}, 6);
  OpenAll();
  std::atomic<int> called = 0;
  set_->OnFailure([&](DiskIndex, const Error&) { ++called; });
  const std::vector<DiskIndex> slots = {Slot(0), Slot(1), Slot(2), Slot(3)};
  const auto results = set_->ForEach(
      slots, [&](DiskIndex slot, Disk&) -> Status { return set_->Fail(slot, Why()); });
  for (const Status& result : results) EXPECT_TRUE(result.ok());
  EXPECT_EQ(called, 4);
  EXPECT_THAT(Online(), ElementsAre(4, 5));
  EXPECT_TRUE(set_->writable());
  EXPECT_EQ(LabelOn(4).epoch_id, LabelOn(5).epoch_id);
  for (const DiskIndex slot : slots) {
    EXPECT_EQ(LabelOn(4).slots[slot.value].state, SlotState::kFailed);
  }
}

TEST_F(DiskSetConcurrency, AnswersReadersWhileALabelIsBeingWritten) {
  Format({2, 1}, 4);
  OpenAll();
  std::atomic<bool> writing = false;
  std::atomic<bool> release = false;
  Faults(1).SetHook([&](DiskOperation operation, std::string_view) {
    if (operation != DiskOperation::kSync) return;
    writing = true;
    while (!release) std::this_thread::yield();
  });
  std::thread failing([&] { EXPECT_TRUE(set_->Fail(Slot(0), Why()).ok()); });
  while (!writing) std::this_thread::yield();
  EXPECT_EQ(set_->state(Slot(0)), DiskState::kFailed);
  EXPECT_EQ(set_->online(Slot(0)), nullptr);
  EXPECT_NE(set_->online(Slot(1)), nullptr);
  EXPECT_TRUE(set_->writable());
  EXPECT_EQ(set_->OnlineSlots().size(), 3u);
  EXPECT_EQ(set_->Report().size(), 4u);
  EXPECT_EQ(set_->epoch(), Epoch(1));
  release = true;
  failing.join();
  EXPECT_EQ(set_->epoch(), Epoch(2));
}

TEST_F(DiskSetConcurrency, DoesNotAnswerASecondFailureBeforeTheLabelsSaySo) {
  Format({2, 1}, 4);
  OpenAll();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      EXPECT_TRUE(set_->Fail(Slot(0), Why()).ok());
      EXPECT_EQ(LabelOn(1).slots[0].state, SlotState::kFailed);
      EXPECT_EQ(LabelOn(3).slots[0].state, SlotState::kFailed);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(set_->epoch(), Epoch(2));
}

TEST_F(DiskSetConcurrency, KeepsItsPromisesUnderRandomLossesAndRepairs) {
  const std::uint64_t seed = RandomSeed();
  Format({2, 2}, 6);
  OpenAll();
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        const auto slots = set_->OnlineSlots();
        set_->ForEach(slots,
                      [](DiskIndex, Disk& disk) { return disk.List("").ok() ? Status() : Why(); });
        EXPECT_EQ(set_->label().slots.size(), 6u);
        set_->ProbeAll();
        for (const DiskStatus& status : set_->Report()) EXPECT_LT(status.slot.value, 6);
      }
    });
  }
  std::mt19937_64 random(seed);
  std::vector<int> platter_of = {0, 1, 2, 3, 4, 5};
  for (int round = 0; round < 30; ++round) {
    const int lost = static_cast<int>(random() % 6);
    if (random() % 2 == 0) {
      Faults(platter_of[static_cast<std::size_t>(lost)]).Lose();
      set_->ProbeAll();
    } else {
      EXPECT_TRUE(set_->Fail(Slot(lost), Why()).ok());
    }
    EXPECT_EQ(set_->state(Slot(lost)), DiskState::kFailed);
    const int fresh = AddPlatter();
    platter_of[static_cast<std::size_t>(lost)] = fresh;
    EXPECT_TRUE(set_->Replace(Slot(lost), OpenDisk(fresh)).ok());
    EXPECT_TRUE(set_->MarkRebuilt(Slot(lost)).ok());
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_TRUE(set_->writable());
  for (int i : platter_of) EXPECT_EQ(LabelOn(i).epoch_id, set_->label().epoch_id);
}

}  // namespace
}  // namespace varve
