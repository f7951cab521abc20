// A volume that is filled to its end through the mount.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>
#include <thread>

#include "store/base/unique_fd.h"
#include "tests/mount/full_volume_fixture.h"

namespace varve {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kDiskBytes = 64 * kMiB;
const std::vector<std::uint64_t> kSixDisks(6, kDiskBytes);

class FullTest : public FullVolumeTest {
 protected:
  // Until not even a file of one block is taken.
  void FillToTheLastBlock(Sync sync) {
    Fill({.prefix = "large", .sync = sync});
    Fill({.prefix = "small", .file_bytes = 4096, .write_bytes = 4096, .refusals = 3});
  }

  std::string Then(const std::string& when) const { return volume_ / (".snapshots/" + when); }

  // Everything but writing goes on, and what there was is still there.
  void CheckThatTheRestWorks(const std::string& before) {
    CheckFiles(volume_.mountpoint());
    const std::string full = Now();
    EXPECT_EQ(::rename((volume_ / "large0").c_str(), (volume_ / "moved").c_str()), 0)
        << std::strerror(errno);
    EXPECT_EQ(::unlink((volume_ / "large1").c_str()), 0) << std::strerror(errno);
    EXPECT_EQ(::chmod((volume_ / "moved").c_str(), 0600), 0) << std::strerror(errno);
    EXPECT_FALSE(PathExists(volume_ / "large1"));
    CheckFiles(Then(full));
    EXPECT_TRUE(ListNames(Then(before)).empty());
    const RunResult rolled = volume_.Run({"rollback", volume_.mountpoint(), "--to", full});
    EXPECT_EQ(rolled.status, 0) << rolled.err;
    CheckFiles(volume_.mountpoint());
    // Nothing is ever given back: the past holds on to it. Only what was deducted for work under
    // way when the disks became full comes free when that is done, far less than the file removed.
    int more = 0;
    do {
      files_.push_back(WriteOne("more" + std::to_string(more), kMiB, kMiB, true));
    } while (files_.back().closed && ++more < 4);
    EXPECT_THAT(files_.back().refused, HasSubstr("No space left on device"));
  }

  void CheckAnewAndDeeply() {
    Remount();
    CheckFiles(volume_.mountpoint());
    const RunResult unmounted = volume_.Unmount();
    ASSERT_EQ(unmounted.status, 0) << unmounted.err;
    const RunResult checked = volume_.Run({"fsck", "-n", "--deep", volume_.disk(0)});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  }
};

TEST_F(FullTest, EveryWriterIsToldAndEverythingElseGoesOn) {
  Begin(kSixDisks);
  const std::string before = Now();
  FillToTheLastBlock(Sync::kEveryOther);
  EXPECT_GT(files_.size(), 10u);
  CheckThatTheRestWorks(before);
  CheckAnewAndDeeply();
}

TEST_F(FullTest, WithAWritebackCacheTooEveryWriterIsTold) {
  Begin(kSixDisks, "writeback");
  const std::string before = Now();
  FillToTheLastBlock(Sync::kEveryOther);
  EXPECT_GT(files_.size(), 10u);
  CheckThatTheRestWorks(before);
  CheckAnewAndDeeply();
}

// What df says must be what can be written, of data that do not compress, but for a twentieth (the
// padding of stripes) and a file of the filling's size, which is taken whole or not at all. It may
// be less by what the journal and the catalog, which lie on some disks and not on others, need
// besides: a few MiB on the fullest disk, and so that much in each of four columns.
class SpaceTest : public FullTest {
 protected:
  void CompareSpaceWithWhatIsTaken() {
    struct statvfs space{};
    ASSERT_EQ(::statvfs(volume_.mountpoint().c_str(), &space), 0);
    EXPECT_LE(space.f_bavail, space.f_bfree);
    EXPECT_LE(space.f_bfree, space.f_blocks);
    const std::uint64_t said = AvailableBytes();
    const std::uint64_t before = AcceptedBytes();
    constexpr std::uint64_t kFileBytes = 2 * kMiB;
    Fill({.prefix = "taken", .file_bytes = kFileBytes, .sync = Sync::kEveryOther});
    const std::uint64_t taken = AcceptedBytes() - before;
    std::cout << "df said " << said / kMiB << " MiB, " << taken / kMiB << " were taken"
              << std::endl;
    const std::uint64_t tolerance = said / 20 + kFileBytes;
    constexpr std::uint64_t kOwnNeeds = 4 * (4 * kMiB);
    EXPECT_GE(taken + tolerance + kOwnNeeds, said);
    EXPECT_LE(taken, said + tolerance);
    EXPECT_LE(AvailableBytes(), tolerance);
    CheckFiles(volume_.mountpoint());
  }

  // Waits until the daemon has looked at its disks again, which it does once a second.
  std::uint64_t AvailableAfterALook() const {
    std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    return AvailableBytes();
  }
};

TEST_F(SpaceTest, DfSaysWhatCanBeWritten) {
  Begin(std::vector<std::uint64_t>(6, 96 * kMiB));
  CompareSpaceWithWhatIsTaken();
}

TEST_F(SpaceTest, DfSaysItOfDisksOfUnequalSize) {
  Begin({2 * kDiskBytes, kDiskBytes, 3 * kDiskBytes, 2 * kDiskBytes, 2 * kDiskBytes, kDiskBytes});
  CompareSpaceWithWhatIsTaken();
}

TEST_F(SpaceTest, DfSaysItOfMoreDisksThanAStripeIsWide) {
  Begin(std::vector<std::uint64_t>(8, kDiskBytes));
  CompareSpaceWithWhatIsTaken();
}

TEST_F(SpaceTest, DfSaysItWithTwoDisksGone) {
  Begin(kSixDisks);
  const std::uint64_t whole = AvailableBytes();
  Fill({.prefix = "before", .file_bytes = 4 * kMiB, .refusals = 0, .most_files = 10});
  LoseDisk(1);
  LoseDisk(4);
  // Four disks are left, two of which hold what two others lack: half the room, for half the data.
  EXPECT_LT(AvailableAfterALook(), whole / 2);
  CompareSpaceWithWhatIsTaken();
}

TEST_F(SpaceTest, WhatIsWrittenIsNoLongerFreeAndWhatIsRemovedIsNot) {
  Begin(kSixDisks);
  const std::uint64_t before = AvailableBytes();
  const FilledFile file = WriteOne("file", 40 * kMiB, kMiB, true);
  ASSERT_TRUE(file.closed);
  const std::uint64_t after = AvailableAfterALook();
  EXPECT_NEAR(static_cast<double>(before - after), 40.0 * kMiB, 8.0 * kMiB);
  ASSERT_EQ(::unlink((volume_ / "file").c_str()), 0);
  EXPECT_NEAR(static_cast<double>(AvailableAfterALook()), static_cast<double>(after), 4.0 * kMiB);
}

TEST_F(SpaceTest, DuCountsWhatIsInAFileAndDfWhatItTakes) {
  Begin(kSixDisks);
  const std::uint64_t before = AvailableBytes();
  WriteFile(volume_ / "text", std::string(40 * kMiB, 't'));
  struct stat stat{};
  ASSERT_EQ(::stat((volume_ / "text").c_str(), &stat), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(stat.st_blocks) * 512, 40 * kMiB);
  EXPECT_LT(before - AvailableAfterALook(), 8 * kMiB);  // it compresses
}

TEST_F(FullTest, AStoreIntoAMappingIsRefusedByMsync) {
  Begin(kSixDisks);
  const std::string path = volume_ / "mapped";
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_EQ(::ftruncate(fd.get(), 16 * kMiB), 0);  // holes: nothing is kept for them
  FillToTheLastBlock(Sync::kNone);
  char* const mapped = static_cast<char*>(
      ::mmap(nullptr, 16 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  ASSERT_NE(mapped, MAP_FAILED);
  const std::string bytes = BytesOf(1'000'000, 0, 16 * kMiB);
  std::memcpy(mapped, bytes.data(), bytes.size());
  EXPECT_NE(::msync(mapped, 16 * kMiB, MS_SYNC), 0);
  EXPECT_EQ(errno, ENOSPC);
  ::munmap(mapped, 16 * kMiB);
}

// Changes without data are taken for longer, but not for ever; the last ones are refused too, and
// clearly, and then everything can still be read and mounted anew.
TEST_F(FullTest, ChangesWithoutDataAreRefusedBeforeTheDisksAreFull) {
  Begin(kSixDisks);
  FillToTheLastBlock(Sync::kNone);
  const std::string name = volume_ / "large0";
  constexpr int kMostChanges = 400'000;
  int changes = 0;
  while (changes < kMostChanges && ::chmod(name.c_str(), changes % 2 == 0 ? 0600 : 0644) == 0) {
    ++changes;
  }
  ASSERT_LT(changes, kMostChanges) << "chmod is never refused";
  EXPECT_EQ(errno, ENOSPC);
  std::cout << changes << " changes without data were taken" << std::endl;
  EXPECT_GT(changes, 1000);
  EXPECT_EQ(::unlink(name.c_str()), -1);
  EXPECT_EQ(errno, ENOSPC);
  CheckFiles(volume_.mountpoint());
  CheckAnewAndDeeply();
}

}  // namespace
}  // namespace varve
