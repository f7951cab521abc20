#include "store/volume/volume.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/support/changes.h"
#include "tests/support/volume_fixture.h"

namespace varve {
namespace {

std::string RandomBytes(std::mt19937_64& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

TEST(Volume, ShowsACommittedChangeAtOnce) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  auto file = CreateFile(fixture.volume(), "a");
  ASSERT_TRUE(file.ok()) << file.error().message();
  ASSERT_TRUE(WriteFile(fixture.volume(), *file, "hello").ok());
  EXPECT_EQ(ContentOf(fixture.volume().Now(), "a"), "hello");
}

TEST(Volume, ReadsTheSameFromTailAndCatalog) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  std::mt19937_64 random(7);
  const std::string content = RandomBytes(random, 3 * kChunkBytes + 17);
  auto file = CreateFile(volume, "a");
  ASSERT_TRUE(file.ok());
  auto lsn = WriteFile(volume, *file, content);
  ASSERT_TRUE(lsn.ok());
  EXPECT_EQ(ContentOf(volume.Now(), "a"), content);
  auto view = volume.At(*lsn);  // waits until it is in the catalog
  ASSERT_TRUE(view.ok()) << view.error().message();
  EXPECT_EQ(ContentOf(*view, "a"), content);
  EXPECT_EQ(ContentOf(volume.Now(), "a"), content);
}

TEST(Volume, RemembersEveryVersion) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  auto file = CreateFile(volume, "a");
  ASSERT_TRUE(file.ok());
  std::map<Lsn, std::string> versions;
  for (int i = 0; i < 200; ++i) {
    const std::string content = "version " + std::to_string(i) + std::string(i * 37, 'x');
    auto lsn = WriteFile(volume, *file, content);
    ASSERT_TRUE(lsn.ok());
    versions[*lsn] = content;
  }
  auto removed = RemoveFile(volume, *file, "a");
  ASSERT_TRUE(removed.ok());
  ASSERT_TRUE(fixture.Reopen().ok());
  for (const auto& [lsn, content] : versions) {
    auto view = fixture.volume().At(lsn);
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(ContentOf(*view, "a"), content);
  }
  EXPECT_EQ(ContentOf(fixture.volume().Now(), "a"), "[absent]");
}

TEST(Volume, KeepsWhatWasSyncedThroughPowerCutsAtAnyMoment) {
  const std::uint64_t seed = TestSeed(20261123);
  std::mt19937_64 random(seed);
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  std::map<std::string, std::string> synced;
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Volume& volume = fixture.volume();
    for (int i = 0; i < 10; ++i) {
      const std::string name = "f" + std::to_string(round) + "-" + std::to_string(i);
      const std::string content = RandomBytes(random, random() % 200'000);
      auto file = CreateFile(volume, name);
      ASSERT_TRUE(file.ok()) << file.error().message();
      auto lsn = WriteFile(volume, *file, content);
      ASSERT_TRUE(lsn.ok()) << lsn.error().message();
      if (random() % 2 == 0) {
        ASSERT_TRUE(volume.Sync(*lsn).ok());
        synced[name] = content;
      }
    }
    Status opened = fixture.CutPowerAndOpen(seed + static_cast<std::uint64_t>(round));
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    for (const auto& [name, content] : synced) {
      ASSERT_EQ(ContentOf(fixture.volume().Now(), name), content) << name;
    }
  }
}

TEST(Volume, ReadsNowAndThenAfterTheLossOfAnyTwoDisks) {
  for (int a = 0; a < 6; ++a) {
    for (int b = a + 1; b < 6; ++b) {
      SCOPED_TRACE("lost " + std::to_string(a) + " and " + std::to_string(b));
      VolumeFixture fixture;
      fixture.FormatAndOpen();
      std::mt19937_64 random(static_cast<std::uint64_t>(a * 10 + b));
      std::map<Lsn, std::string> versions;
      auto file = CreateFile(fixture.volume(), "a");
      ASSERT_TRUE(file.ok());
      for (int i = 0; i < 6; ++i) {
        const std::string content = RandomBytes(random, 1 + random() % 500'000);
        auto lsn = WriteFile(fixture.volume(), *file, content);
        ASSERT_TRUE(lsn.ok());
        ASSERT_TRUE(fixture.volume().Sync(*lsn).ok());
        versions[*lsn] = content;
      }
      fixture.LoseDisk(a);
      fixture.LoseDisk(b);
      auto lsn = WriteFile(fixture.volume(), *file, "written while degraded");
      ASSERT_TRUE(lsn.ok());
      Status synced = fixture.volume().Sync(*lsn);
      ASSERT_TRUE(synced.ok()) << synced.error().message();
      versions[*lsn] = "written while degraded";
      for (int pass = 0; pass < 2; ++pass) {
        for (const auto& [at, content] : versions) {
          auto view = fixture.volume().At(at);
          ASSERT_TRUE(view.ok()) << view.error().message();
          ASSERT_EQ(ContentOf(*view, "a"), content) << "pass " << pass << " @" << at.value;
        }
        if (pass == 0) {
          Status reopened = fixture.Reopen();
          ASSERT_TRUE(reopened.ok()) << reopened.error().message();
        }
      }
    }
  }
}

TEST(Volume, LosesAnyTwoDisksAtOnceWithThePower) {
  for (int a = 0; a < 6; ++a) {
    for (int b = a + 1; b < 6; ++b) {
      SCOPED_TRACE("lost " + std::to_string(a) + " and " + std::to_string(b));
      VolumeFixture fixture;
      fixture.FormatAndOpen();
      auto file = CreateFile(fixture.volume(), "a");
      ASSERT_TRUE(file.ok());
      auto first = WriteFile(fixture.volume(), *file, "first");
      auto second = WriteFile(fixture.volume(), *file, std::string(300'000, 's'));
      ASSERT_TRUE(first.ok() && second.ok());
      ASSERT_TRUE(fixture.volume().Sync(*second).ok());
      fixture.CutPower(static_cast<std::uint64_t>(a * 6 + b));
      fixture.LoseDisk(a);
      fixture.LoseDisk(b);
      Status opened = fixture.Open();
      ASSERT_TRUE(opened.ok()) << opened.error().message();
      EXPECT_EQ(ContentOf(fixture.volume().Now(), "a"), std::string(300'000, 's'));
      auto then = fixture.volume().At(*first);
      ASSERT_TRUE(then.ok());
      EXPECT_EQ(ContentOf(*then, "a"), "first");
    }
  }
}

TEST(Volume, RefusesToOpenWithThreeOfSixDisksLost) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  ASSERT_TRUE(fixture.Close().ok());
  for (int slot : {0, 2, 4}) fixture.LoseDisk(slot);
  Status opened = fixture.Open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), ErrorCode::kTooFewDisks) << opened.error().message();
}

TEST(Volume, GoesReadOnlyWhenTooFewDisksAreLeftAndSaysSo) {
  VolumeFixture fixture({1, 1}, 2);
  fixture.FormatAndOpen();
  auto file = CreateFile(fixture.volume(), "a");
  ASSERT_TRUE(file.ok());
  auto lsn = WriteFile(fixture.volume(), *file, "kept");
  ASSERT_TRUE(lsn.ok());
  ASSERT_TRUE(fixture.volume().Sync(*lsn).ok());
  ASSERT_TRUE(fixture.volume().At(*lsn).ok());
  fixture.LoseDisk(1);
  auto more = WriteFile(fixture.volume(), *file, "not kept");
  Status synced = more.ok() ? fixture.volume().Sync(*more) : Status(more.error());
  EXPECT_FALSE(synced.ok());
  EXPECT_FALSE(CreateFile(fixture.volume(), "b").ok());
  EXPECT_TRUE(fixture.volume().status().read_only);
  auto then = fixture.volume().At(*lsn);
  ASSERT_TRUE(then.ok()) << then.error().message();
  EXPECT_EQ(ContentOf(*then, "a"), "kept");
}

TEST(Volume, RebuildsADeletedCatalogWithTheSameHistory) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  std::map<Lsn, std::string> versions;
  std::mt19937_64 random(11);
  auto file = CreateFile(fixture.volume(), "a");
  ASSERT_TRUE(file.ok());
  for (int i = 0; i < 50; ++i) {
    const std::string content = RandomBytes(random, random() % 100'000);
    auto lsn = WriteFile(fixture.volume(), *file, content);
    ASSERT_TRUE(lsn.ok());
    versions[*lsn] = content;
    if (i % 10 == 0) {
      ASSERT_TRUE(fixture.Reopen().ok());
    }
  }
  ASSERT_TRUE(fixture.volume().At(fixture.volume().last_lsn()).ok());
  ASSERT_TRUE(fixture.Close().ok());
  int removed = 0;
  for (int slot = 0; slot < fixture.disk_count(); ++slot) {
    auto disks = fixture.OpenDisks();
    Disk& disk = *disks[static_cast<std::size_t>(slot)];
    auto names = disk.List("catalog/");
    ASSERT_TRUE(names.ok());
    for (const std::string& name : *names) {
      ASSERT_TRUE(disk.Remove(name).ok());
      ++removed;
    }
  }
  ASSERT_GT(removed, 0);
  Status opened = fixture.Open();
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  for (const auto& [lsn, content] : versions) {
    auto view = fixture.volume().At(lsn);
    ASSERT_TRUE(view.ok());
    ASSERT_EQ(ContentOf(*view, "a"), content);
  }
}

TEST(Volume, FullDisksRefuseWritesAndKeepWhatIsThere) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  auto kept = CreateFile(fixture.volume(), "kept");
  ASSERT_TRUE(kept.ok());
  auto lsn = WriteFile(fixture.volume(), *kept, std::string(100'000, 'k'));
  ASSERT_TRUE(lsn.ok());
  ASSERT_TRUE(fixture.volume().Sync(*lsn).ok());
  ASSERT_TRUE(fixture.volume().At(*lsn).ok());
  for (int slot = 0; slot < 6; ++slot) {
    fixture.platter(slot).SetCapacity(fixture.platter(slot).used_bytes());
  }
  auto file = CreateFile(fixture.volume(), "big");
  if (file.ok()) {
    auto big = WriteFile(fixture.volume(), *file, std::string(2'000'000, 'b'));
    Status synced = big.ok() ? fixture.volume().Sync(*big) : Status(big.error());
    ASSERT_FALSE(synced.ok());
    EXPECT_EQ(synced.error().code(), ErrorCode::kNoSpace) << synced.error().message();
  }
  EXPECT_EQ(ContentOf(fixture.volume().Now(), "kept"), std::string(100'000, 'k'));
  for (int slot = 0; slot < 6; ++slot) fixture.platter(slot).SetCapacity(1ULL << 30);
  auto again = CreateFile(fixture.volume(), "again");
  ASSERT_TRUE(again.ok()) << again.error().message();
  Status synced = fixture.volume().SyncAll();
  for (int i = 0; i < 3 && !synced.ok(); ++i) synced = fixture.volume().SyncAll();
  EXPECT_TRUE(synced.ok()) << synced.error().message();
  ASSERT_TRUE(fixture.Reopen().ok());
  EXPECT_EQ(ContentOf(fixture.volume().Now(), "kept"), std::string(100'000, 'k'));
}

// Whoever looks at the past waits for the catalog: not for ever.
TEST(Volume, FullDisksDoNotKeepAnybodyWaiting) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  auto kept = CreateFile(volume, "kept");
  ASSERT_TRUE(kept.ok());
  ASSERT_TRUE(volume.At(volume.last_lsn()).ok());
  // The journal is written ahead and has room; what follows it has none.
  for (int slot = 0; slot < 6; ++slot) {
    fixture.platter(slot).SetCapacity(fixture.platter(slot).used_bytes());
  }
  auto lsn = WriteFile(volume, *kept, std::string(1000, 'k'));
  ASSERT_TRUE(lsn.ok()) << lsn.error().message();
  ASSERT_TRUE(volume.Sync(*lsn).ok());
  const auto then = volume.At(*lsn);
  ASSERT_FALSE(then.ok());
  EXPECT_EQ(then.error().code(), ErrorCode::kNoSpace) << then.error().message();
  EXPECT_EQ(ContentOf(volume.Now(), "kept"), std::string(1000, 'k'));
  // Nothing is lost by closing: it is in the journal.
  EXPECT_TRUE(fixture.Close().ok());
  for (int slot = 0; slot < 6; ++slot) fixture.platter(slot).SetCapacity(1ULL << 30);
  ASSERT_TRUE(fixture.Open().ok());
  EXPECT_EQ(ContentOf(fixture.volume().Now(), "kept"), std::string(1000, 'k'));
}

TEST(Volume, TimesResolveToChanges) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  auto file = CreateFile(volume, "a");
  ASSERT_TRUE(file.ok());
  auto one = WriteFile(volume, *file, "one");
  ASSERT_TRUE(one.ok());
  auto time_one = volume.TimeOf(*one);
  ASSERT_TRUE(time_one.ok());
  fixture.clock().Advance(kNsPerSecond);
  auto two = WriteFile(volume, *file, "two");
  ASSERT_TRUE(two.ok());
  auto at = volume.LsnAtTime(*time_one + kNsPerSecond / 2);
  ASSERT_TRUE(at.ok()) << at.error().message();
  EXPECT_EQ(*at, *one);
  EXPECT_EQ(volume.LsnAtTime(0).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(volume.LsnAtTime(volume.NextTime() + kNsPerSecond).error().code(),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace varve
