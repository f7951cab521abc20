#include "fs/control/mounts.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

constexpr std::string_view kTable =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "40 22 0:50 / /mnt/a rw,nosuid - fuse.varve varve\\043aaaa rw,user_id=1000,group_id=1000\n"
    "41 40 0:51 / /mnt/a/b\\040c rw - fuse.varve varve#bbbb ro,user_id=0,group_id=0\n"
    "42 22 0:52 / /mnt/a/other rw - tmpfs tmpfs rw\n"
    "43 22 0:51 /sub/dir /mnt/bind rw - fuse.varve varve#bbbb ro,user_id=0\n"
    "44 22 0:60 / /mnt/hidden rw - fuse.varve varve#cccc rw,user_id=0\n"
    "45 22 0:61 / /mnt/hidden rw - tmpfs tmpfs rw\n"
    "nonsense\n";

TEST(Mounts, AreReadFromTheKernelsTable) {
  const auto mounts = ParseVarveMounts(kTable);
  ASSERT_EQ(mounts.size(), 3u);  // the hidden one is not among them
  EXPECT_EQ(mounts[0].mountpoint, "/mnt/a");
  EXPECT_EQ(mounts[0].volume_uuid, "aaaa");
  EXPECT_EQ(mounts[0].user_id, 1000u);
  EXPECT_FALSE(mounts[0].read_only);
  EXPECT_EQ(mounts[1].mountpoint, "/mnt/a/b c");
  EXPECT_TRUE(mounts[1].read_only);
  EXPECT_EQ(mounts[2].root, "/sub/dir");
}

TEST(Mounts, TheLongestPrefixHoldsAPath) {
  const auto volume_of = [](std::string_view path) {
    const auto mount = FindMountOf(path, kTable);
    return mount.ok() ? mount->volume_uuid : std::string();
  };
  EXPECT_EQ(volume_of("/mnt/a"), "aaaa");
  EXPECT_EQ(volume_of("/mnt/a/x/y"), "aaaa");
  EXPECT_EQ(volume_of("/mnt/a/b c/x"), "bbbb");
  EXPECT_EQ(volume_of("/mnt/ab"), "");         // a longer name, not below
  EXPECT_EQ(volume_of("/mnt/a/other/x"), "");  // another filesystem in between
  EXPECT_EQ(volume_of("/mnt/hidden/x"), "");
  EXPECT_EQ(FindMountOf("/home", kTable).error().code(), ErrorCode::kNotFound);
}

TEST(Mounts, PathsAreSeenFromTheVolumesRoot) {
  const VarveMount whole{.mountpoint = "/mnt/a", .root = "/", .volume_uuid = ""};
  EXPECT_EQ(PathInVolume(whole, "/mnt/a"), "/");
  EXPECT_EQ(PathInVolume(whole, "/mnt/a/x/y"), "/x/y");
  const VarveMount bind{.mountpoint = "/mnt/bind", .root = "/sub/dir", .volume_uuid = ""};
  EXPECT_EQ(PathInVolume(bind, "/mnt/bind"), "/sub/dir");
  EXPECT_EQ(PathInVolume(bind, "/mnt/bind/x"), "/sub/dir/x");
  const VarveMount everything{.mountpoint = "/", .root = "/", .volume_uuid = ""};
  EXPECT_EQ(PathInVolume(everything, "/x"), "/x");
}

}  // namespace
}  // namespace varve
