#include "fs/core/version_lists.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

constexpr InodeId kDirectory{7};

VersionLists::List ListOf(std::size_t count) {
  VersionLists::List list;
  for (std::size_t i = 0; i < count; ++i) list["v" + std::to_string(i)] = {InodeId{9}, Lsn{i}};
  return list;
}

TEST(VersionLists, FindsWhatIsInTheListOfThatFileAlone) {
  VersionLists lists;
  EXPECT_FALSE(lists.HasListOf(kDirectory, "file"));
  EXPECT_FALSE(lists.Find(kDirectory, "file", "v1"));
  lists.Keep(kDirectory, "file", ListOf(3));
  EXPECT_TRUE(lists.HasListOf(kDirectory, "file"));
  ASSERT_TRUE(lists.Find(kDirectory, "file", "v2"));
  EXPECT_EQ(lists.Find(kDirectory, "file", "v2")->lsn, Lsn{2});
  EXPECT_FALSE(lists.Find(kDirectory, "file", "v3"));
  EXPECT_FALSE(lists.Find(kDirectory, "other", "v2"));
  EXPECT_FALSE(lists.Find(InodeId{8}, "file", "v2"));
}

TEST(VersionLists, ALaterListTakesThePlaceOfAnEarlierOne) {
  VersionLists lists;
  lists.Keep(kDirectory, "file", ListOf(3));
  lists.Keep(kDirectory, "file", ListOf(5));
  EXPECT_TRUE(lists.Find(kDirectory, "file", "v4"));
  lists.Keep(kDirectory, "file", {});
  EXPECT_FALSE(lists.HasListOf(kDirectory, "file"));
}

TEST(VersionLists, OldListsGiveWaySoThatMemoryIsBounded) {
  VersionLists lists;
  lists.Keep(kDirectory, "large", ListOf(VersionLists::kMostVersions));
  EXPECT_TRUE(lists.HasListOf(kDirectory, "large"));
  lists.Keep(kDirectory, "one more", ListOf(1));
  EXPECT_FALSE(lists.HasListOf(kDirectory, "large"));
  EXPECT_TRUE(lists.HasListOf(kDirectory, "one more"));
  lists.Keep(kDirectory, "too large", ListOf(VersionLists::kMostVersions + 1));
  EXPECT_FALSE(lists.HasListOf(kDirectory, "too large"));
  EXPECT_TRUE(lists.HasListOf(kDirectory, "one more"));
  for (int i = 0; i < 100; ++i) lists.Keep(kDirectory, std::to_string(i), ListOf(1));
  EXPECT_TRUE(lists.HasListOf(kDirectory, "99"));
  EXPECT_FALSE(lists.HasListOf(kDirectory, "1"));
}

}  // namespace
}  // namespace varve
