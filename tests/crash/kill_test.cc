// kill -9 at any moment costs only what was not yet durable: the real program, the real kernel, and
// a record kept outside of what fsync has acknowledged.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "store/base/unique_fd.h"
#include "tests/support/mount_fixture.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

// What has been acknowledged, and what has been tried since: after a crash a file holds one or the
// other.
struct Record {
  std::string acknowledged;
  bool exists = false;    // acknowledged to exist
  std::string attempted;  // the last content offered, acknowledged or not
};

bool WriteAll(int fd, const std::string& content) {
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t wrote = ::write(fd, content.data() + done, content.size() - done);
    if (wrote <= 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

// Writes files of its own until the mount dies: each anew under a temporary name, synced, and
// renamed over the last, as careful programs do.
class Writer {
 public:
  Writer(std::string directory, std::uint64_t seed)
      : directory_(std::move(directory)), random_(seed) {}

  void Run() {
    while (WriteOne()) {
    }
  }

  std::map<std::string, Record>& records() { return records_; }

 private:
  bool WriteOne() {
    const std::string name = "f" + std::to_string(random_() % 8);
    std::string content(
        static_cast<std::size_t>(random_() % (random_() % 4 == 0 ? 400'000 : 9'000)), '\0');
    for (char& c : content) c = static_cast<char>(random_());
    Record& record = records_[name];
    record.attempted = content;
    const std::string temporary = directory_ + "/" + name + ".tmp";
    UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file || !WriteAll(file.get(), content) || ::fsync(file.get()) != 0) return false;
    file.Reset();
    if (::rename(temporary.c_str(), (directory_ + "/" + name).c_str()) != 0) return false;
    UniqueFd folder(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) != 0) return false;
    record.acknowledged = content;
    record.exists = true;
    return true;
  }

  const std::string directory_;
  std::mt19937_64 random_;
  std::map<std::string, Record> records_;
};

TEST(Kill, LosesNothingThatWasSyncedInTwentyRounds) {
  if (auto why = MountFixture::WhyCannotMount()) GTEST_SKIP() << *why;
  const std::uint64_t seed = RandomSeed();
  std::mt19937_64 random(seed);
  const int rounds = std::getenv("VARVE_LONG") != nullptr ? 200 : 20;
  MountFixture mount(VARVE_BINARY);
  ASSERT_EQ(mount.Format(6, {"--data", "4", "--parity", "2"}).status, 0);
  constexpr int kWriters = 2;
  std::vector<std::unique_ptr<Writer>> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.push_back(std::make_unique<Writer>(mount / ("w" + std::to_string(i)), random()));
  }
  std::size_t acknowledged = 0;
  for (int round = 0; round <= rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const RunResult mounted = mount.Mount();
    ASSERT_EQ(mounted.status, 0) << mounted.err;
    for (int i = 0; i < kWriters; ++i) {
      const std::string directory = mount / ("w" + std::to_string(i));
      if (round == 0) {
        ASSERT_EQ(::mkdir(directory.c_str(), 0755), 0);
      }
      for (auto& [name, record] : writers[static_cast<std::size_t>(i)]->records()) {
        if (!record.exists) continue;
        ASSERT_TRUE(PathExists(directory + "/" + name)) << name;
        const std::string found = ReadFile(directory + "/" + name);
        ASSERT_TRUE(found == record.acknowledged || found == record.attempted)
            << name << ": " << found.size() << " bytes, neither what was acknowledged ("
            << record.acknowledged.size() << ") nor what came after (" << record.attempted.size()
            << ")";
        record.acknowledged = found;
        ++acknowledged;
      }
    }
    if (round == rounds) break;
    std::vector<std::thread> threads;
    for (auto& writer : writers) threads.emplace_back([&writer] { writer->Run(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 300));
    mount.KillDaemon();
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_GT(acknowledged, 0u);
  EXPECT_EQ(mount.Unmount().status, 0);
  const RunResult checked = mount.Run({"fsck", "-n", "--deep", mount.disk(0)});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
}

}  // namespace
}  // namespace varve
