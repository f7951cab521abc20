// The journal when the power goes, or a disk goes, at each single operation in turn.
#include <atomic>
#include <functional>
#include <memory>

#include "tests/store/log/journal_fixture.h"

namespace varve {
namespace {

class JournalCrash : public JournalFixture {
 protected:
  // Runs `action` before the operation number `at`, counted over all disks from now on.
  void AtOperation(std::uint64_t at, std::function<void()> action) {
    auto counter = std::make_shared<std::atomic<std::uint64_t>>(0);
    for (auto& controller : controllers_) {
      if (controller == nullptr) continue;
      controller->SetHook([counter, at, action](DiskOperation operation, std::string_view) {
        if (operation != DiskOperation::kWrite && operation != DiskOperation::kSync &&
            operation != DiskOperation::kName && operation != DiskOperation::kTruncate) {
          return;
        }
        if (counter->fetch_add(1) == at) action();
      });
    }
    counter_ = counter;
  }
  bool Reached(std::uint64_t at) const { return counter_->load() > at; }

  void CutPowerAt(std::uint64_t at, std::uint64_t seed) {
    auto platters = platters_;
    AtOperation(at, [platters, seed] {
      for (std::size_t i = 0; i < platters.size(); ++i) platters[i]->CutPower(seed + i);
    });
  }

  // Some of everything; stops at the first refusal.
  void Work() {
    Lsn checkpointed{0};
    for (int i = 0; i < 14; ++i) {
      Status status;
      if (i % 7 == 3) {
        status = journal_->PrepareNext();
      } else if (i % 7 == 6) {
        const Lsn upto{acknowledged_ - random_.Below(2)};
        status = journal_->Checkpointed(MakeCheckpoint(Lsn{checkpointed.value + 1}, upto));
        if (status.ok()) checkpointed = upto;
      } else {
        status = Append(1 + static_cast<int>(random_.Below(3)), 1 + random_.Below(30000));
      }
      if (!status.ok()) return;
    }
  }

  std::shared_ptr<std::atomic<std::uint64_t>> counter_;
};

TEST_F(JournalCrash, NothingAcknowledgedIsLostWhereverThePowerGoes) {
  const std::uint64_t seed = SeedFromEnvironment(101);
  std::uint64_t at = 0;
  bool reached = true;
  for (; reached; ++at) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " operation " << at);
    random_ = RandomChanges(seed);
    Format(2, 1, 3);
    Start();
    CutPowerAt(at, seed * 1000 + at);
    Work();
    reached = Reached(at);
    journal_.reset();
    Restart();
    ASSERT_FALSE(HasFailure());
    MustAppend(2, 3000);
    Restart();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(at, 50u);
}

TEST_F(JournalCrash, NothingIsLostWhenThePowerGoesAgainDuringRecovery) {
  const std::uint64_t seed = SeedFromEnvironment(102);
  for (std::uint64_t round = 0; round < 60; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    random_ = RandomChanges(seed + round);
    Format(2, 2, 4);
    Start();
    CutPowerAt(random_.Below(200), seed + round);
    Work();
    for (int again = 0; again < 3; ++again) {
      OpenDisks();
      auto contents = Read();
      ASSERT_TRUE(contents.ok()) << contents.error().message();
      ExpectAcknowledged(*contents);
      ASSERT_FALSE(HasFailure());
      CutPowerAt(random_.Below(40), seed + 7 * round + static_cast<std::uint64_t>(again));
      if (!disks_->BeginEpoch().ok()) continue;
      // What was found is history from here on, though it may take another attempt to say so.
      auto journal = Journal::Start(*disks_, uuid_, contents->last_sequence + 1,
                                    contents->checkpoint, options_);
      if (!journal.ok()) continue;
      appended_.resize(LastOf(*contents));
      acknowledged_ = appended_.size();
      journal_ = std::move(journal).value();
      while (Append(1, 2000).ok() && appended_.size() < 60) {
      }
    }
    Restart();
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(JournalCrash, ADiskMayFailAtAnyOperationAndParityManyMoreAfterwards) {
  const std::uint64_t seed = SeedFromEnvironment(103);
  std::uint64_t at = 0;
  bool reached = true;
  for (; reached; ++at) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " operation " << at);
    random_ = RandomChanges(seed);
    Format(2, 1, 4);
    Start();
    const auto victim = static_cast<std::size_t>(random_.Below(4));
    // Weak: a hook that owned its controller would keep it for ever.
    std::weak_ptr<FaultController> controller = controllers_[victim];
    AtOperation(at, [controller] {
      if (auto alive = controller.lock()) alive->Lose();
    });
    Work();
    reached = Reached(at);
    if (!reached) break;
    disks_->ProbeAll();  // as the volume does about once a second
    Status status = Append(2, 500);
    ASSERT_TRUE(status.ok()) << status.error().message();
    journal_.reset();
    for (int other = 0; other < 4; ++other) {
      absent_ = {static_cast<int>(victim), other};
      OpenDisks();
      ExpectReadable();
      ASSERT_FALSE(HasFailure());
    }
    absent_.clear();
  }
  EXPECT_GT(at, 50u);
}

TEST_F(JournalCrash, APowerCutTogetherWithTheLossOfParityManyDisksLosesNothing) {
  const std::uint64_t seed = SeedFromEnvironment(104);
  for (std::uint64_t round = 0; round < 150; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    random_ = RandomChanges(seed + round);
    Format(3, 2, 5);
    Start();
    CutPowerAt(random_.Below(300), seed + round);
    Work();
    absent_ = {static_cast<int>(random_.Below(5)), static_cast<int>(random_.Below(5))};
    Restart();
    ASSERT_FALSE(HasFailure());
    MustAppend(2, 3000);
    // Those that were absent come back behind the times, and are not listened to.
    absent_.clear();
    Restart();
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace varve
