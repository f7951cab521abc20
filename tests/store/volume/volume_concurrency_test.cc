#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "store/volume/volume.h"
#include "tests/support/changes.h"
#include "tests/support/random_seed.h"
#include "tests/support/volume_fixture.h"

namespace varve {
namespace {

using testing::Contains;
using testing::Not;

// What a thread found wrong, said by the test's own thread.
class Complaints {
 public:
  void Say(std::string what) {
    std::lock_guard lock(mutex_);
    said_.push_back(std::move(what));
  }
  std::vector<std::string> said() {
    std::lock_guard lock(mutex_);
    return said_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> said_;
};

// Writes its own file over and over; each version's content names its number, so that a reader can
// tell a version from a mixture.
void WriteVersions(Volume& volume, int thread, int versions, Complaints& complaints) {
  const std::string name = "file-" + std::to_string(thread);
  auto file = CreateFile(volume, name);
  if (!file.ok()) return complaints.Say(file.error().message());
  for (int i = 0; i < versions; ++i) {
    const std::string content(static_cast<std::size_t>(1 + i * 997 % 150'000), 'a' + i % 26);
    auto lsn = WriteFile(volume, *file, content);
    if (!lsn.ok()) return complaints.Say(lsn.error().message());
    if (ContentOf(volume.Now(), name) != content) complaints.Say(name + ": not what was written");
    if (i % 5 == 0) {
      Status synced = volume.Sync(*lsn);
      if (!synced.ok()) complaints.Say(synced.error().message());
    }
    if (i % 7 == 0) {
      auto then = volume.At(*lsn);
      if (!then.ok()) {
        complaints.Say(then.error().message());
      } else if (ContentOf(*then, name) != content) {
        complaints.Say(name + ": the past is not what was written");
      }
    }
  }
}

TEST(VolumeConcurrency, WritersReadersAndADyingDisk) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Complaints complaints;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] { WriteVersions(fixture.volume(), thread, 40, complaints); });
  }
  std::atomic<bool> stop = false;
  std::thread lister([&] {
    while (!stop) {
      auto entries = fixture.volume().Now().List(kRootInode, 0, 100);
      if (!entries.ok()) complaints.Say(entries.error().message());
      static_cast<void>(fixture.volume().status());
      std::this_thread::yield();
    }
  });
  std::thread killer([&] {
    // One of them holds the catalog.
    for (int slot : {0, 3}) {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      fixture.faults(slot).Lose();
    }
  });
  for (std::thread& thread : threads) thread.join();
  killer.join();
  stop = true;
  lister.join();
  EXPECT_TRUE(complaints.said().empty()) << complaints.said().front();
  for (int slot : {0, 3}) fixture.LoseDisk(slot);
  Status reopened = fixture.Reopen();
  ASSERT_TRUE(reopened.ok()) << reopened.error().message();
  auto entries = fixture.volume().Now().List(kRootInode, 0, 100);
  ASSERT_TRUE(entries.ok());
  EXPECT_EQ(entries->size(), 4u);
}

TEST(VolumeConcurrency, CommitWaitsForRoomInsteadOfGrowing) {
  VolumeFixture fixture;
  fixture.options().pending_limit_bytes = 1024 * 1024;
  fixture.FormatAndOpen();
  Complaints complaints;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      auto file = CreateFile(fixture.volume(), std::to_string(thread));
      if (!file.ok()) return complaints.Say(file.error().message());
      for (int i = 0; i < 20; ++i) {
        auto lsn = WriteFile(fixture.volume(), *file, std::string(300'000, 'x'));
        if (!lsn.ok()) complaints.Say(lsn.error().message());
        // One change beyond the limit a thread, at most.
        if (fixture.volume().status().pending_bytes > 1024 * 1024 + 3 * 300'000) {
          complaints.Say("more is pending than the limit allows");
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(complaints.said().empty()) << complaints.said().front();
}

// Whether everything becomes durable, and known to the catalog, though nobody asks for it.
bool SettlesByItself(Volume& volume, std::chrono::milliseconds within) {
  const Lsn last = volume.last_lsn();
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (std::chrono::steady_clock::now() < deadline) {
    const VolumeStatus status = volume.status();
    if (status.durable >= last && status.applied >= last) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// Who syncs commits for others too, beside the committer's thread: none of them may rely on another
// that has just gone to sleep.
TEST(VolumeConcurrency, LeavesNothingBehindWhenSomeSyncAndOthersDoNot) {
  VolumeFixture fixture;
  fixture.options().commit_interval = std::chrono::milliseconds(10);
  fixture.FormatAndOpen();
  const std::uint64_t seed = RandomSeed();
  for (std::uint64_t round = 0; round < 40; ++round) {
    Complaints complaints;
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&, thread] {
        std::mt19937_64 random(seed + 3 * round + thread);
        const std::string name = std::to_string(round) + "-" + std::to_string(thread);
        auto file = CreateFile(fixture.volume(), name);
        if (!file.ok()) return complaints.Say(file.error().message());
        for (int i = 0; i < 10; ++i) {
          auto lsn = WriteFile(fixture.volume(), *file, std::string(1 + random() % 5000, 'x'));
          if (!lsn.ok()) return complaints.Say(lsn.error().message());
          if (random() % 3 == 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 12));
          }
          if (random() % 2 == 0) continue;
          const Status synced = fixture.volume().Sync(*lsn);
          if (!synced.ok()) complaints.Say(synced.error().message());
          if (fixture.volume().status().durable < *lsn) complaints.Say("synced, and not durable");
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(complaints.said().empty()) << complaints.said().front();
    ASSERT_TRUE(SettlesByItself(fixture.volume(), std::chrono::seconds(20))) << "round " << round;
  }
}

TEST(VolumeConcurrency, CommitsOnTheThreadsOfThoseWhoWait) {
  Complaints writers;  // the hooks' own, so it goes after the disks
  VolumeFixture fixture;
  fixture.options().commit_interval = std::chrono::hours(1);
  fixture.FormatAndOpen();
  for (int slot = 0; slot < 6; ++slot) {
    fixture.faults(slot).SetHook([&](DiskOperation operation, std::string_view name) {
      if (operation != DiskOperation::kWrite || !name.starts_with("journal/")) return;
      char thread[16] = {};
      pthread_getname_np(pthread_self(), thread, sizeof(thread));
      writers.Say(thread);
    });
  }
  Complaints complaints;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      pthread_setname_np(pthread_self(), "waiting");
      auto file = CreateFile(fixture.volume(), std::to_string(thread));
      if (!file.ok()) return complaints.Say(file.error().message());
      for (int i = 0; i < 50; ++i) {
        auto lsn = WriteFile(fixture.volume(), *file, std::to_string(i));
        if (!lsn.ok()) return complaints.Say(lsn.error().message());
        const Status synced = fixture.volume().Sync(*lsn);
        if (!synced.ok()) complaints.Say(synced.error().message());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int slot = 0; slot < 6; ++slot) fixture.faults(slot).SetHook({});
  EXPECT_TRUE(complaints.said().empty()) << complaints.said().front();
  EXPECT_THAT(writers.said(), Contains("waiting"));
  EXPECT_THAT(writers.said(), Not(Contains("varve-commit")));
}

TEST(VolumeConcurrency, TellsAllWhoWaitWhenTooManyDisksGoMeanwhile) {
  constexpr int kWaiting = 4;
  std::atomic<int> waiting = 0;
  std::atomic<bool> lost = false;
  VolumeFixture fixture;
  fixture.options().commit_interval = std::chrono::hours(1);
  fixture.FormatAndOpen();
  auto file = CreateFile(fixture.volume(), "file");
  ASSERT_TRUE(file.ok());
  for (int slot = 0; slot < 6; ++slot) {
    fixture.faults(slot).SetHook([&, slot](DiskOperation operation, std::string_view name) {
      if (operation != DiskOperation::kWrite || !name.starts_with("journal/")) return;
      while (waiting < kWaiting) std::this_thread::yield();
      if (lost.exchange(true)) return;
      for (int gone = slot; gone < slot + 3; ++gone) fixture.faults(gone % 6).Lose();
    });
  }
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kWaiting; ++thread) {
    threads.emplace_back([&] {
      auto lsn = WriteFile(fixture.volume(), *file, "written");
      ++waiting;
      if (!lsn.ok() || !fixture.volume().Sync(*lsn).ok()) ++refused;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int slot = 0; slot < 6; ++slot) fixture.faults(slot).SetHook({});
  EXPECT_EQ(refused, kWaiting);
  EXPECT_TRUE(fixture.volume().status().read_only);
}

}  // namespace
}  // namespace varve
