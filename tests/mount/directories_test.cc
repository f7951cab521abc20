// Directories as ext4 has them: huge, deep, and looked at while they change.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "tests/mount/directories_fixture.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

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

}  // namespace
}  // namespace varve
