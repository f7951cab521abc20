#include "tools/find_disks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/filesystem.hpp>

#include "store/disk/disk_label.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class FindingDisks : public testing::Test {
 protected:
  // The label of slot `slot` of a volume with the members at these directories.
  DiskLabel LabelFor(const std::vector<std::string>& names, int slot, Epoch epoch = Epoch{1}) {
    DiskLabel label;
    label.volume_uuid = volume_uuid_;
    label.geometry = {2, 1};
    label.epoch = epoch;
    label.epoch_id = Uuid::Random();
    label.slot = DiskIndex(static_cast<std::uint8_t>(slot));
    for (const std::string& name : names) {
      label.slots.push_back({.disk_uuid = uuids_.try_emplace(name, Uuid::Random()).first->second,
                             .state = SlotState::kActive,
                             .last_path = Path(name)});
    }
    label.disk_uuid = label.slots[static_cast<std::size_t>(slot)].disk_uuid;
    return label;
  }

  void Make(const std::string& name, const DiskLabel& label) {
    boost::filesystem::create_directory(Path(name));
    auto disk = OpenPosixDisk(Path(name), DiskAccess::kReadWrite);
    ASSERT_TRUE(disk.ok());
    ASSERT_TRUE(WriteLabel(**disk, label).ok());
  }

  std::string Path(const std::string& name) const {
    return boost::filesystem::canonical(root_.path()).string() + "/" + name;
  }

  static std::vector<std::string> Paths(const Result<FoundDisks>& found) {
    EXPECT_TRUE(found.ok()) << found.error().message();
    std::vector<std::string> paths;
    if (!found.ok()) return paths;
    for (const auto& disk : found->disks) paths.push_back(disk->Describe());
    return paths;
  }

  TempDirectory root_;
  Uuid volume_uuid_ = Uuid::Random();
  std::map<std::string, Uuid> uuids_;
};

TEST_F(FindingDisks, FindsTheOthersByTheLabelOfOne) {
  for (int slot = 0; slot < 3; ++slot) {
    Make(std::string(1, static_cast<char>('a' + slot)), LabelFor({"a", "b", "c"}, slot));
  }
  auto found = FindDisks({Path("b")}, DiskAccess::kReadWrite);
  EXPECT_THAT(Paths(found), UnorderedElementsAre(Path("a"), Path("b"), Path("c")));
  EXPECT_THAT(found->notes, IsEmpty());
}

TEST_F(FindingDisks, OpensADiskNamedTwiceOnce) {
  Make("a", LabelFor({"a", "b", "c"}, 0));
  boost::filesystem::create_symlink(Path("a"), Path("link"));
  auto found = FindDisks({Path("a"), Path("link"), Path("a") + "/."}, DiskAccess::kReadWrite);
  EXPECT_THAT(Paths(found), ElementsAre(Path("a")));
}

TEST_F(FindingDisks, SaysWhereItLookedForWhatIsMissing) {
  Make("a", LabelFor({"a", "b", "c"}, 0));
  boost::filesystem::create_directory(Path("b"));  // empty
  auto found = FindDisks({Path("a")}, DiskAccess::kReadWrite);
  EXPECT_THAT(Paths(found), ElementsAre(Path("a")));
  EXPECT_THAT(found->notes, ElementsAre(HasSubstr(Path("b")), HasSubstr(Path("c"))));
}

TEST_F(FindingDisks, TakesALockedMemberForAnErrorAndNotForLost) {
  Make("a", LabelFor({"a", "b", "c"}, 0));
  Make("b", LabelFor({"a", "b", "c"}, 1));
  auto held = OpenPosixDisk(Path("b"), DiskAccess::kReadWrite);
  ASSERT_TRUE(held.ok());
  auto found = FindDisks({Path("a")}, DiskAccess::kReadWrite);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(found.error().message(), HasSubstr(Path("b")));
}

TEST_F(FindingDisks, LeavesOutDisksOfOtherVolumes) {
  Make("a", LabelFor({"a", "b", "c"}, 0));
  DiskLabel other = LabelFor({"x", "b", "z"}, 1);
  other.volume_uuid = Uuid::Random();
  Make("b", other);
  auto found = FindDisks({Path("a")}, DiskAccess::kReadWrite);
  EXPECT_THAT(Paths(found), ElementsAre(Path("a")));
  EXPECT_THAT(found->notes, testing::Contains(HasSubstr("another volume")));
}

TEST_F(FindingDisks, IsNotLedToADiskThatHasBeenReplaced) {
  // Slot 1 was "old" and is "new" since epoch 2; "c" was away then and still believes in "old".
  Make("a", LabelFor({"a", "new", "c"}, 0, Epoch{2}));
  Make("new", LabelFor({"a", "new", "c"}, 1, Epoch{2}));
  Make("c", LabelFor({"a", "old", "c"}, 2));
  Make("old", LabelFor({"a", "old", "c"}, 1));
  auto found = FindDisks({Path("c")}, DiskAccess::kReadWrite);
  EXPECT_THAT(Paths(found), UnorderedElementsAre(Path("a"), Path("new"), Path("c")));
  EXPECT_THAT(found->notes, ElementsAre(HasSubstr("replaced")));
}

}  // namespace
}  // namespace varve
