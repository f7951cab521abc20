// Whole trees of the past: what tar, rsync and cp take out of `.snapshots` is what was there.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"

namespace varve {
namespace {

// The past has no set-uid programs.
constexpr mode_t kStrippedBits = S_ISUID | S_ISGID;
constexpr off_t kHoleBytes = off_t{3} << 20;

std::string XattrsOf(const std::string& path) {
  std::array<char, 4096> names{};
  const ssize_t length = ::llistxattr(path.c_str(), names.data(), names.size());
  EXPECT_GE(length, 0) << path << ": " << std::strerror(errno);
  std::map<std::string, std::string> found;
  for (ssize_t at = 0; at < length;) {
    const std::string name = names.data() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    std::array<char, 4096> value{};
    const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    EXPECT_GE(size, 0) << path << " " << name << ": " << std::strerror(errno);
    found[name] = std::string(value.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  }
  std::string text;
  for (const auto& [name, value] : found) text += " " + name + "=" + value;
  return text;
}

std::string ContentsOf(const std::string& path, const struct stat& stat) {
  if (S_ISREG(stat.st_mode)) return ReadFile(path);
  if (!S_ISLNK(stat.st_mode)) return "";
  std::array<char, 4096> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  EXPECT_GE(length, 0) << path << ": " << std::strerror(errno);
  return std::string(target.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
}

// Paths below a root and all that a faithful copy keeps of each. Files with several names are known
// by the first.
class Manifest {
 public:
  explicit Manifest(const std::string& root) : root_(root) { Add(""); }
  bool operator==(const Manifest& other) const { return lines_ == other.lines_; }
  const std::map<std::string, std::string>& lines() const { return lines_; }

 private:
  void Add(const std::string& path) {
    const std::string full = root_ + path;
    struct stat stat{};
    ASSERT_EQ(::lstat(full.c_str(), &stat), 0) << full << ": " << std::strerror(errno);
    const bool is_directory = S_ISDIR(stat.st_mode);
    std::string line = "mode " + std::to_string(stat.st_mode & ~kStrippedBits) + " owner " +
                       std::to_string(stat.st_uid) + ":" + std::to_string(stat.st_gid) + " time " +
                       std::to_string(stat.st_mtim.tv_sec) + "." +
                       std::to_string(stat.st_mtim.tv_nsec) + XattrsOf(full);
    if (S_ISCHR(stat.st_mode)) line += " device " + std::to_string(stat.st_rdev);
    if (!is_directory) {
      line += " links " + std::to_string(stat.st_nlink) + " first " +
              first_names_.emplace(stat.st_ino, path).first->second + " holds " +
              ContentsOf(full, stat);
    }
    lines_[path] = line;
    if (!is_directory) return;
    std::vector<std::string> names = ListNames(full);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) Add(path + "/" + name);
  }

  const std::string root_;
  std::map<ino_t, std::string> first_names_;
  std::map<std::string, std::string> lines_;
};

class PastTreesTest : public MountedTest {
 protected:
  void SetUp() override {
    MountedTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    MakeTree(volume_ / "tree");
    ASSERT_EQ(::mkdir((volume_ / ".snapshots/then").c_str(), 0755), 0) << std::strerror(errno);
  }

  static void MakeTree(const std::string& tree) {
    for (const char* directory : {"", "/one", "/one/two", "/empty", "/private"}) {
      ASSERT_EQ(::mkdir((tree + directory).c_str(), 0755), 0);
    }
    WriteFile(tree + "/one/file", "some text");
    WriteFile(tree + "/one/" + std::string(255, 'n'), "under the longest name");
    WriteFile(tree + "/one/a name with\nlines, \xff\xfe and \xc3\xa4", "odd");
    WriteFile(tree + "/program", "#!/bin/sh\n");
    ASSERT_EQ(::chown((tree + "/one/file").c_str(), 1234, 4321), 0);
    ASSERT_EQ(::chmod((tree + "/program").c_str(), 06755), 0);
    ASSERT_EQ(::chmod((tree + "/private").c_str(), 0700), 0);
    ASSERT_EQ(::link((tree + "/one/file").c_str(), (tree + "/one/two/same").c_str()), 0);
    ASSERT_EQ(::link((tree + "/one/file").c_str(), (tree + "/private/same").c_str()), 0);
    ASSERT_EQ(::symlink("../nowhere", (tree + "/one/link").c_str()), 0);
    ASSERT_EQ(::mkfifo((tree + "/one/fifo").c_str(), 0640), 0);
    ASSERT_EQ(::mknod((tree + "/one/null").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
    ASSERT_EQ(::setxattr((tree + "/program").c_str(), "user.note", "kept", 4, 0), 0);
    ASSERT_EQ(::setxattr((tree + "/empty").c_str(), "trusted.note", "so too", 6, 0), 0);
    MakeSparse(tree + "/sparse");
    const std::array<timespec, 2> times{timespec{1, 1}, timespec{1'000'000'000, 123'456'789}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (tree + "/one/file").c_str(), times.data(), 0), 0);
    ASSERT_EQ(::utimensat(AT_FDCWD, (tree + "/one").c_str(), times.data(), 0), 0);
  }

  static void MakeSparse(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_TRUE(file);
    ASSERT_EQ(::pwrite(file.get(), "far", 3, kHoleBytes), 3);
    ASSERT_EQ(::ftruncate(file.get(), 2 * kHoleBytes), 0);
  }

  // Nothing of the tree stays what it was.
  void ChangeEverything() {
    WriteFile(volume_ / "tree/one/file", "another text");
    ASSERT_EQ(::chmod((volume_ / "tree/program").c_str(), 0600), 0);
    ASSERT_EQ(RunProgram({"rm", "-r", volume_ / "tree/one/two", volume_ / "tree/empty"}).status, 0);
    ASSERT_EQ(::rename((volume_ / "tree/one").c_str(), (volume_ / "tree/other").c_str()), 0);
    ASSERT_EQ(::truncate((volume_ / "tree/sparse").c_str(), 0), 0);
    ASSERT_EQ(::removexattr((volume_ / "tree/program").c_str(), "user.note"), 0);
  }

  void ExpectHole(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(file) << path;
    EXPECT_GE(::lseek(file.get(), 0, SEEK_DATA), kHoleBytes / 2) << path;
    EXPECT_LE(::lseek(file.get(), kHoleBytes, SEEK_HOLE), kHoleBytes + kHoleBytes / 2) << path;
  }
};

TEST_F(PastTreesTest, CopiesByTarRsyncAndCpAreIdentical) {
  const Manifest before(volume_ / "tree");
  ChangeEverything();
  EXPECT_FALSE(Manifest(volume_ / "tree") == before);
  const std::string then = volume_ / ".snapshots/then/tree";
  EXPECT_EQ(Manifest(then).lines(), before.lines());
  ExpectHole(then + "/sparse");
  const std::map<std::string, std::string> commands = {
      {"cp", "cp -a \"$1\"/. \"$2\""},
      // Otherwise rsync takes times within one second for the same, and does not set them.
      {"rsync", "rsync -aHAXS --modify-window=-1 \"$1\"/ \"$2\"/"},
      {"tar",
       "tar -C \"$1\" --xattrs --xattrs-include='*' -cSf - . |"
       " tar -C \"$2\" --xattrs --xattrs-include='*' --numeric-owner -xpSf -"},
  };
  for (const auto& [name, command] : commands) {
    SCOPED_TRACE(name);
    const std::string copy = volume_ / name;
    ASSERT_EQ(::mkdir(copy.c_str(), 0755), 0);
    const RunResult copied = RunProgram({"sh", "-c", command, "sh", then, copy});
    EXPECT_EQ(copied.status, 0) << copied.err;
    EXPECT_EQ(Manifest(copy).lines(), before.lines());
    ExpectHole(copy + "/sparse");
  }
}

// Number and type of every name below `path`, as its directory lists them and as stat says.
void Number(const std::string& path, std::map<std::string, ino_t>& numbers) {
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, Close> directory(::opendir(path.c_str()));
  ASSERT_NE(directory, nullptr) << path;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    const std::string full = path + "/" + name;
    struct stat stat{};
    ASSERT_EQ(::lstat(full.c_str(), &stat), 0) << full << ": " << std::strerror(errno);
    EXPECT_EQ(entry->d_ino, stat.st_ino) << full;
    EXPECT_EQ(entry->d_type, IFTODT(stat.st_mode)) << full;
    if (name == "." || name == "..") continue;
    numbers[full] = stat.st_ino;
    if (S_ISDIR(stat.st_mode)) Number(full, numbers);
  }
}

TEST_F(PastTreesTest, NumbersAreTheirOwnAndStay) {
  std::map<std::string, ino_t> now, then, again;
  Number(volume_ / "tree", now);
  Number(volume_ / ".snapshots/then/tree", then);
  EXPECT_EQ(then.size(), now.size());
  std::set<ino_t> present, past;
  for (const auto& [path, number] : now) present.insert(number);
  for (const auto& [path, number] : then) {
    EXPECT_FALSE(present.contains(number)) << path;
    past.insert(number);
  }
  EXPECT_EQ(past.size(), present.size()) << "hard links share a number, others do not";
  Remount();
  Number(volume_ / ".snapshots/then/tree", again);
  EXPECT_EQ(again, then);
}

TEST_F(PastTreesTest, FindAtTheRootDoesNotFallIntoThePast) {
  const RunResult found = RunProgram({"find", volume_.mountpoint(), "-name", ".snapshots"});
  EXPECT_EQ(found.status, 0) << found.err;
  EXPECT_EQ(found.out, "");
  const RunResult all = RunProgram({"find", volume_.mountpoint(), "-printf", "x"});
  EXPECT_EQ(all.status, 0) << all.err;
  std::map<std::string, ino_t> tree;
  Number(volume_ / "tree", tree);
  EXPECT_EQ(all.out.size(), tree.size() + 2) << "the root and the tree's own";
  const RunResult then = RunProgram({"find", volume_ / ".snapshots/then", "-printf", "x"});
  EXPECT_EQ(then.status, 0) << then.err;
  EXPECT_EQ(then.out.size(), all.out.size());
}

}  // namespace
}  // namespace varve
