#include "tools/paths.h"

#include <gtest/gtest.h>

#include "tests/support/temp_directory.h"

namespace varve {
namespace {

namespace bfs = boost::filesystem;

TEST(Paths, JoinAndTakeApart) {
  EXPECT_EQ(JoinPath("/a", "b/c"), "/a/b/c");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
  EXPECT_EQ(JoinPath("/a", ""), "/a");
  EXPECT_EQ(ParentOf("/a/b"), "/a");
  EXPECT_EQ(ParentOf("/a"), "/");
  EXPECT_EQ(BaseNameOf("/a/b"), "b");
}

TEST(Paths, WithinIsByWholeNames) {
  EXPECT_TRUE(IsWithin("/a/b", "/a"));
  EXPECT_TRUE(IsWithin("/a", "/a"));
  EXPECT_TRUE(IsWithin("/a", "/"));
  EXPECT_FALSE(IsWithin("/ab", "/a"));
  EXPECT_FALSE(IsWithin("/a", "/a/b"));
}

class Splitting : public testing::Test {
 protected:
  Splitting() : root_(bfs::canonical(directory_.path()).string()) {
    bfs::create_directories(directory_ / "there/below");
    bfs::create_symlink("there", directory_ / "link");
  }
  PartialPath Split(const std::string& name) {
    auto partial = SplitAtExisting(directory_ / name);
    EXPECT_TRUE(partial.ok()) << (partial.ok() ? "" : partial.error().message());
    return partial.ok() ? *partial : PartialPath{};
  }
  TempDirectory directory_;
  const std::string root_;
};

TEST_F(Splitting, AnExistingDirectoryIsAllThere) {
  EXPECT_EQ(Split("there/below").ancestor, root_ + "/there/below");
  EXPECT_EQ(Split("there/below/").rest, "");
  EXPECT_EQ(Split("there/../there/./below").ancestor, root_ + "/there/below");
}

TEST_F(Splitting, WhatIsGoneIsTheRest) {
  EXPECT_EQ(Split("there/gone/too//now").ancestor, root_ + "/there");
  EXPECT_EQ(Split("there/gone/too//now").rest, "gone/too/now");
  EXPECT_EQ(Split("there/gone").full(), root_ + "/there/gone");
}

TEST_F(Splitting, LinksOnTheWayAreFollowedAndALastOneIsNot) {
  EXPECT_EQ(Split("link/gone").ancestor, root_ + "/there");
  EXPECT_EQ(Split("link").ancestor, root_);
  EXPECT_EQ(Split("link").rest, "link");
}

TEST_F(Splitting, DotDotBelowWhatIsGoneIsRefused) {
  EXPECT_FALSE(SplitAtExisting(directory_ / "gone/../there").ok());
  EXPECT_FALSE(SplitAtExisting("").ok());
}

}  // namespace
}  // namespace varve
