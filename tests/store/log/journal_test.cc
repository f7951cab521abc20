#include "store/log/journal.h"

#include "tests/store/log/journal_fixture.h"

namespace varve {
namespace {

class Journaling : public JournalFixture {};

TEST_F(Journaling, ReadsBackWhatWasAppended) {
  Format(2, 1, 4);
  Start();
  for (int i = 0; i < 30; ++i) MustAppend(1 + i % 4, 10 + 100 * static_cast<std::size_t>(i));
  Restart();
  auto contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(BadReplicas(*contents), 0) << contents->findings[0].what;
}

TEST_F(Journaling, AnEmptyVolumeHasNoHistory) {
  Format(2, 1, 3);
  auto contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_TRUE(contents->changes.empty());
  EXPECT_FALSE(contents->checkpoint.has_value());
  EXPECT_EQ(contents->last_sequence, 0u);
}

TEST_F(Journaling, AllSortsOfChangesComeBack) {
  Format(2, 2, 5);
  Start();
  RandomChanges random(SeedFromEnvironment(9));
  for (std::uint64_t lsn = 1; lsn <= 60; ++lsn) {
    Change change = random.Next(Lsn{lsn}, 5);
    const Change* pointer = &change;
    ASSERT_TRUE(journal_->Append({&pointer, 1}).ok());
    appended_.push_back(EncodedChange(change));
  }
  acknowledged_ = 60;
  Restart();
}

TEST_F(Journaling, EverySegmentHasOneCopyMoreThanParityAndRotates) {
  Format(3, 1, 5);
  Start();
  for (int i = 0; i < 40; ++i) MustAppend(1, 20000);
  std::set<int> used;
  for (int disk = 0; disk < 5; ++disk) {
    for (const std::string& name : Objects(disk)) EXPECT_EQ(Holders(name).size(), 2u) << name;
    if (!Objects(disk).empty()) used.insert(disk);
  }
  EXPECT_EQ(used.size(), 5u);
}

TEST_F(Journaling, AFrameLargerThanASegmentMakesOneOfItsOwn) {
  Format(2, 1, 3);
  Start();
  MustAppend(1, 100);
  MustAppend(1, 900'000);
  MustAppend(3, 100);
  ASSERT_TRUE(journal_->PrepareNext().ok());
  MustAppend(1, 500'000);
  Restart();
  EXPECT_EQ(appended_.size(), 6u);
}

TEST_F(Journaling, ACallLargerThanASegmentGoesOverSeveral) {
  Format(2, 1, 3);
  Start();
  MustAppend(200, 3000);
  Restart();
  EXPECT_EQ(appended_.size(), 200u);
}

TEST_F(Journaling, AnAppendIsOneWriteAndOneSyncADisk) {
  Format(2, 1, 2 + 1);
  Start();
  auto total = [&](DiskOperation operation) {
    std::uint64_t count = 0;
    for (auto& controller : controllers_) count += controller->count(operation);
    return count;
  };
  const auto writes = total(DiskOperation::kWrite);
  const auto syncs = total(DiskOperation::kSync);
  MustAppend(20, 500);
  EXPECT_EQ(total(DiskOperation::kWrite) - writes, 2u);
  EXPECT_EQ(total(DiskOperation::kSync) - syncs, 2u);
}

TEST_F(Journaling, LosingAnyParityManyDisksLosesNothing) {
  Format(3, 2, 6);
  Start();
  for (int i = 0; i < 30; ++i) MustAppend(2, 9000);
  for (int a = 0; a < 6; ++a) {
    for (int b = a + 1; b < 6; ++b) {
      absent_ = {a, b};
      OpenDisks();
      SCOPED_TRACE(std::to_string(a) + "," + std::to_string(b));
      ExpectReadable();
    }
  }
}

TEST_F(Journaling, CheckpointedFreesWhatItCovers) {
  Format(2, 1, 4);
  Start();
  for (int i = 0; i < 20; ++i) MustAppend(1, 20000);
  const std::uint64_t before = journal_->bytes_since_checkpoint();
  EXPECT_GT(before, 20u * 20000);
  ASSERT_TRUE(journal_->PrepareNext().ok());
  CheckpointRef first = MakeCheckpoint(Lsn{1}, Lsn{12});
  Status status = journal_->Checkpointed(first);
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_LT(journal_->bytes_since_checkpoint(), before);
  EXPECT_GT(journal_->bytes_since_checkpoint(), 8u * 20000);
  MustAppend(3);
  Restart();
  auto contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(contents->checkpoint, first);
  EXPECT_EQ(contents->changes.front().lsn, Lsn{13});
  EXPECT_GT(journal_->bytes_since_checkpoint(), 8u * 20000);

  CheckpointRef second = MakeCheckpoint(Lsn{13}, Lsn{23}, 2000);  // a header of many blocks
  ASSERT_TRUE(journal_->Checkpointed(second).ok());
  EXPECT_EQ(journal_->bytes_since_checkpoint(), 0u);
  std::size_t objects = 0;
  for (int disk = 0; disk < 4; ++disk) objects += Objects(disk).size();
  EXPECT_EQ(objects, 2u);
  MustAppend(2);
  Restart();
  contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(contents->checkpoint, second);
  EXPECT_EQ(contents->changes.size(), 2u);
}

TEST_F(Journaling, ACheckpointThatDoesNotFollowIsRefused) {
  Format(2, 1, 3);
  Start();
  MustAppend(5);
  Status status = journal_->Checkpointed(MakeCheckpoint(Lsn{1}, Lsn{6}));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(journal_->Checkpointed(MakeCheckpoint(Lsn{1}, Lsn{4})).ok());
  EXPECT_FALSE(journal_->Checkpointed(MakeCheckpoint(Lsn{1}, Lsn{3})).ok());
  MustAppend();
}

TEST_F(Journaling, APreparedSegmentIsUsedAndNeverTakenForHistory) {
  Format(2, 1, 3);
  Start();
  ASSERT_TRUE(journal_->PrepareNext().ok());
  ASSERT_TRUE(journal_->PrepareNext().ok());  // there is one already
  const std::string prepared = Newest();
  auto contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_TRUE(contents->findings.empty()) << contents->findings[0].what;
  EXPECT_EQ(JournalObjectName(contents->last_sequence), prepared);
  for (int i = 0; i < 4; ++i) MustAppend(1, 20000);
  EXPECT_EQ(Newest(), prepared);
  Restart();
}

}  // namespace
}  // namespace varve
