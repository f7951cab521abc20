#include <atomic>
#include <thread>

#include "tests/store/log/stripe_fixture.h"

namespace varve {
namespace {

class ConcurrentStripes : public StripeFixture {};

// Readers on several threads, a writer that goes on, disks that fail and are replaced meanwhile.
TEST_F(ConcurrentStripes, ReadWhileWrittenAndWhileDisksComeAndGo) {
  Format(3, 2, 6, {.segment_column_bytes = 512 * 1024});
  for (int i = 0; i < 10; ++i) MustPlace(SomeInputs(6));
  const auto stable = placed_;
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (unsigned t = 0; t < 3; ++t) {
    readers.emplace_back([&, t] {
      std::mt19937_64 random(seed_ + t);
      while (!done) {
        const auto& [extent, raw] = stable[random() % stable.size()];
        ByteVector read(extent.raw_bytes);
        if (!reader_->ReadExtent(extent, read).ok() || read != raw) ++wrong;
      }
    });
  }
  for (int i = 0; i < 12; ++i) {
    MustPlace(SomeInputs(4));
    if (i == 3) controllers_[1]->Lose();
    if (i == 5) FlipBit(LocationOf(stable[0].first), 0, kFragmentHeaderBytes);
    if (i == 7) {
      LoseDisk(1);  // should no stripe since have lain on it
      const Status replaced = disks_->Replace(DiskIndex(1), std::make_unique<MemoryDisk>());
      EXPECT_TRUE(replaced.ok()) << replaced.error().message();
    }
    reader_->Forget(DiskIndex(1));
  }
  done = true;
  for (auto& thread : readers) thread.join();
  EXPECT_EQ(wrong, 0);
  ExpectAllReadable();
}

// Two writers over the same disks and the same source of segment numbers.
TEST_F(ConcurrentStripes, AreWrittenByTwoWritersAtOnce) {
  Format(4, 2, 6);
  StripeWriter other(*disks_, uuid_, next_segment_);
  std::thread thread([&] {
    std::mt19937_64 random(seed_ + 1);
    for (int i = 0; i < 20; ++i) {
      const ByteVector bytes(1 + random() % 5000, std::byte{7});
      const std::vector<ByteSpan> inputs = {bytes, bytes, bytes};
      EXPECT_TRUE(other.Place(inputs, StripeKind::kCheckpoint).ok());
    }
  });
  for (int i = 0; i < 20; ++i) {
    MustPlace(SomeInputs(5));
    if (i == 10) controllers_[2]->Lose();
  }
  thread.join();
  ExpectAllReadable();
}

}  // namespace
}  // namespace varve
