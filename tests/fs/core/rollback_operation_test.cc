// Rollback through the filesystem: open files, caches, durability.
#include <algorithm>

#include "tests/fs/core/filesystem_fixture.h"

namespace varve {
namespace {

using Rollback = FilesystemFixture;

TEST_F(Rollback, OfAFileIsAVersionAndCanBeRolledBack) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const Lsn first = Last();
  VARVE_ASSERT_OK(Write("f", "two and more"));
  const Lsn second = Last();
  VARVE_ASSERT_OK(fs().Rollback("/f", first));
  EXPECT_EQ(ReadAll("f"), "one");
  VARVE_ASSERT_OK(fs().Rollback("/f", second));
  EXPECT_EQ(ReadAll("f"), "two and more");
  EXPECT_EQ(ReadAll(Then(second, "f")), "two and more");
  Remount();
  EXPECT_EQ(ReadAll("f"), "two and more");
}

TEST_F(Rollback, IsSeenByThoseWhoHaveTheFileOpen) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const Lsn first = Last();
  const FileHandle handle = Open("f", O_RDWR);
  VARVE_ASSERT_OK(WriteAt(handle, 0, "dirty bytes"));
  VARVE_ASSERT_OK(fs().Rollback("f", first));
  EXPECT_EQ(ReadAt(handle, 0, 20), "one");
  EXPECT_EQ(ReadAll(Then(Lsn(Last().value - 1), "f")), "dirty bytes") << "cut before";
  VARVE_ASSERT_OK(WriteAt(handle, 3, "!"));
  VARVE_ASSERT_OK(CloseFile(handle));
  EXPECT_EQ(ReadAll("f"), "one!");
}

TEST_F(Rollback, OfTheTreeBringsBackWhatWasRemovedAndRemovesWhatCame) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/f", "text"));
  VARVE_ASSERT_OK(Write("g", "old"));
  const Lsn then = Last();
  VARVE_ASSERT_OK(Remove("d/f"));
  VARVE_ASSERT_OK(RemoveDirectory("d"));
  VARVE_ASSERT_OK(Write("g", "new"));
  VARVE_ASSERT_OK(Write("came", "later"));
  const FileHandle came = Open("came", O_RDWR);
  VARVE_ASSERT_OK(fs().Rollback("/", then));
  EXPECT_EQ(ReadAll("d/f"), "text");
  EXPECT_EQ(ReadAll("g"), "old");
  EXPECT_FALSE(Exists("came"));
  EXPECT_EQ(ReadAt(came, 0, 10), "later") << "open files outlive their names";
  VARVE_EXPECT_OK(CloseFile(came));
  EXPECT_EQ(Names(""), (std::vector<std::string>{"d", "g"}));
}

// Its attributes say where it was linked last, and that link is gone.
TEST_F(Rollback, FindsAFileByTheNameThatIsLeft) {
  VARVE_ASSERT_OK(MakeDirectory("first"));
  VARVE_ASSERT_OK(MakeDirectory("last"));
  VARVE_ASSERT_OK(Write("first/f", "old"));
  const Lsn unlinked = Last();
  VARVE_ASSERT_OK(Link("first/f", "last/f"));
  VARVE_ASSERT_OK(fs().Rollback("last", unlinked));
  EXPECT_FALSE(Exists("last/f"));
  const Lsn then = Last();
  VARVE_ASSERT_OK(Write("first/f", "new and longer"));
  VARVE_ASSERT_OK(fs().Rollback("/", then));
  EXPECT_EQ(ReadAll("first/f"), "old");
}

TEST_F(Rollback, TellsWhatTheKernelMustForget) {
  VARVE_ASSERT_OK(MakeDirectory("d"));
  VARVE_ASSERT_OK(Write("d/f", "old"));
  const Lsn then = Last();
  VARVE_ASSERT_OK(Write("d/f", "new"));
  VARVE_ASSERT_OK(Write("d/g", "new"));
  const NodeId file = Node("d/f");
  const NodeId directory = Node("d");
  Invalidations told;
  fs().OnInvalidate([&](const Invalidations& invalidations) {
    told = invalidations;
    EXPECT_EQ(ReadAll("d/f"), "old") << "called without locks";
  });
  const Result<Filesystem::RollbackResult> result = fs().Rollback("d", then);
  VARVE_ASSERT_OK(result);
  EXPECT_EQ(result->lsn, Last());
  EXPECT_GT(result->changed, 0u);
  EXPECT_TRUE(std::count(told.nodes.begin(), told.nodes.end(), file));
  EXPECT_TRUE(std::any_of(told.names.begin(), told.names.end(), [&](const auto& name) {
    return name.parent == directory && name.name == "g";
  }));
}

TEST_F(Rollback, RefusesWhatMakesNoSense) {
  VARVE_ASSERT_OK(Write("f", "x"));
  EXPECT_EQ(CodeOf(fs().Rollback("f", Lsn(1))), ErrorCode::kNotFound) << "it did not exist then";
  EXPECT_EQ(CodeOf(fs().Rollback("f", Lsn(0))), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().Rollback("f", Lsn(1 << 30))), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().Rollback("nothing", Last())), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(fs().Rollback("nothing/below", Last())), ErrorCode::kNotFound);
  const Lsn before = Last();
  VARVE_EXPECT_OK(fs().Rollback("/", before));
  EXPECT_EQ(Last(), before) << "nothing differs, nothing is committed";
}

}  // namespace
}  // namespace varve
