#include "store/volume/rollback.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/support/changes.h"
#include "tests/support/volume_fixture.h"

namespace varve {
namespace {

Status CommitPlan(Volume& volume, Result<RollbackPlan> plan) {
  if (!plan.ok()) return plan.error();
  if (plan->change.operations.empty()) return {};
  ASSIGN_OR_RETURN(Lsn lsn, volume.Commit(std::move(plan->change)));
  return volume.Sync(lsn);
}

Result<InodeId> MakeDirectory(Volume& volume, InodeId parent, const std::string& name) {
  const InodeId inode{volume.AllocateId()};
  InodeAttributes attributes;
  attributes.mode = S_IFDIR | 0755;
  attributes.nlink = 2;
  attributes.parent = parent;
  Change change;
  change.kind = ChangeKind::kMakeDirectory;
  change.operations.emplace_back(PutInode{inode, attributes});
  change.operations.emplace_back(
      PutEntry{parent, Entry{name, inode, S_IFDIR, volume.AllocateId()}});
  ASSIGN_OR_RETURN([[maybe_unused]] Lsn lsn, volume.Commit(std::move(change)));
  return inode;
}

// Every path below `directory` with what it holds.
void Collect(const View& view, InodeId directory, const std::string& path,
             std::map<std::string, std::string>& tree) {
  auto entries =
      view.IsNow() ? view.List(directory, 0, 10000) : view.ListThen(directory, "", 10000);
  ASSERT_TRUE(entries.ok()) << entries.error().message();
  for (const Entry& entry : *entries) {
    auto attributes = view.GetInode(entry.inode);
    ASSERT_TRUE(attributes.ok());
    ASSERT_TRUE(attributes->has_value()) << path << "/" << entry.name;
    const std::string name = path + "/" + entry.name;
    if ((entry.type & S_IFMT) == S_IFDIR) {
      tree[name] = "directory";
      Collect(view, entry.inode, name, tree);
      continue;
    }
    std::string content((*attributes)->size, '?');
    Status read =
        view.Read((*attributes)->body, 0,
                  std::as_writable_bytes(std::span<char>(content.data(), content.size())));
    ASSERT_TRUE(read.ok()) << read.error().message();
    tree[name] = content + " nlink " + std::to_string((*attributes)->nlink);
  }
}

std::map<std::string, std::string> TreeOf(const View& view, InodeId directory = kRootInode) {
  std::map<std::string, std::string> tree;
  Collect(view, directory, "", tree);
  return tree;
}

// Moves an entry, as a rename does.
Status Move(Volume& volume, InodeId from, const std::string& name, InodeId to,
            const std::string& new_name) {
  ASSIGN_OR_RETURN(auto entry, volume.Now().Lookup(from, name));
  if (!entry) return Error(ErrorCode::kNotFound, name);
  ASSIGN_OR_RETURN(auto attributes, volume.Now().GetInode(entry->inode));
  attributes->parent = to;
  Change change;
  change.kind = ChangeKind::kRename;
  change.operations.emplace_back(RemoveEntry{from, name});
  change.operations.emplace_back(
      PutEntry{to, Entry{new_name, entry->inode, entry->type, volume.AllocateId()}});
  change.operations.emplace_back(PutInode{entry->inode, *attributes});
  ASSIGN_OR_RETURN([[maybe_unused]] Lsn lsn, volume.Commit(std::move(change)));
  return {};
}

TEST(Rollback, OfAFileBringsItsContentBackAndIsAVersionItself) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  auto file = CreateFile(volume, "a");
  ASSERT_TRUE(file.ok());
  auto good = WriteFile(volume, *file, std::string(200'000, 'g'));
  auto bad = WriteFile(volume, *file, "bad");
  ASSERT_TRUE(good.ok() && bad.ok());
  ASSERT_TRUE(CommitPlan(volume, PlanFileRollback(volume, file->inode, *good)).ok());
  EXPECT_EQ(ContentOf(volume.Now(), "a"), std::string(200'000, 'g'));
  ASSERT_TRUE(CommitPlan(volume, PlanFileRollback(volume, file->inode, *bad)).ok());
  EXPECT_EQ(ContentOf(volume.Now(), "a"), "bad");
}

TEST(Rollback, OfMoreThanFitsIntoMemoryIsRefused) {
  VolumeFixture fixture;
  fixture.options().max_rollback_bytes = 32 * 1024;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  const Lsn empty = volume.last_lsn();
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(CreateFile(volume, "file " + std::to_string(i)).ok());
  }
  const auto all = PlanTreeRollback(volume, kRootInode, empty);
  ASSERT_FALSE(all.ok());
  EXPECT_EQ(all.error().code(), ErrorCode::kTooLarge) << all.error().message();
  // Smaller ones are not.
  const Lsn late{volume.last_lsn().value - 2};
  ASSERT_TRUE(CommitPlan(volume, PlanTreeRollback(volume, kRootInode, late)).ok());
  EXPECT_EQ(TreeOf(volume.Now()).size(), 198U);
}

TEST(Rollback, OfAFileOfMoreChunksThanFitIntoMemoryIsRefused) {
  VolumeFixture fixture;
  fixture.options().max_rollback_bytes = 16 * 1024;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  auto file = CreateFile(volume, "a");
  ASSERT_TRUE(file.ok());
  const auto before = WriteFile(volume, *file, std::string(100 * kChunkBytes, 'a'));
  ASSERT_TRUE(before.ok());
  ASSERT_TRUE(WriteFile(volume, *file, std::string(100 * kChunkBytes, 'b')).ok());
  const auto plan = PlanFileRollback(volume, file->inode, *before);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code(), ErrorCode::kTooLarge) << plan.error().message();
}

TEST(Rollback, PlansKnowWhatTheyTake) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  const Lsn empty = volume.last_lsn();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(CreateFile(volume, "file " + std::to_string(i)).ok());
  }
  auto file = CreateFile(volume, "a");
  ASSERT_TRUE(file.ok());
  const Lsn before = volume.last_lsn();
  ASSERT_TRUE(WriteFile(volume, *file, std::string(3 * kChunkBytes, 'a')).ok());
  for (auto plan : {PlanTreeRollback(volume, kRootInode, empty),
                    PlanFileRollback(volume, file->inode, before)}) {
    ASSERT_TRUE(plan.ok()) << plan.error().message();
    ASSERT_FALSE(plan->change.operations.empty());
    plan->change.lsn = Lsn{1};
    Encoder record;
    EncodeChange(plan->change, record);
    EXPECT_GE(plan->bytes, record.size());
  }
}

TEST(Rollback, OfAFileIsNotRefusedForWhatElseHasChanged) {
  VolumeFixture fixture;
  fixture.options().max_rollback_bytes = 4 * 1024;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  auto file = CreateFile(volume, "a");
  ASSERT_TRUE(file.ok());
  const auto good = WriteFile(volume, *file, "good");
  ASSERT_TRUE(good.ok());
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(CreateFile(volume, "file " + std::to_string(i)).ok());
  }
  ASSERT_TRUE(WriteFile(volume, *file, "bad").ok());
  ASSERT_TRUE(CommitPlan(volume, PlanFileRollback(volume, file->inode, *good)).ok());
  EXPECT_EQ(ContentOf(volume.Now(), "a"), "good");
}

TEST(Rollback, OfAFileThatDidNotExistThenIsRefused) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  const Lsn before = volume.last_lsn();
  auto file = CreateFile(volume, "a");
  ASSERT_TRUE(file.ok());
  auto plan = PlanFileRollback(volume, file->inode, before);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code(), ErrorCode::kNotFound);
}

TEST(Rollback, OfTheWholeTreeBringsBackEveryEarlierState) {
  const std::uint64_t seed = TestSeed(4711);
  std::mt19937_64 random(seed);
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  std::map<std::string, TestFile> files;
  std::vector<std::pair<Lsn, std::map<std::string, std::string>>> states;
  for (int step = 0; step < 120; ++step) {
    const std::string name = "f" + std::to_string(random() % 12);
    auto it = files.find(name);
    if (it == files.end()) {
      auto file = CreateFile(volume, name);
      ASSERT_TRUE(file.ok());
      files[name] = *file;
    } else if (random() % 4 == 0) {
      ASSERT_TRUE(RemoveFile(volume, it->second, name).ok());
      files.erase(it);
    } else {
      ASSERT_TRUE(
          WriteFile(volume, it->second, std::string(random() % 100'000, 'a' + step % 26)).ok());
    }
    if (step % 10 == 0) states.emplace_back(volume.last_lsn(), TreeOf(volume.Now()));
  }
  const auto latest = TreeOf(volume.Now());
  const Lsn end = volume.last_lsn();
  for (const auto& [lsn, tree] : states) {
    Status done = CommitPlan(volume, PlanTreeRollback(volume, kRootInode, lsn));
    ASSERT_TRUE(done.ok()) << done.error().message();
    ASSERT_EQ(TreeOf(volume.Now()), tree) << "rolled back to @" << lsn.value;
  }
  ASSERT_TRUE(CommitPlan(volume, PlanTreeRollback(volume, kRootInode, end)).ok());
  EXPECT_EQ(TreeOf(volume.Now()), latest);
  ASSERT_TRUE(fixture.Reopen().ok());
  EXPECT_EQ(TreeOf(fixture.volume().Now()), latest);
}

TEST(Rollback, OfADirectoryLeavesWhatHasMovedOutWhereItIs) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  auto inside = MakeDirectory(volume, kRootInode, "inside");
  auto outside = MakeDirectory(volume, kRootInode, "outside");
  ASSERT_TRUE(inside.ok() && outside.ok());
  auto sub = MakeDirectory(volume, *inside, "sub");
  ASSERT_TRUE(sub.ok());
  auto file = CreateFile(volume, "f");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(WriteFile(volume, *file, "precious").ok());
  ASSERT_TRUE(Move(volume, kRootInode, "f", *sub, "f").ok());
  const Lsn then = volume.last_lsn();
  const auto tree_then = TreeOf(volume.Now(), *inside);

  ASSERT_TRUE(Move(volume, *inside, "sub", *outside, "sub").ok());
  ASSERT_TRUE(WriteFile(volume, *file, "changed outside").ok());
  const auto outside_now = TreeOf(volume.Now(), *outside);
  Status done = CommitPlan(volume, PlanTreeRollback(volume, *inside, then));
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_EQ(TreeOf(volume.Now(), *inside), tree_then);
  EXPECT_EQ(TreeOf(volume.Now(), *outside), outside_now);
}

TEST(Rollback, OfADirectoryDropsWhatCameSince) {
  VolumeFixture fixture;
  fixture.FormatAndOpen();
  Volume& volume = fixture.volume();
  auto inside = MakeDirectory(volume, kRootInode, "inside");
  ASSERT_TRUE(inside.ok());
  const Lsn then = volume.last_lsn();
  auto sub = MakeDirectory(volume, *inside, "new");
  ASSERT_TRUE(sub.ok());
  auto file = CreateFile(volume, "f");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(Move(volume, kRootInode, "f", *sub, "f").ok());
  const Lsn later = volume.last_lsn();
  Status done = CommitPlan(volume, PlanTreeRollback(volume, *inside, then));
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_TRUE(TreeOf(volume.Now(), *inside).empty());
  auto attributes = volume.Now().GetInode(file->inode);
  ASSERT_TRUE(attributes.ok());
  EXPECT_TRUE(!attributes->has_value() || (*attributes)->nlink == 0);
  // And forward again: the rollback is a version like any other.
  done = CommitPlan(volume, PlanTreeRollback(volume, *inside, later));
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_EQ(TreeOf(volume.Now(), *inside).size(), 2u);
}

}  // namespace
}  // namespace varve
