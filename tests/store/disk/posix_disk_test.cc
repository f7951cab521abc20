#include "store/disk/posix_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "store/disk/disk_label.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

namespace fs = boost::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PosixDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(path_);
    Reopen();
  }
  void Reopen(DiskAccess access = DiskAccess::kReadWrite) {
    disk_.reset();
    auto disk = OpenPosixDisk(path_, access);
    ASSERT_TRUE(disk.ok()) << disk.error().message();
    disk_ = std::move(disk).value();
  }
  void PutFile(const std::string& name, const std::string& text) {
    std::ofstream(path_ + "/" + name) << text;
  }

  TempDirectory parent_;
  const std::string path_ = parent_ / "disk";
  std::unique_ptr<Disk> disk_;
};

TEST_F(PosixDiskTest, RefusesADirectoryThatIsNotThere) {
  auto disk = OpenPosixDisk(parent_ / "none", DiskAccess::kReadWrite);
  ASSERT_FALSE(disk.ok());
  EXPECT_EQ(disk.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(disk.error().message(), HasSubstr(parent_ / "none"));
}

TEST_F(PosixDiskTest, RefusesAFile) {
  PutFile("file", "x");
  auto disk = OpenPosixDisk(path_ + "/file", DiskAccess::kReadWrite);
  ASSERT_FALSE(disk.ok());
  EXPECT_EQ(disk.error().code(), ErrorCode::kNotDirectory);
}

TEST_F(PosixDiskTest, LocksOutASecondWriter) {
  for (DiskAccess access : {DiskAccess::kReadWrite, DiskAccess::kReadOnly}) {
    auto second = OpenPosixDisk(path_, access);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code(), ErrorCode::kBusy);
    EXPECT_THAT(second.error().message(), HasSubstr(path_));
  }
  disk_.reset();
  EXPECT_TRUE(OpenPosixDisk(path_, DiskAccess::kReadWrite).ok());
}

TEST_F(PosixDiskTest, SharesTheLockAmongReaders) {
  Reopen(DiskAccess::kReadOnly);
  EXPECT_TRUE(OpenPosixDisk(path_, DiskAccess::kReadOnly).ok());
  EXPECT_FALSE(OpenPosixDisk(path_, DiskAccess::kReadWrite).ok());
}

TEST_F(PosixDiskTest, ChangesNothingWhenReadOnly) {
  ASSERT_TRUE(WriteAtomically(*disk_, "seg/a", AsBytes("x")).ok());
  Reopen(DiskAccess::kReadOnly);
  EXPECT_TRUE(disk_->Open("seg/a", OpenMode::kRead).ok());
  for (OpenMode mode : {OpenMode::kReadWrite, OpenMode::kCreate, OpenMode::kCreateNew}) {
    auto file = disk_->Open("other/b", mode);
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.error().code(), ErrorCode::kReadOnly);
  }
  EXPECT_EQ(disk_->Remove("seg/a").error().code(), ErrorCode::kReadOnly);
  EXPECT_EQ(disk_->Rename("seg/a", "b").error().code(), ErrorCode::kReadOnly);
  EXPECT_TRUE(disk_->SyncNames().ok());
  EXPECT_THAT(*disk_->List(""), ElementsAre("seg/a"));
  EXPECT_FALSE(fs::exists(path_ + "/other"));
}

TEST_F(PosixDiskTest, FollowsNoSymbolicLinkInside) {
  fs::create_directory(parent_ / "outside");
  std::ofstream(parent_ / "outside/secret") << "secret";
  fs::create_symlink(parent_ / "outside", path_ + "/group");
  fs::create_symlink(parent_ / "outside/secret", path_ + "/link");
  EXPECT_FALSE(disk_->Open("group/secret", OpenMode::kRead).ok());
  EXPECT_FALSE(disk_->Open("group/new", OpenMode::kCreate).ok());
  EXPECT_FALSE(disk_->Open("link", OpenMode::kReadWrite).ok());
  EXPECT_FALSE(disk_->Open("link", OpenMode::kCreate).ok());
  EXPECT_FALSE(disk_->Remove("group/secret").ok());
  ASSERT_TRUE(WriteAtomically(*disk_, "mine", AsBytes("x")).ok());
  EXPECT_FALSE(disk_->Rename("mine", "group/mine").ok());
  EXPECT_THAT(*disk_->List(""), ElementsAre("mine"));
  EXPECT_EQ(std::distance(fs::directory_iterator(parent_ / "outside"), {}), 1);
}

TEST_F(PosixDiskTest, ReplacesALinkInsteadOfWritingThroughIt) {
  std::ofstream(parent_ / "outside") << "secret";
  fs::create_symlink(parent_ / "outside", path_ + "/link");
  ASSERT_TRUE(WriteAtomically(*disk_, "link", AsBytes("mine")).ok());
  EXPECT_EQ(fs::file_size(parent_ / "outside"), 6u);
  EXPECT_EQ(fs::file_size(path_ + "/link"), 4u);
}

TEST_F(PosixDiskTest, SeesOnlyRegularFilesWithObjectNames) {
  ASSERT_EQ(::mkfifo((path_ + "/fifo").c_str(), 0600), 0);
  fs::create_directories(path_ + "/lost+found");
  fs::create_directories(path_ + "/group/deeper");
  PutFile("lost+found/a", "x");
  PutFile("group/deeper/a", "x");
  PutFile("group/a", "x");
  PutFile("a file", "x");
  EXPECT_THAT(*disk_->List(""), ElementsAre("group/a"));
  EXPECT_FALSE(disk_->Open("fifo", OpenMode::kRead).ok());  // and does not hang
  EXPECT_FALSE(disk_->Open("group", OpenMode::kRead).ok());
}

TEST_F(PosixDiskTest, KeepsItsFilesPrivate) {
  ASSERT_TRUE(WriteAtomically(*disk_, "seg/a", AsBytes("x")).ok());
  EXPECT_EQ(fs::status(path_ + "/seg").permissions(), fs::perms(0700));
  EXPECT_EQ(fs::status(path_ + "/seg/a").permissions(), fs::perms(0600));
}

TEST_F(PosixDiskTest, DescribesItselfByAnAbsolutePath) {
  disk_.reset();
  fs::create_symlink(path_, parent_ / "alias");
  auto disk = OpenPosixDisk((parent_ / "alias") + "/../disk/.", DiskAccess::kReadWrite);
  ASSERT_TRUE(disk.ok());
  EXPECT_EQ(disk.value()->Describe(), fs::canonical(path_).string());
}

TEST_F(PosixDiskTest, TellsTheDeviceOfItsDirectory) {
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(disk_->Space()->device, static_cast<std::uint64_t>(info.st_dev));
}

TEST_F(PosixDiskTest, ProbeNoticesThatTheDirectoryIsGone) {
  ASSERT_TRUE(disk_->Probe().ok());
  fs::remove_all(path_);
  ASSERT_FALSE(disk_->Probe().ok());
  EXPECT_EQ(disk_->Probe().error().code(), ErrorCode::kDiskLost);
  EXPECT_THAT(disk_->Probe().error().message(), HasSubstr(path_));
}

TEST_F(PosixDiskTest, ProbeNoticesThatAnotherDirectoryIsInItsPlace) {
  fs::rename(path_, parent_ / "moved");
  EXPECT_FALSE(disk_->Probe().ok());
  fs::create_directory(path_);
  EXPECT_FALSE(disk_->Probe().ok());
  fs::remove(path_);
  fs::rename(parent_ / "moved", path_);
  EXPECT_TRUE(disk_->Probe().ok());
}

TEST_F(PosixDiskTest, ProbeNoticesThatTheDiskHasBeenEmptied) {
  ASSERT_TRUE(WriteAtomically(*disk_, kLabelObject, AsBytes("x")).ok());
  ASSERT_TRUE(disk_->Probe().ok());
  fs::remove(path_ + "/label");
  EXPECT_FALSE(disk_->Probe().ok());
  PutFile("label", "x");
  Reopen();
  EXPECT_TRUE(disk_->Probe().ok());
  ASSERT_TRUE(disk_->Remove(kLabelObject).ok());
  EXPECT_TRUE(disk_->Probe().ok());  // it was us
}

TEST_F(PosixDiskTest, CannotCreateInARemovedDirectory) {
  fs::remove_all(path_);
  EXPECT_FALSE(disk_->Open("a", OpenMode::kCreate).ok());
  EXPECT_FALSE(disk_->Open("seg/a", OpenMode::kCreate).ok());
}

TEST_F(PosixDiskTest, SyncNamesFailsOnceAGroupIsGoneAndStaysFailed) {
  {
    ASSERT_TRUE(disk_->Open("seg/a", OpenMode::kCreate).ok());
  }
  fs::remove_all(path_ + "/seg");
  EXPECT_FALSE(disk_->SyncNames().ok());
  fs::create_directory(path_ + "/seg");
  EXPECT_FALSE(disk_->SyncNames().ok());
}

TEST_F(PosixDiskTest, WritesPastTheLimitOfTheFilesystemAreErrors) {
  auto file = disk_->Open("a", OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(file.value()->Write((1ULL << 62), AsBytes("x")).ok());
}

}  // namespace
}  // namespace varve
