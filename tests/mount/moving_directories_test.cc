// Directories moved about by many processes at once: a tree remains.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/mount/directories_fixture.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

constexpr int kMovers = 4;

// What the processes that move directories about have to say.
struct Tally {
  std::atomic<int> moved{0};
  std::atomic<int> unexpected{0};  // an errno that none of this can have
  std::atomic<int> finished{0};    // processes that will change nothing more
  std::atomic<int> alive{0};       // directories made and not removed or replaced since
};

// Moves, makes and removes directories anywhere in a small tree. Keeps all that it made open, so
// that in the end each says by its links whether it is still there, wherever that is.
class Mover {
 public:
  Mover(const std::string& root, std::string stage, std::uint64_t seed, Tally& tally)
      : root_(root), stage_(std::move(stage)), random_(seed), tally_(tally) {}

  void Run(int operations) {
    if (!Did(::mkdir(stage_.c_str(), 0755))) return;
    for (int i = 0; i < operations; ++i) {
      switch (random_() % 8) {
        case 0:
        case 1:
          Make();
          break;
        case 2:
          Did(::rmdir(AnyPath().c_str()));
          break;
        default:
          Rename();
      }
    }
    ++tally_.finished;
    while (tally_.finished < kMovers) std::this_thread::yield();
    for (const UniqueFd& fd : made_) {
      struct stat stat{};
      if (::fstat(fd.get(), &stat) != 0) ++tally_.unexpected;
      if (stat.st_nlink > 0) ++tally_.alive;
    }
  }

 private:
  std::string AnyPath() {
    std::string path = root_;
    for (std::uint64_t levels = 1 + random_() % 4; levels > 0; --levels) {
      path += "/" + std::string(1, static_cast<char>('a' + random_() % 3));
    }
    return path;
  }

  void Make() {
    const std::string staged = stage_ + "/new";
    if (!Did(::mkdir(staged.c_str(), 0755))) return;
    UniqueFd fd(::open(staged.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const std::string place = AnyPath();
    if (Did(::renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, place.c_str(), RENAME_NOREPLACE))) {
      made_.push_back(std::move(fd));
    } else {
      Did(::rmdir(staged.c_str()));
    }
  }

  void Rename() {
    constexpr std::array<unsigned, 3> kHow{0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    const std::string from = AnyPath();
    const std::string to = AnyPath();
    const unsigned how = kHow[random_() % kHow.size()];
    if (Did(::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), how))) ++tally_.moved;
  }

  bool Did(int result) {
    if (result == 0) return true;
    constexpr std::array kExpected{ENOENT, EEXIST, ENOTEMPTY, EINVAL, EBUSY};
    if (std::find(kExpected.begin(), kExpected.end(), errno) == kExpected.end()) {
      ++tally_.unexpected;
    }
    return false;
  }

  const std::string root_;
  const std::string stage_;
  std::mt19937_64 random_;
  Tally& tally_;
  std::vector<UniqueFd> made_;
};

// Walks the tree by paths and checks parents and link counts; the directories below `path`.
int WalkTree(const std::string& path, std::set<ino_t>& met) {
  struct stat here{};
  EXPECT_EQ(::lstat(path.c_str(), &here), 0) << path;
  EXPECT_TRUE(met.insert(here.st_ino).second) << path << " is in two places";
  int below = 0;
  nlink_t children = 0;
  for (const std::string& name : ListNames(path)) {
    struct stat above{};
    const std::string child = path + "/" + name;
    EXPECT_EQ(::lstat((child + "/..").c_str(), &above), 0) << child;
    EXPECT_EQ(above.st_ino, here.st_ino) << child;
    ++children;
    below += 1 + WalkTree(child, met);
  }
  EXPECT_EQ(here.st_nlink, 2 + children) << path;
  return below;
}

TEST_F(DirectoriesTest, FourProcessesMoveThemAboutAndATreeRemains) {
  const std::uint64_t seed = RandomSeed();
  const int operations = IsLong() ? 3000 : 700;  // a quarter of them keeps a descriptor
  MakeDirectory("tree");
  Shared<Tally> tally;
  std::array<pid_t, kMovers> children{};
  for (std::size_t i = 0; i < children.size(); ++i) {
    children[i] = ::fork();
    ASSERT_GE(children[i], 0);
    if (children[i] == 0) {
      Mover(volume_ / "tree", volume_ / NumberedName("stage", i), seed + i, *tally).Run(operations);
      ::_exit(0);
    }
  }
  for (const pid_t child : children) ExpectCleanEnd(child);
  EXPECT_EQ(tally->unexpected, 0);
  EXPECT_GT(tally->moved, 0);
  std::set<ino_t> met;
  // What is there is in the tree: nothing goes round in a circle apart from it.
  EXPECT_EQ(WalkTree(volume_ / "tree", met), tally->alive);
  Remount();
  std::set<ino_t> again;
  EXPECT_EQ(WalkTree(volume_ / "tree", again), tally->alive);
  EXPECT_EQ(again, met);
}

}  // namespace
}  // namespace varve
