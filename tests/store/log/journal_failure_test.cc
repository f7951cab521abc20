// The journal when disks fail or are full.
#include "tests/store/log/journal_fixture.h"

namespace varve {
namespace {

class JournalFailure : public JournalFixture {};

TEST_F(JournalFailure, ADiskThatFailsDuringAppendIsReplacedAndItsCopiesAreMadeAgain) {
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

TEST_F(JournalFailure, ADiskThatWasFailedElsewhereIsNoticed) {
  Format(2, 1, 5);
  Start();
  for (int i = 0; i < 9; ++i) MustAppend(1, 20000);
  const int victim = Holders(Newest())[0];
  ASSERT_TRUE(
      disks_
          ->Fail(DiskIndex(static_cast<std::uint8_t>(victim)), Error(ErrorCode::kIo, "said a test"))
          .ok());
  MustAppend(1);
  for (int other = 0; other < 5; ++other) {
    if (other == victim) continue;
    absent_ = {victim, other};
    OpenDisks();
    ExpectReadable();
  }
}

TEST_F(JournalFailure, ASyncThatFailedIsNeverTriedAgain) {
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

TEST_F(JournalFailure, AFullDiskIsLeftForOneWithRoom) {
  Format(2, 1, 4);
  Start();
  MustAppend(1);
  controllers_[1]->FullAfter(0);
  for (int i = 0; i < 12; ++i) MustAppend(1, 20000);
  EXPECT_EQ(disks_->OnlineSlots().size(), 4u);
  Restart();
}

TEST_F(JournalFailure, FullDisksRefuseTheCallAndTheNextOneMayBringSomethingElse) {
  const std::uint64_t seed = SeedFromEnvironment(21);
  for (std::uint64_t room = 0; room < 250'000; room += 13'000) {
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
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_EQ(appended_.size(), expected);
    ASSERT_TRUE(journal_->Checkpointed(MakeCheckpoint(Lsn{1}, Lsn{acknowledged_})).ok());
    MustAppend(1);
    Restart();
  }
}

TEST_F(JournalFailure, APreparedSegmentOnAFailedDiskIsNotUsed) {
  Format(2, 1, 4);
  Start();
  ASSERT_TRUE(journal_->PrepareNext().ok());
  const int victim = Holders(Newest())[0];
  controllers_[static_cast<std::size_t>(victim)]->Lose();
  for (int i = 0; i < 8; ++i) MustAppend(1, 20000);
  absent_ = {victim};
  Restart();
}

}  // namespace
}  // namespace varve
