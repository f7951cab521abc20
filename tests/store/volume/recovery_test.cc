// Opening after the worst moments for the catalog.
#include "store/volume/recovery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "tests/support/changes.h"
#include "tests/support/volume_fixture.h"

namespace varve {
namespace {

// Holds whoever changes the catalog on a disk at the `step`th change, until it is let go.
class CatalogStop {
 public:
  CatalogStop(FaultController& disk, int step) : step_(step) {
    disk.SetHook([this](DiskOperation operation, std::string_view name) {
      static constexpr std::array kChanges = {DiskOperation::kWrite, DiskOperation::kSync,
                                              DiskOperation::kTruncate, DiskOperation::kName};
      if (!name.starts_with(kCatalogObject)) return;
      if (std::ranges::find(kChanges, operation) == kChanges.end()) return;
      std::unique_lock lock(mutex_);
      if (++steps_ < step_) return;
      changed_.notify_all();
      changed_.wait(lock, [&] { return let_go_; });
    });
  }
  // False if there is no such step in `time`.
  bool Wait(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return steps_ >= step_; });
  }
  void LetGo() {
    std::lock_guard lock(mutex_);
    let_go_ = true;
    changed_.notify_all();
  }

 private:
  const int step_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int steps_ = 0;
  bool let_go_ = false;
};

// The disk fails in the middle of the work on the catalog, a new one is begun, and then the power
// fails.
TEST(Recovery, KeepsWhatWasSyncedWhenTheDiskOfTheCatalogFailsJustBeforeThePowerDoes) {
  const std::uint64_t seed = TestSeed(20261129);
  std::mt19937_64 random(seed);
  constexpr int kRounds = 24;
  constexpr int kSteps = 36;  // about as many as filling and folding it once take
  int stopped = 0;
  for (int round = 0; round < kRounds; ++round) {
    const int step = 1 + static_cast<int>(random() % kSteps);
    SCOPED_TRACE("round " + std::to_string(round) + ", step " + std::to_string(step));
    VolumeFixture fixture;
    fixture.FormatAndOpen();
    CatalogStop stop(fixture.faults(0), step);
    std::map<std::string, std::string> synced;
    for (int i = 0; i < 6; ++i) {
      const std::string name = "f" + std::to_string(i);
      const std::string content(random() % 100'000, static_cast<char>('a' + i));
      auto file = CreateFile(fixture.volume(), name);
      ASSERT_TRUE(file.ok()) << file.error().message();
      auto lsn = WriteFile(fixture.volume(), *file, content);
      ASSERT_TRUE(lsn.ok()) << lsn.error().message();
      ASSERT_TRUE(fixture.volume().Sync(*lsn).ok());
      synced[name] = content;
    }
    if (stop.Wait(std::chrono::milliseconds(500))) ++stopped;
    for (int slot = 0; slot < fixture.disk_count(); ++slot) fixture.faults(slot).FailSyncs();
    stop.LetGo();
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
    Status opened = fixture.CutPowerAndOpen(seed + static_cast<std::uint64_t>(round));
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    for (const auto& [name, content] : synced) {
      ASSERT_EQ(ContentOf(fixture.volume().Now(), name), content) << name;
    }
  }
  EXPECT_GT(stopped, kRounds / 2);
}

TEST(Recovery, OpensWithAnyPageOfTheCatalogRotten) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  std::map<std::string, std::string> files;
  const auto write = [&](const std::string& name, std::size_t size) {
    auto file = CreateFile(fixture.volume(), name);
    ASSERT_TRUE(file.ok());
    files[name] = std::string(size, name.back());
    const auto lsn = WriteFile(fixture.volume(), *file, files[name]);
    ASSERT_TRUE(lsn.ok());
    ASSERT_TRUE(fixture.volume().Sync(*lsn).ok());
  };
  const auto check = [&] {
    for (const auto& [name, content] : files) {
      ASSERT_EQ(ContentOf(fixture.volume().Now(), name), content) << name;
    }
  };
  for (int i = 0; i < 8; ++i) write("f" + std::to_string(i), 1000u << i);
  ASSERT_TRUE(fixture.Close().ok());
  const auto pages = [&]() -> std::uint64_t {
    auto file = fixture.OpenDisks().front()->Open(kCatalogObject, OpenMode::kRead);
    return file.ok() ? *(*file)->Size() / 4096 : 0;
  };
  ASSERT_GT(pages(), 10u);
  for (std::uint64_t page = 0; page < pages(); ++page) {
    SCOPED_TRACE("page " + std::to_string(page + 1));
    // Something for recovery to place and to apply.
    ASSERT_TRUE(fixture.Open().ok());
    write("g" + std::to_string(page), 3000);
    fixture.CutPower(page);
    fixture.FlipBit(0, kCatalogObject, page * 4096 + 100);
    Status opened = fixture.Open();
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    check();
    // What the catalog says must be enough, once the journal is gone.
    ASSERT_TRUE(fixture.Reopen().ok());
    check();
    ASSERT_TRUE(fixture.Close().ok());
  }
}

}  // namespace
}  // namespace varve
