// Directories as ext4 has them: huge, deep, moved about by many, and looked at while they change.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

bool IsLong() { return std::getenv("VARVE_LONG") != nullptr; }

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using OpenedDirectory = std::unique_ptr<DIR, CloseDirectory>;

class DirectoriesTest : public MountedTest {
 protected:
  void TearDown() override {
    if (!volume_.is_mounted()) return;
    MountedTest::TearDown();
    const RunResult checked = volume_.Run({"fsck", "-n", volume_.disk(0)});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  }

  UniqueFd MakeDirectory(const std::string& name) {
    const std::string path = volume_ / name;
    EXPECT_EQ(::mkdir(path.c_str(), 0755), 0) << name << ": " << std::strerror(errno);
    return OpenPath(path);
  }
  static UniqueFd OpenPath(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_TRUE(fd) << path << ": " << std::strerror(errno);
    return fd;
  }
  static OpenedDirectory OpenToList(const std::string& path) {
    OpenedDirectory directory(::opendir(path.c_str()));
    EXPECT_NE(directory, nullptr) << path << ": " << std::strerror(errno);
    return directory;
  }
  static void MakeFile(int directory, const std::string& name) {
    ASSERT_EQ(::mknodat(directory, name.c_str(), S_IFREG | 0644, 0), 0)
        << name << ": " << std::strerror(errno);
  }
};

std::string NumberedName(const char* prefix, std::size_t number) {
  return prefix + std::to_string(number);
}

// Every name listed, each of which must be there once, have the number that stat says, and be a
// regular file.
std::size_t CountFiles(DIR* directory) {
  std::set<std::string> seen;
  errno = 0;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    EXPECT_TRUE(seen.insert(name).second) << name << " twice";
    struct stat stat{};
    EXPECT_EQ(::fstatat(::dirfd(directory), name.c_str(), &stat, AT_SYMLINK_NOFOLLOW), 0) << name;
    EXPECT_EQ(stat.st_ino, entry->d_ino) << name;
    EXPECT_TRUE(S_ISREG(stat.st_mode) && entry->d_type == DT_REG) << name;
  }
  EXPECT_EQ(errno, 0) << std::strerror(errno);
  return seen.size();
}

TEST_F(DirectoriesTest, AHugeOneIsMadeListedLookedBackAtAndEmptied) {
  // More than a page of anything, and than the kernel is asked to cache.
  const std::size_t count = IsLong() ? 1'000'000 : 12'000;
  {
    const UniqueFd huge = MakeDirectory("huge");
    for (std::size_t i = 0; i < count; ++i) MakeFile(huge.get(), NumberedName("file", i));
  }
  EXPECT_EQ(CountFiles(OpenToList(volume_ / "huge").get()), count);
  ASSERT_EQ(::mkdir((volume_ / ".snapshots/full").c_str(), 0755), 0);
  EXPECT_EQ(CountFiles(OpenToList(volume_ / ".snapshots/full/huge").get()), count);

  // As rm -r does it: what has been listed goes while the listing goes on.
  {
    const OpenedDirectory listing = OpenToList(volume_ / "huge");
    std::size_t removed = 0;
    while (const dirent* entry = ::readdir(listing.get())) {
      if (entry->d_name[0] == '.') continue;
      ASSERT_EQ(::unlinkat(::dirfd(listing.get()), entry->d_name, 0), 0) << entry->d_name;
      ++removed;
    }
    EXPECT_EQ(removed, count);
  }
  ASSERT_EQ(::rmdir((volume_ / "huge").c_str()), 0) << std::strerror(errno);
  EXPECT_EQ(CountFiles(OpenToList(volume_ / ".snapshots/full/huge").get()), count);

  Varve({"rollback", volume_.mountpoint(), "--to", "full"});
  EXPECT_EQ(CountFiles(OpenToList(volume_ / "huge").get()), count);
}

constexpr std::size_t kPassing = 500;

// Makes and removes files named "passing…" until told to end; a process of its own.
[[noreturn]] void ComeAndGo(int directory, const std::atomic<bool>& done) {
  for (std::size_t i = 0; !done; ++i) {
    ::mknodat(directory, NumberedName("passing", i % kPassing).c_str(), S_IFREG | 0644, 0);
    ::unlinkat(directory, NumberedName("passing", (i * 7) % kPassing).c_str(), 0);
  }
  ::_exit(0);
}

// Memory that children share.
template <typename T>
class Shared {
 public:
  Shared() {
    void* memory =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    value_ = new (memory) T{};
  }
  ~Shared() { ::munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() { return *value_; }
  T* operator->() { return value_; }

 private:
  T* value_ = nullptr;
};

void ExpectCleanEnd(pid_t child) {
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(DirectoriesTest, WhatStaysIsListedOnceWhileOthersComeAndGo) {
  constexpr std::size_t kStaying = 3000;
  const int rounds = IsLong() ? 200 : 15;
  const UniqueFd directory = MakeDirectory("d");
  for (std::size_t i = 0; i < kStaying; ++i) {
    MakeFile(directory.get(), NumberedName("staying", i));
    // Some of those that pass lie between them, and leave holes.
    if (i < 3 * kPassing && i % 3 == 0) MakeFile(directory.get(), NumberedName("passing", i / 3));
  }
  Shared<std::atomic<bool>> done;
  std::array<pid_t, 2> children{};
  for (pid_t& child : children) {
    child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ComeAndGo(directory.get(), *done);
  }
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const OpenedDirectory listing = OpenToList(volume_ / "d");
    std::map<std::string, int> seen;
    std::vector<std::pair<long, std::string>> places;  // where a name that stays comes next
    for (;;) {
      const long place = ::telldir(listing.get());
      const dirent* entry = ::readdir(listing.get());
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      ++seen[name];
      if (name.starts_with("staying")) places.emplace_back(place, name);
    }
    std::size_t staying = 0;
    for (const auto& [name, times] : seen) {
      // A name that went and came again meanwhile is another entry, and may be met as well.
      if (!name.starts_with("staying")) continue;
      EXPECT_EQ(times, 1) << name;
      ++staying;
    }
    EXPECT_EQ(staying, kStaying);
    for (std::size_t i = 0; i < places.size(); i += 331) {
      ::seekdir(listing.get(), places[i].first);
      const dirent* entry = ::readdir(listing.get());
      while (entry != nullptr && !std::string(entry->d_name).starts_with("staying")) {
        entry = ::readdir(listing.get());
      }
      ASSERT_NE(entry, nullptr);
      EXPECT_EQ(entry->d_name, places[i].second);
    }
  }
  *done = true;
  for (const pid_t child : children) ExpectCleanEnd(child);
}

TEST_F(DirectoriesTest, WhoRenamesWhatHeReadsComesToAnEnd) {
  constexpr std::size_t kFiles = 3000;
  const UniqueFd directory = MakeDirectory("d");
  for (std::size_t i = 0; i < kFiles; ++i) MakeFile(directory.get(), NumberedName("old", i));
  const OpenedDirectory listing = OpenToList(volume_ / "d");
  std::size_t seen = 0;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    ASSERT_LE(++seen, kFiles) << name;
    const std::string renamed = "new-" + name;
    ASSERT_EQ(::renameat(directory.get(), name.c_str(), directory.get(), renamed.c_str()), 0);
  }
  EXPECT_EQ(seen, kFiles);
  ::rewinddir(listing.get());
  std::size_t renamed = 0;
  while (const dirent* entry = ::readdir(listing.get())) {
    renamed += std::string(entry->d_name).starts_with("new-old") ? 1 : 0;
  }
  EXPECT_EQ(renamed, kFiles);
}

TEST_F(DirectoriesTest, ANameThatIsTakenOverStaysInItsPlace) {
  constexpr std::size_t kFiles = 2000;  // more than one answer of the kernel's question
  UniqueFd directory = MakeDirectory("d");
  for (std::size_t i = 0; i < kFiles; ++i) MakeFile(directory.get(), NumberedName("f", i));
  std::vector<std::string> before;
  const auto list = [&](const std::function<void(std::size_t)>& meanwhile) {
    std::vector<std::string> names;
    const OpenedDirectory listing = OpenToList(volume_ / "d");
    while (const dirent* entry = ::readdir(listing.get())) {
      meanwhile(names.size());
      if (entry->d_name[0] == 'f') names.emplace_back(entry->d_name);
    }
    return names;
  };
  before = list([](std::size_t) {});
  ASSERT_EQ(before.size(), kFiles);
  const std::vector<std::string> during = list([&](std::size_t place) {
    if (place != 100) return;
    // One of the last is replaced as an editor saves, and two of them change places.
    MakeFile(directory.get(), "saved");
    EXPECT_EQ(::renameat(directory.get(), "saved", directory.get(), before[1900].c_str()), 0);
    EXPECT_EQ(::renameat2(directory.get(), before[1910].c_str(), directory.get(),
                          before[1920].c_str(), RENAME_EXCHANGE),
              0);
  });
  EXPECT_EQ(during, before);
  EXPECT_EQ(list([](std::size_t) {}), before);
  directory = UniqueFd();  // or it could not be unmounted
  Remount();
  EXPECT_EQ(list([](std::size_t) {}), before);
}

TEST_F(DirectoriesTest, AThousandDeepAreWalkedLookedBackAtAndRemoved) {
  const int depth = 1000;
  UniqueFd at = OpenPath(volume_.mountpoint());
  for (int level = 0; level < depth; ++level) {
    ASSERT_EQ(::mkdirat(at.get(), "deep", 0755), 0) << level << ": " << std::strerror(errno);
    at = UniqueFd(::openat(at.get(), "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at) << level << ": " << std::strerror(errno);
  }
  MakeFile(at.get(), "bottom");
  ASSERT_EQ(::mkdirat(at.get(), ".snapshots/below", 0755), 0) << std::strerror(errno);
  struct stat then{};
  EXPECT_EQ(::fstatat(at.get(), ".snapshots/below/bottom", &then, 0), 0) << std::strerror(errno);
  int above = 0;
  for (struct stat here{}, root{}; above <= depth; ++above) {
    ASSERT_EQ(::stat(volume_.mountpoint().c_str(), &root), 0);
    ASSERT_EQ(::fstat(at.get(), &here), 0);
    if (here.st_ino == root.st_ino) break;
    EXPECT_EQ(here.st_nlink, above == 0 ? 2u : 3u) << above;
    at = UniqueFd(::openat(at.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at);
  }
  EXPECT_EQ(above, depth);
  EXPECT_EQ(RunProgram({"rm", "-r", volume_ / "deep"}).status, 0);
  EXPECT_FALSE(PathExists(volume_ / "deep"));
}

TEST_F(DirectoriesTest, APathMayBeAsLongAsPathMaxSays) {
  // Ends in a file so that the whole, with its NUL, is PATH_MAX bytes.
  std::string path = volume_.mountpoint();
  while (path.size() + 202 < PATH_MAX - 1) {
    path += "/" + std::string(200, 'd');
    ASSERT_EQ(::mkdir(path.c_str(), 0755), 0) << std::strerror(errno);
  }
  const std::string longest = path + "/" + std::string(PATH_MAX - 2 - path.size(), 'f');
  ASSERT_EQ(longest.size(), static_cast<std::size_t>(PATH_MAX - 1));
  WriteFile(longest, "far away");
  EXPECT_EQ(ReadFile(longest), "far away");
  EXPECT_EQ(::open((longest + "f").c_str(), O_RDONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
}

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
