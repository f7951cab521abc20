// The journal as a volume uses it: one thread appends, one takes checkpoints, one prepares
// segments.
#include <atomic>
#include <thread>

#include "tests/store/log/journal_fixture.h"

namespace varve {
namespace {

class JournalConcurrency : public JournalFixture {
 protected:
  // Appends `count` changes while the other threads do their work, and calls `halfway` in between.
  void RunAllAtOnce(int count, const std::function<void()>& halfway) {
    std::atomic<std::uint64_t> durable{0};
    std::atomic<bool> done{false};
    std::thread preparer([&] {
      while (!done) {
        EXPECT_TRUE(journal_->PrepareNext().ok());
        std::this_thread::yield();
      }
    });
    std::thread checkpointer([&] {
      RandomChanges random(3);
      std::uint64_t checkpointed = 0;
      while (!done) {
        const std::uint64_t upto = durable;
        if (upto < checkpointed + 20 || journal_->bytes_since_checkpoint() == 0) {
          std::this_thread::yield();
          continue;
        }
        Status status = journal_->Checkpointed(checkpoints_[upto]);
        EXPECT_TRUE(status.ok()) << status.error().message();
        checkpointed = upto;
      }
    });
    for (int i = 0; i < count; ++i) {
      if (i == count / 2) halfway();
      MustAppend(1, 200 + random_.Below(9000));
      durable = acknowledged_;
    }
    done = true;
    preparer.join();
    checkpointer.join();
  }

  // checkpoints_[n] covers everything up to n.
  void MakeCheckpoints(std::size_t count) {
    checkpoints_.resize(count + 1);
    for (std::size_t i = 1; i <= count; ++i) checkpoints_[i] = MakeCheckpoint(Lsn{1}, Lsn{i});
  }

  std::vector<CheckpointRef> checkpoints_;
};

TEST_F(JournalConcurrency, AppendingCheckpointingAndPreparingDoNotDisturbOneAnother) {
  Format(2, 1, 4);
  Start();
  MakeCheckpoints(300);
  RunAllAtOnce(300, [] {});
  Restart();
}

TEST_F(JournalConcurrency, NeitherDoesADiskThatFailsMeanwhile) {
  Format(2, 1, 5);
  Start();
  MakeCheckpoints(300);
  RunAllAtOnce(300, [&] { controllers_[2]->Lose(); });
  disks_->ProbeAll();
  MustAppend(1);
  absent_ = {2, 4};
  OpenDisks();
  ExpectReadable();
}

}  // namespace
}  // namespace varve
