#include "store/log/journal.h"

#include "tests/store/log/journal_fixture.h"

namespace varve {
namespace {

using testing::HasSubstr;

class Journaling : public JournalFixture {};

int BadReplicas(const JournalContents& contents) {
  return CountOf(contents.findings, FindingKind::kJournalReplicaBad, Severity::kRepairable);
}

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

TEST_F(Journaling, TheLongestChainAmongReplicasIsHistory) {
  Format(2, 2, 4);
  Start();
  MustAppend(1);
  const std::string name = Newest();
  const std::vector<int> holders = Holders(name);
  ASSERT_EQ(holders.size(), 3u);
  const ByteVector one = Bytes(holders[0], name);
  MustAppend(1);
  const ByteVector two = Bytes(holders[0], name);
  MustAppend(1);
  journal_.reset();
  // As if the power had gone before the second and third round reached all disks.
  Overwrite(holders[0], name, one);
  Overwrite(holders[1], name, two);
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  EXPECT_EQ(LastOf(*contents), 3u);
  ExpectAcknowledged(*contents);
  // The frame of LSN 3 says that LSN 2 was everywhere: the first copy is damaged, the second not.
  EXPECT_EQ(CountOf(contents->findings, FindingKind::kJournalReplicaBad, Severity::kRepairable), 2);
  EXPECT_EQ(CountOf(contents->findings, FindingKind::kJournalUnclean, Severity::kNote), 1);

  // Going on makes the tail as redundant as everything else, before anything new is written.
  StartAfter(*contents);
  for (int keep = 0; keep < 4; ++keep) {
    for (int other = keep + 1; other < 4; ++other) {
      absent_ = {keep, other};
      OpenDisks();
      ExpectReadable();
    }
  }
}

TEST_F(Journaling, ATornTailIsNotDamage) {
  Format(2, 1, 3);
  Start();
  MustAppend(2);
  const std::string name = Newest();
  const auto holders = Holders(name);
  const ByteVector before = Bytes(holders[0], name);
  MustAppend(1, 20000);
  acknowledged_ = 2;  // as if that call had never returned
  for (int holder : holders) {
    ByteVector torn = Bytes(holder, name);
    std::copy(before.begin() + 12288, before.end(), torn.begin() + 12288);
    Overwrite(holder, name, torn);
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  EXPECT_EQ(LastOf(*contents), 2u);
  EXPECT_EQ(BadReplicas(*contents), 0);
  EXPECT_EQ(CountOf(contents->findings, FindingKind::kJournalUnclean, Severity::kNote), 1);
  Restart();
  MustAppend(5);
  Restart();
  EXPECT_EQ(appended_.size(), 7u);
}

TEST_F(Journaling, FlippedBitsInAnyOneReplicaAreFoundAndSurvived) {
  const std::uint64_t seed = SeedFromEnvironment(11);
  RandomChanges random(seed);
  for (int round = 0; round < 25; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    Format(2, 1, 3);
    Start();
    for (int i = 0; i < 6; ++i) MustAppend(2, 6000);
    MustAppend(1);  // its frame says that all before it is everywhere
    journal_.reset();
    auto names = Objects(0);
    if (names.empty()) continue;
    const std::string name = names[random.Below(names.size())];
    auto bytes = Bytes(0, name);
    const std::uint64_t used = 30000;  // within what has been written of any segment
    ASSERT_TRUE(FlipBit(*Raw(0), name, random.Below(used), static_cast<int>(random.Below(8))).ok());
    OpenDisks();
    auto contents = Read();
    ASSERT_TRUE(contents.ok()) << contents.error().message();
    ExpectAcknowledged(*contents);
    Restart();
  }
}

TEST_F(Journaling, DamageAtDifferentPlacesOfEveryReplicaIsSurvived) {
  Format(2, 2, 4);
  Start();
  for (int i = 0; i < 8; ++i) MustAppend(1, 3000);
  const std::string name = Newest();
  const auto holders = Holders(name);
  // Frames are a block each: another one is broken on each replica, so that no replica is whole.
  for (std::size_t i = 0; i < holders.size(); ++i) {
    ASSERT_TRUE(FlipBit(*Raw(holders[i]), name, kJournalBlockBytes * (2 + i) + 777, 3).ok());
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  ExpectAcknowledged(*contents);
  EXPECT_GE(BadReplicas(*contents), 3);
  Restart();
  absent_ = {holders[0], holders[1]};
  OpenDisks();
  ExpectReadable();
}

TEST_F(Journaling, AcknowledgedChangesBrokenOnEveryReplicaAreAnErrorNotAShorterHistory) {
  Format(2, 1, 3);
  Start();
  for (int i = 0; i < 5; ++i) MustAppend(1, 100);
  const std::string name = Newest();
  for (int holder : Holders(name)) {
    ASSERT_TRUE(FlipBit(*Raw(holder), name, kJournalBlockBytes * 2 + 99, 0).ok());
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(contents.error().message(), HasSubstr("lacks changes 2 to 4"));
  EXPECT_FALSE(Journal::Start(*disks_, uuid_, 50, std::nullopt, options_).ok());
}

TEST_F(Journaling, AGapBetweenSegmentsNamesTheMissingChanges) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  const std::string first = Newest();
  Restart();
  MustAppend(4);
  const std::string second = Newest();
  Restart();
  MustAppend(2);
  ASSERT_NE(first, second);
  for (int holder : Holders(second)) ASSERT_TRUE(Raw(holder)->Remove(second).ok());
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(contents.error().message(), HasSubstr("lacks changes 4 to 7"));
}

TEST_F(Journaling, ATailLostFromTheLastButOneSegmentIsAGapEvenIfTheLastIsEmpty) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  const std::string first = Newest();
  MustAppend(1);
  Restart();
  for (int holder : Holders(first)) {
    ASSERT_TRUE(FlipBit(*Raw(holder), first, kJournalBlockBytes * 2 + 5, 0).ok());
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_THAT(contents.error().message(), HasSubstr("lacks changes 4 to 4"));
}

TEST_F(Journaling, AMissingReplicaIsFoundAndMadeAgain) {
  Format(2, 1, 4);
  Start();
  MustAppend(3);
  const std::string name = Newest();
  ASSERT_TRUE(Raw(Holders(name)[0])->Remove(name).ok());
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(BadReplicas(*contents), 1);
  Restart();
  EXPECT_EQ(Holders(name).size(), 2u);
  contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(BadReplicas(*contents), 0);
}

TEST_F(Journaling, AZeroedOrForeignObjectIsNeverTakenForHistory) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  const std::string name = Newest();
  const auto holders = Holders(name);
  const ByteVector mine = Bytes(holders[0], name);
  // Zeroed on one disk.
  Overwrite(holders[0], name, ByteVector(mine.size()));
  OpenDisks();
  ExpectReadable();
  // The same segment under another number.
  Overwrite(holders[0], name, mine);
  Overwrite(holders[1], JournalObjectName(99), mine);
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  EXPECT_EQ(contents->last_sequence, 99u);
  EXPECT_EQ(LastOf(*contents), 3u);
  EXPECT_EQ(BadReplicas(*contents), 1);
  ASSERT_TRUE(Raw(holders[1])->Remove(JournalObjectName(99)).ok());

  // A segment of another volume.
  auto ours = std::move(platters_);
  Format(2, 1, 3);
  Start();
  MustAppend(50, 1000);
  const ByteVector theirs = Bytes(Holders(JournalObjectName(1))[0], JournalObjectName(1));
  journal_.reset();
  disks_.reset();
  platters_ = std::move(ours);
  Overwrite(holders[0], JournalObjectName(7), theirs);
  OpenDisks();
  contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(LastOf(*contents), 3u);
  EXPECT_EQ(BadReplicas(*contents), 1);
  EXPECT_THAT(contents->findings[0].what, HasSubstr("belongs to volume"));
}

TEST_F(Journaling, FramesOfARecycledObjectAreNeverTakenForNewOnes) {
  Format(2, 1, 3);
  Start();
  MustAppend(1);
  const std::string name = Newest();
  const auto holders = Holders(name);
  const ByteVector old_object = Bytes(holders[0], name);
  journal_.reset();
  // The same number and the same LSNs again, over what the object held before.
  for (int disk = 0; disk < 3; ++disk) {
    for (const std::string& object : Objects(disk)) ASSERT_TRUE(Raw(disk)->Remove(object).ok());
  }
  appended_.clear();
  acknowledged_ = 0;
  OpenDisks();
  Start();
  ASSERT_EQ(Newest(), name);
  for (int holder : Holders(name)) {
    ByteVector mixed = Bytes(holder, name);
    std::copy(old_object.begin() + kJournalBlockBytes, old_object.end(),
              mixed.begin() + kJournalBlockBytes);
    Overwrite(holder, name, mixed);
  }
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok()) << contents.error().message();
  EXPECT_TRUE(contents->changes.empty());
}

TEST_F(Journaling, BrokenHeadersEverywhereAreAnError) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  const std::string name = Newest();
  for (int holder : Holders(name)) ASSERT_TRUE(FlipBit(*Raw(holder), name, 70, 0).ok());
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code(), ErrorCode::kCorrupt);
}

TEST_F(Journaling, BrokenHeadersOfTheLastSegmentDoNotHideItsAcknowledgedChanges) {
  Format(2, 1, 3);
  Start();
  MustAppend(3);
  Restart();
  MustAppend(1);
  MustAppend(1);
  const std::string name = Newest();
  for (int holder : Holders(name)) ASSERT_TRUE(FlipBit(*Raw(holder), name, 70, 0).ok());
  OpenDisks();
  auto contents = Read();
  ASSERT_FALSE(contents.ok());
  EXPECT_THAT(contents.error().message(), HasSubstr("lacks changes 4 to 4"));
}

TEST_F(Journaling, ANewerFormatIsRefusedByName) {
  Format(2, 1, 3);
  Start();
  const std::string name = Newest();
  ByteVector bytes = Bytes(Holders(name)[0], name);
  bytes[8] = std::byte{9};  // the version; the checksum no longer fits
  Overwrite(Holders(name)[0], name, bytes);
  OpenDisks();
  EXPECT_TRUE(Read().ok());
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

TEST_F(Journaling, ADiskThatFailsDuringAppendIsReplacedAndItsCopiesAreMadeAgain) {
  for (const auto harm : {&FaultController::FailWrites, &FaultController::FailSyncs}) {
    Format(2, 2, 7);
    Start();
    for (int i = 0; i < 9; ++i) MustAppend(1, 20000);
    const int victim = Holders(Newest())[1];
    ((*controllers_[static_cast<std::size_t>(victim)]).*harm)(0);
    MustAppend(3, 20000);
    EXPECT_EQ(disks_->state(DiskIndex(static_cast<std::uint8_t>(victim))), DiskState::kFailed);
    MustAppend(3, 20000);
    journal_.reset();
    // Two more: all that was ever acknowledged has three copies on the six that are left.
    for (int a = 0; a < 7; ++a) {
      for (int b = a + 1; b < 7; ++b) {
        if (a == victim || b == victim) continue;
        absent_ = {victim, a, b};
        OpenDisks();
        SCOPED_TRACE(std::to_string(victim) + "," + std::to_string(a) + "," + std::to_string(b));
        ExpectReadable();
      }
    }
  }
}

TEST_F(Journaling, ADiskThatWasFailedElsewhereIsNoticed) {
  Format(2, 1, 5);
  Start();
  for (int i = 0; i < 9; ++i) MustAppend(1, 20000);
  const int victim = Holders(Newest())[0];
  ASSERT_TRUE(disks_->Fail(DiskIndex(static_cast<std::uint8_t>(victim)),
                           Error(ErrorCode::kIo, "said a test")).ok());
  MustAppend(1);
  for (int other = 0; other < 5; ++other) {
    if (other == victim) continue;
    absent_ = {victim, other};
    OpenDisks();
    ExpectReadable();
  }
}

TEST_F(Journaling, ASyncThatFailedIsNeverTriedAgain) {
  Format(1, 1, 2);
  Start();
  MustAppend(1);
  controllers_[0]->FailSyncs();
  Status status = Append(1);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kTooFewDisks);
  const std::uint64_t syncs = controllers_[0]->count(DiskOperation::kSync);
  controllers_[0]->Heal();
  appended_.resize(1);
  Status again = Append(1);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kTooFewDisks);
  EXPECT_EQ(controllers_[0]->count(DiskOperation::kSync), syncs);
  EXPECT_FALSE(journal_->Checkpointed(MakeCheckpoint(Lsn{1}, Lsn{1})).ok());
}

TEST_F(Journaling, AFullDiskIsLeftForOneWithRoom) {
  Format(2, 1, 4);
  Start();
  MustAppend(1);
  controllers_[1]->FullAfter(0);
  for (int i = 0; i < 12; ++i) MustAppend(1, 20000);
  EXPECT_EQ(disks_->OnlineSlots().size(), 4u);
  Restart();
}

TEST_F(Journaling, FullDisksRefuseTheCallAndTheNextOneMayBringSomethingElse) {
  const std::uint64_t seed = SeedFromEnvironment(21);
  for (std::uint64_t room = 0; room < 140'000; room += 9'000) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " room " << room);
    random_ = RandomChanges(seed + room);
    Format(2, 1, 3);
    Start();
    MustAppend(2, 5000);
    for (auto& controller : controllers_) controller->FullAfter(room);
    Status status;
    for (int i = 0; i < 30 && status.ok(); ++i) status = Append(3, 30000);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), ErrorCode::kNoSpace) << status.error().message();
    EXPECT_EQ(disks_->OnlineSlots().size(), 3u);
    EXPECT_EQ(Append(1, 300'000).error().code(), ErrorCode::kNoSpace);
    for (auto& controller : controllers_) controller->Heal();
    // The same LSNs, other words: what the refused calls left on the disks must never come back.
    MustAppend(2, 700);
    MustAppend(1, 30000);
    const std::size_t expected = appended_.size();
    Restart();
    EXPECT_EQ(appended_.size(), expected);
    ASSERT_TRUE(journal_->Checkpointed(MakeCheckpoint(Lsn{1}, Lsn{acknowledged_})).ok());
    MustAppend(1);
    Restart();
  }
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

TEST_F(Journaling, APreparedSegmentOnAFailedDiskIsNotUsed) {
  Format(2, 1, 4);
  Start();
  ASSERT_TRUE(journal_->PrepareNext().ok());
  const int victim = Holders(Newest())[0];
  controllers_[static_cast<std::size_t>(victim)]->Lose();
  for (int i = 0; i < 8; ++i) MustAppend(1, 20000);
  absent_ = {victim};
  Restart();
}

TEST_F(Journaling, MoreDisksAbsentThanParityIsSaid) {
  Format(1, 1, 4);
  Start();
  MustAppend(2);
  for (int disk : Holders(Newest())) absent_.insert(disk);
  OpenDisks();
  auto contents = Read();
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(CountOf(contents->findings, FindingKind::kJournalReplicaBad, Severity::kLost), 1);
}

}  // namespace
}  // namespace varve
