#include "tests/mount/differential_random_world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/filesystem.hpp>
#include <cerrno>
#include <cstring>
#include <functional>

#include "tests/mount/differential_users.h"

namespace varve {
namespace {

void Must(long result, const std::string& what) {
  EXPECT_EQ(result, 0) << what << ": " << std::strerror(errno);
}

// Links may lead upwards and to "/": with the world's top for a root they stay in it.
class InTheWorld {
 public:
  InTheWorld(int top, int home) {
    Must(::fchdir(top), "going to the world's top");
    Must(::chroot("."), "chroot into the world");
    Must(::fchdir(home), "going home");
  }
  ~InTheWorld() {
    Must(::fchdir(real_root_.get()), "leaving the world");
    Must(::chroot("."), "chroot out of the world");
  }
  InTheWorld(const InTheWorld&) = delete;
  InTheWorld& operator=(const InTheWorld&) = delete;

 private:
  const UniqueFd real_root_{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
};

UniqueFd FindOrMake(int parent, const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0777) == 0) {
    Must(::fchmodat(parent, name.c_str(), 0777, 0), "chmod of " + name);
  }
  UniqueFd directory(::openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(directory) << name << ": " << std::strerror(errno);
  return directory;
}

std::string ParentOf(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool Moved(const timespec& one, const timespec& two) {
  return one.tv_sec != two.tv_sec || one.tv_nsec != two.tv_nsec;
}

// By what one call moved, where it is the same node still.
std::string DescribeMoves(const struct stat& before, const struct stat& after) {
  if (before.st_ino != after.st_ino) return " another node";
  std::string text;
  if (Moved(before.st_mtim, after.st_mtim)) text += " mtime moved";
  if (Moved(before.st_ctim, after.st_ctim)) text += " ctime moved";
  return text;
}

}  // namespace

RandomWorld::RandomWorld(int side_root, const std::string& name)
    : top_(FindOrMake(side_root, name)), home_(FindOrMake(top_.get(), "home")) {}

RandomWorld::Seen RandomWorld::LookAt(const RandomCall& call) const {
  Seen seen;
  struct stat stat{};
  for (const char argument : RandomKinds()[call.kind].arguments) {
    if (argument == 'p' || argument == 'q') {
      const std::string& path = argument == 'p' ? call.path : call.other_path;
      for (const std::string& each : {path, ParentOf(path)}) {
        if (::lstat(each.c_str(), &stat) == 0) seen[each] = stat;
      }
    } else if (argument == 's' || argument == 't') {
      const std::size_t index = argument == 's' ? call.slot : call.other_slot;
      const int fd = slots_.at(index).get();
      if (fd >= 0 && ::fstat(fd, &stat) == 0) seen[fmt::format("slot {}", index)] = stat;
    }
  }
  return seen;
}

std::string RandomWorld::Do(const RandomCall& call, Times times) {
  const InTheWorld in_the_world(top_.get(), home_.get());
  Seen before;
  if (call.looks_before) before = LookAt(call);
  std::string text;
  {
    const mode_t umask = ::umask(call.umask);
    const ActingAs acting(AllUsers()[call.user]);
    text = RandomKinds()[call.kind].run(*this, call);
    ::umask(umask);
  }
  for (const auto& [what, stat] : LookAt(call)) {
    text += "; " + what.substr(0, 40) + ": " + ViewStat(stat).text;
    const auto then = before.find(what);
    if (then != before.end() && times == Times::kTell) text += DescribeMoves(then->second, stat);
  }
  return text;
}

std::string RandomWorld::DescribeSlots() const {
  std::string text;
  for (std::size_t i = 0; i < kSlots; ++i) {
    struct stat stat{};
    const int fd = slots_.at(i).get();
    if (fd < 0 || ::fstat(fd, &stat) != 0) continue;
    text += fmt::format("\n    slot {}: {}", i, ViewStat(stat).text);
    if (!S_ISREG(stat.st_mode)) continue;
    // Opened anew, for reading: the descriptor may be for writing only.
    const std::string path = fmt::format("/proc/self/fd/{}", fd);
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOATIME | O_CLOEXEC));
    text += file ? " " + DescribeContents(file.get(), stat.st_size) : " unreadable: " + Answer(-1);
  }
  return text;
}

void RandomWorld::CloseAll() {
  for (UniqueFd& slot : slots_) slot.Reset();
}

void RandomWorld::Clear() {
  CloseAll();
  home_.Reset();
  const std::string top = fmt::format("/proc/self/fd/{}/", top_.get());
  for (const boost::filesystem::directory_entry& entry :
       boost::filesystem::directory_iterator(top)) {
    boost::filesystem::remove_all(entry.path());
  }
  Must(::fchmodat(top_.get(), ".", 0777, 0), "chmod of the top");
  home_ = FindOrMake(top_.get(), "home");
}

}  // namespace varve
