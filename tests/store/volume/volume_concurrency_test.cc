#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "store/volume/volume.h"
#include "tests/support/changes.h"
#include "tests/support/volume_fixture.h"

namespace varve {
namespace {

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

}  // namespace
}  // namespace varve
