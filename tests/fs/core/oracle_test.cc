// Random operations against a model that remembers the tree at every version; in the end the past
// is compared with it. VARVE_SEED repeats a run, VARVE_ORACLE_OPERATIONS sets its length.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "tests/fs/core/oracle_rollback.h"

namespace varve {
namespace {

int OperationCount() {
  const char* given = std::getenv("VARVE_ORACLE_OPERATIONS");
  return given != nullptr ? std::atoi(given) : 20000;
}

class Oracle : public OracleRollback {
 protected:
  void SetUp() override {
    FilesystemFixture::SetUp();
    caller_.umask = 0;
    seed_ = TestSeed(std::random_device{}());
    random_.seed(seed_);
    LoadFromPresent();
    Remember();
  }

  void Step() {
    const std::uint64_t dice = Roll(1000);
    if (dice < 3) return DoRollback();
    if (dice < 4) return DoSnapshot();
    if (dice < 5) return Roll(4) == 0 ? DoRemount() : DoRead();
    switch (dice % 13) {
      case 0:
      case 1:
        return DoCreate();
      case 2:
        return DoUnlink();
      case 3:
        return DoRename();
      case 4:
        return DoLink();
      case 5:
      case 6:
        return DoWrite();
      case 7:
        return DoRead();
      case 8:
        return DoAllocate();
      case 9:
        return DoSetAttributes();
      case 10:
        return DoCopy();
      case 11:
        return Roll(2) ? DoOpen() : DoClose();
      default:
        return DoXattr();
    }
  }

  std::uint64_t seed_ = 0;
};

TEST_F(Oracle, EveryVersionIsWhatItWas) {
  SCOPED_TRACE("VARVE_SEED=" + std::to_string(seed_));
  const int operations = OperationCount();
  for (int i = 0; i < operations; ++i) {
    Step();
    ASSERT_FALSE(HasFatalFailure()) << "operation " << i;
    Remember();
    if (i % 2000 == 1999) {
      ComparePresent();
      const auto& [lsn, then] = versions_[Roll(versions_.size())];
      ComparePast(AtLsn(lsn), then);
      ASSERT_FALSE(HasFailure()) << "operation " << i;
    }
  }
  ComparePresent();
  for (const auto& [name, then] : snapshots_) ComparePast(name, then);
  ASSERT_FALSE(HasFailure());

  // Every k-th version first, then the others, for as long as there is time.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::size_t compared = 0;
  constexpr std::size_t kStride = 97;  // visits every version once if there is time for all
  for (std::size_t start = 0; start < kStride; ++start) {
    for (std::size_t i = start; i < versions_.size(); i += kStride) {
      if (std::chrono::steady_clock::now() > deadline) break;
      ComparePast(AtLsn(versions_[i].first), versions_[i].second);
      ASSERT_FALSE(HasFailure());
      ++compared;
    }
  }
  std::printf("compared %zu of %zu versions\n", compared, versions_.size());
  EXPECT_GT(compared, std::min<std::size_t>(versions_.size(), 20) - 1);
  for (const auto& [handle, inode] : open_) fs().Release(handle);
}

}  // namespace
}  // namespace varve
