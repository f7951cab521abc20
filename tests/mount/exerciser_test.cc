// Does everything that can be done to the bytes of a file, in random order, and compares them with
// plain strings: now, and as they were at moments on the way. VARVE_EXERCISER_CALLS sets the
// length.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <memory>

#include "store/base/unique_fd.h"
#include "tests/mount/exerciser_file.h"
#include "tests/mount/mounted_test.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

constexpr std::size_t kFiles = 3;
constexpr std::size_t kMostMoments = 24;
constexpr std::size_t kToldCalls = 60;

int CallsWanted() {
  if (const char* given = std::getenv("VARVE_EXERCISER_CALLS")) return std::atoi(given);
  return std::getenv("VARVE_LONG") != nullptr ? 200'000 : 1'500;
}

class ExerciserTest : public MountedTest {
 protected:
  // What the files were at a time.
  struct Moment {
    std::string when;
    std::array<std::string, kFiles> bytes;
  };

  void Begin(const std::string& options) {
    Remount(options);
    mount_options_ = options;
    const auto blocks =
        WritesBack() ? ExerciserFile::Blocks::kPassOver : ExerciserFile::Blocks::kCompare;
    for (std::size_t i = 0; i < kFiles; ++i) {
      const std::string path = volume_ / fmt::format("file{}", i);
      files_.push_back(std::make_unique<ExerciserFile>(path, random_, blocks));
    }
  }

  // `half_way` happens in the middle.
  void Exercise(const std::function<void()>& half_way = [] {}) {
    const int calls = CallsWanted();
    for (int i = 0; i < calls && !HasFailure(); ++i) {
      if (i == calls / 2) half_way();
      Told(fmt::format("{}: {}", i, Call()));
    }
    if (!HasFailure()) CheckEverything();
    if (!HasFailure()) return;
    for (const std::string& call : told_) std::cout << "  " << call << "\n";
  }

  void CheckWithFsck() {
    files_.clear();
    const RunResult unmounted = volume_.Unmount();
    ASSERT_EQ(unmounted.status, 0) << unmounted.err;
    const RunResult checked = volume_.Run({"fsck", "-n", volume_.disk(0)});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  }

  void TearDown() override {
    files_.clear();
    MountedTest::TearDown();
  }

 private:
  bool WritesBack() const { return mount_options_ == "writeback"; }

  void Told(std::string call) {
    told_.push_back(std::move(call));
    if (told_.size() > kToldCalls) told_.pop_front();
  }

  std::string Call() {
    const std::uint64_t kind = random_.Below(1000);
    if (kind < 30) return TakeMoment();
    if (kind < 90) return CheckMoment();
    if (kind < 92) return RollBack();
    if (kind < 93) return MountAnew();
    if (kind < 94) return KillAndMountAnew();
    const std::size_t index = random_.Below(kFiles);
    return fmt::format("file{} {}", index, CallFile(index));
  }

  std::string CallFile(std::size_t index) {
    ExerciserFile& file = *files_[index];
    switch (random_.Below(20)) {
      case 0:
      case 1:
      case 2:
        return file.Write();
      case 3:
        return file.WriteDirect();
      case 4:
      case 5:
        return file.WriteMapped();
      case 6:
        return file.Append();
      case 7:
        return file.Truncate();
      case 8:
        return file.Allocate();
      case 9:
        return file.PunchOrZero();
      case 10:
        return file.CopyWithin();
      case 11:
        return CopyFromAnother(index);
      case 12:
        return CopyFromThen(index);
      case 13:
        return file.SeekThrough();
      case 14:
        return file.Look();
      case 15:
        return file.Sync();
      case 16:
        return random_.OneIn(2) ? file.Reopen() : file.ForgetPages();
      case 17:
        return file.ReadDirect();
      case 18:
        return file.ReadMapped();
      default:
        return file.Read();
    }
  }

  std::string CopyFromAnother(std::size_t index) {
    const std::size_t other = (index + 1 + random_.Below(kFiles - 1)) % kFiles;
    const UniqueFd source(::open(files_[other]->path().c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(source) << std::strerror(errno);
    return files_[index]->CopyFrom(source.get(), files_[other]->model(),
                                   fmt::format("file{}", other));
  }

  std::string PathThen(const Moment& moment, std::size_t index) const {
    return volume_ / fmt::format(".snapshots/{}/file{}", moment.when, index);
  }

  std::string CopyFromThen(std::size_t index) {
    if (moments_.empty()) return TakeMoment();
    const Moment& moment = moments_[random_.Below(moments_.size())];
    const std::size_t other = random_.Below(kFiles);
    const UniqueFd source(::open(PathThen(moment, other).c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(source) << std::strerror(errno);
    return files_[index]->CopyFrom(source.get(), moment.bytes[other],
                                   fmt::format("file{} of {}", other, moment.when));
  }

  // A close or an fsync is what makes a version; what is written later is not in it.
  std::string TakeMoment() {
    Moment moment;
    for (std::size_t i = 0; i < kFiles; ++i) {
      random_.OneIn(2) ? files_[i]->Sync() : files_[i]->Reopen();
      moment.bytes[i] = files_[i]->model();
    }
    moment.when = Now();
    if (moments_.size() == kMostMoments) {
      moments_[random_.Below(kMostMoments)] = std::move(moment);
      return "moment, another is forgotten";
    }
    moments_.push_back(std::move(moment));
    return "moment " + moments_.back().when;
  }

  std::string CheckMoment() {
    if (moments_.empty()) return TakeMoment();
    const Moment& moment = moments_[random_.Below(moments_.size())];
    CheckMoment(moment, random_.Below(kFiles));
    return "check of " + moment.when;
  }

  void CheckMoment(const Moment& moment, std::size_t index) {
    ExpectSameBytes(fmt::format("file{} as of {}", index, moment.when), moment.bytes[index],
                    ReadFile(PathThen(moment, index)));
  }

  // Of one file, while it is open and mapped; with a writeback cache, where the kernel keeps a size
  // of its own for as long as it is open, it is not. What is dirty in the kernel's cache would be
  // written later, so nothing may be.
  std::string RollBack() {
    if (moments_.empty()) return TakeMoment();
    const Moment& moment = moments_[random_.Below(moments_.size())];
    const std::size_t index = random_.Below(kFiles);
    files_[index]->Sync();
    const bool closed = WritesBack();
    if (closed) files_[index]->Close();
    const RunResult rolled = volume_.Run({"rollback", files_[index]->path(), "--to", moment.when});
    EXPECT_EQ(rolled.status, 0) << rolled.err;
    if (closed) files_[index]->Open();
    files_[index]->Become(moment.bytes[index]);
    files_[index]->CheckAll();
    return fmt::format("roll file{} back to {}", index, moment.when);
  }

  std::string MountAnew() {
    for (const auto& file : files_) file->Close();
    Remount();
    for (const auto& file : files_) file->Open();
    CheckEverything();
    return "mount anew";
  }

  // What has been synced outlives the daemon.
  std::string KillAndMountAnew() {
    for (const auto& file : files_) {
      file->Sync();
      file->Close();
    }
    volume_.KillDaemon();
    MountIt();
    for (const auto& file : files_) file->Open();
    CheckEverything();
    return "kill and mount anew";
  }

  void CheckEverything() {
    for (const auto& file : files_) file->CheckAll();
    for (const Moment& moment : moments_) {
      for (std::size_t i = 0; i < kFiles; ++i) CheckMoment(moment, i);
    }
  }

  ExerciserRandom random_{RandomSeed()};
  std::vector<std::unique_ptr<ExerciserFile>> files_;
  std::vector<Moment> moments_;
  std::deque<std::string> told_;  // the last calls
};

TEST_F(ExerciserTest, BytesAreWhatWasWrittenNowAndThen) {
  Begin("");
  Exercise();
  CheckWithFsck();
}

TEST_F(ExerciserTest, AndWithAWritebackCache) {
  Begin("writeback");
  Exercise();
  CheckWithFsck();
}

TEST_F(ExerciserTest, AndWithLittleMemory) {
  Begin("memory=64M,commit=50");
  Exercise();
  CheckWithFsck();
}

TEST_F(ExerciserTest, AndWhenTwoDisksAreLostHalfWay) {
  Begin("");
  Exercise([this] {
    volume_.LoseDisk(1);
    volume_.LoseDisk(4);
  });
}

}  // namespace
}  // namespace varve
