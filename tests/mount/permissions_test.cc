// Who may do what, now and then, and locks between processes; as several users, so only by root.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <set>

#include "fs/core/acl.h"
#include "store/base/unique_fd.h"
#include "tests/mount/differential_stories.h"
#include "tests/mount/differential_users.h"
#include "tests/mount/mounted_test.h"

namespace varve {
namespace {

constexpr const char* kAccess = "system.posix_acl_access";

class PermissionsTest : public MountedTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
    MountedTest::SetUp();
    if (!IsSkipped()) Enter();
  }
  void TearDown() override {
    ASSERT_EQ(::chdir("/"), 0);
    MountedTest::TearDown();
  }
  // Others may not search what leads to the mount: paths begin in it.
  void Enter() { ASSERT_EQ(::chdir(volume_.mountpoint().c_str()), 0); }

  // 0 or the errno.
  static int As(const User& user, const std::function<long()>& call) {
    const ActingAs acting(user);
    return call() >= 0 ? 0 : errno;
  }
  static int Open(const User& user, const std::string& path, int flags) {
    return As(user, [&] { return OpenFile(path, flags) ? 0 : -1; });
  }
  static mode_t ModeOf(const std::string& path) {
    // Nothing but the mode, for the kernel asks anew if something else is out of date.
    struct statx stat{};
    EXPECT_EQ(::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_MODE, &stat), 0)
        << path << ": " << std::strerror(errno);
    return stat.stx_mode & 07777;
  }
  static void LetRead(const std::string& path, const User& user) {
    using Tag = AclEntry::Tag;
    const std::string value = EncodeAcl({{Tag::kOwner, 6},
                                         {Tag::kUser, 4, user.uid},
                                         {Tag::kOwningGroup, 0},
                                         {Tag::kMask, 4},
                                         {Tag::kOther, 0}});
    EXPECT_EQ(::setxattr(path.c_str(), kAccess, value.data(), value.size(), 0), 0)
        << std::strerror(errno);
  }
  static std::string Then(const std::string& when, const std::string& path) {
    return ".snapshots/" + when + "/" + path;
  }
};

TEST_F(PermissionsTest, ThePastIsRuledByTheModeOfThen) {
  WriteFile("opened", "x");
  WriteFile("closed", "x");
  ASSERT_EQ(::mkdir("dir", 0755), 0);
  WriteFile("dir/file", "x");
  ASSERT_EQ(::chmod("opened", 0600), 0);
  ASSERT_EQ(::chmod("closed", 0644), 0);
  const std::string then = Now();
  ASSERT_EQ(::chmod("opened", 0644), 0);
  ASSERT_EQ(::chmod("closed", 0600), 0);
  ASSERT_EQ(::chmod("dir", 0700), 0);
  EXPECT_EQ(Open(Other(), "opened", O_RDONLY), 0);
  EXPECT_EQ(Open(Other(), Then(then, "opened"), O_RDONLY), EACCES);
  EXPECT_EQ(Open(Other(), "closed", O_RDONLY), EACCES);
  EXPECT_EQ(Open(Other(), Then(then, "closed"), O_RDONLY), 0);
  EXPECT_EQ(Open(Other(), "dir/file", O_RDONLY), EACCES);
  EXPECT_EQ(Open(Other(), Then(then, "dir/file"), O_RDONLY), 0);
  EXPECT_EQ(Open(Other(), "dir/.snapshots/" + then + "/file", O_RDONLY), EACCES)
      << "who may not search a directory now does not get to its past through it";
}

TEST_F(PermissionsTest, ThePastIsRuledByTheListsOfThen) {
  WriteFile("file", "x");
  ASSERT_EQ(::chmod("file", 0600), 0);
  const std::string before = Now();
  LetRead("file", Other());
  const std::string listed = Now();
  ASSERT_EQ(::removexattr("file", kAccess), 0);
  ASSERT_EQ(::chmod("file", 0600), 0);
  Enter();
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Open(Other(), Then(before, "file"), O_RDONLY), EACCES);
    EXPECT_EQ(Open(Other(), Then(listed, "file"), O_RDONLY), 0);
    EXPECT_EQ(Open(Owner(), Then(listed, "file"), O_RDONLY), EACCES);
    EXPECT_EQ(Open(Other(), "file", O_RDONLY), EACCES);
    ASSERT_EQ(::chdir("/"), 0);
    Remount();
    Enter();
  }
}

TEST_F(PermissionsTest, ARollbackBringsBackWhoMay) {
  WriteFile("file", "x");
  LetRead("file", Other());
  const std::string then = Now();
  ASSERT_EQ(::removexattr("file", kAccess), 0);
  ASSERT_EQ(::chmod("file", 0600), 0);
  EXPECT_EQ(Open(Other(), "file", O_RDONLY), EACCES);
  Varve({"rollback", volume_ / "file", "--to", then});
  EXPECT_EQ(Open(Other(), "file", O_RDONLY), 0);
  EXPECT_EQ(Open(Owner(), "file", O_RDONLY), EACCES);
}

TEST_F(PermissionsTest, WhoMayReadADirectoryByItsListSeesItsPast) {
  ASSERT_EQ(::mkdir("dir", 0700), 0);
  WriteFile("dir/file", "x");
  EXPECT_EQ(Open(Other(), "dir/.snapshots", O_RDONLY), EACCES);
  using Tag = AclEntry::Tag;
  const std::string value = EncodeAcl({{Tag::kOwner, 7},
                                       {Tag::kUser, 7, Other().uid},
                                       {Tag::kOwningGroup, 0},
                                       {Tag::kMask, 7},
                                       {Tag::kOther, 0}});
  ASSERT_EQ(::setxattr("dir", kAccess, value.data(), value.size(), 0), 0);
  const std::string then = Now();
  EXPECT_EQ(Open(Other(), "dir/.snapshots", O_RDONLY), 0);
  EXPECT_EQ(Open(Other(), "dir/.snapshots/" + then + "/file", O_RDONLY), 0);
  EXPECT_EQ(As(Other(), [] { return ::mkdir("dir/.snapshots/mine", 0700); }), EACCES);
  EXPECT_EQ(Open(Owner(), "dir/.snapshots", O_RDONLY), EACCES);
}

TEST_F(PermissionsTest, NothingOfThePastRunsWithAnothersPower) {
  WriteFile("program", "x");
  ASSERT_EQ(::chmod("program", 06755), 0);
  const std::array<unsigned char, 20> capability{1, 0, 0, 2, 0, 0x20};
  ASSERT_EQ(::setxattr("program", "security.capability", capability.data(), capability.size(), 0),
            0);
  ASSERT_EQ(::setxattr("program", "user.note", "n", 1, 0), 0);
  const std::string path = Then(Now(), "program");
  EXPECT_EQ(ModeOf("program"), 06755u);
  EXPECT_EQ(ModeOf(path), 0755u);
  std::array<char, 64> value{};
  EXPECT_EQ(::getxattr(path.c_str(), "user.note", value.data(), value.size()), 1);
  EXPECT_LT(::getxattr(path.c_str(), "security.capability", value.data(), value.size()), 0);
  EXPECT_EQ(errno, ENODATA);
  const ssize_t listed = ::listxattr(path.c_str(), value.data(), value.size());
  EXPECT_EQ(std::string(value.data(), static_cast<std::size_t>(listed)),
            std::string("user.note\0", 10));
}

TEST_F(PermissionsTest, WhatIsWrittenOrGivenAwayLosesItsPower) {
  const std::array<unsigned char, 20> capability{1, 0, 0, 2, 0, 0x20};
  const auto give = [&](mode_t mode) {
    ASSERT_EQ(::chmod("program", mode), 0);
    ASSERT_EQ(::setxattr("program", "security.capability", capability.data(), capability.size(), 0),
              0);
  };
  const auto is_capable = [] {
    std::array<char, 64> value{};
    return ::getxattr("program", "security.capability", value.data(), value.size()) > 0;
  };
  for (const std::string options : {"allow_other", "allow_other,writeback"}) {
    SCOPED_TRACE(options);
    ASSERT_EQ(::chdir("/"), 0);
    Remount(options);
    Enter();
    WriteFile("program", "text");
    const UniqueFd file(::open("program", O_RDWR | O_CLOEXEC));
    const auto write = [&] { return ::pwrite(file.get(), "T", 1, 0); };
    give(06777);
    EXPECT_EQ(As(Other(), write), 0);
    EXPECT_EQ(ModeOf("program"), 0777U);
    EXPECT_FALSE(is_capable());
    EXPECT_EQ(write(), 1) << "once it is known to have none";
    give(06777);
    EXPECT_EQ(write(), 1);
    EXPECT_EQ(ModeOf("program"), 06777U) << "root's writing leaves these";
    EXPECT_FALSE(is_capable());
    give(06777);
    EXPECT_EQ(As(Other(), [&] { return ::ftruncate(file.get(), 2); }), 0);
    EXPECT_EQ(ModeOf("program"), 0777U);
    EXPECT_FALSE(is_capable());
    give(06777);
    EXPECT_EQ(Open(Other(), "program", O_WRONLY | O_TRUNC), 0);
    EXPECT_EQ(ModeOf("program"), 0777U);
    EXPECT_FALSE(is_capable());
    constexpr auto kSame = static_cast<uid_t>(-1);
    give(06777);
    EXPECT_EQ(As(Other(), [] { return ::chown("program", kSame, kSame); }), EPERM);
    EXPECT_EQ(ModeOf("program"), 06777U);
    ASSERT_EQ(::chown("program", kSame, kSame), 0);
    EXPECT_EQ(ModeOf("program"), 0777U);
    ASSERT_EQ(::mkfifo("fifo", 0600), 0);
    ASSERT_EQ(::chmod("fifo", 04755), 0);
    EXPECT_EQ(As(Other(), [] { return ::chown("fifo", kSame, kSame); }), EPERM);
    ASSERT_EQ(::chown("fifo", kSame, kSame), 0);
    EXPECT_EQ(ModeOf("fifo"), 0755U);
    ASSERT_EQ(::unlink("fifo"), 0);
    give(06777);
    ASSERT_EQ(::chown("program", 0, 0), 0);
    EXPECT_EQ(ModeOf("program"), 0777U);
    EXPECT_FALSE(is_capable());
  }
}

TEST_F(PermissionsTest, EveryChangeOfThePastIsRefusedAsOfAReadOnlyFilesystem) {
  WriteFile("file", "x");
  ASSERT_EQ(::mkdir("dir", 0777), 0);
  ASSERT_EQ(::symlink("file", "link"), 0);
  const std::string then = Now();
  const std::string file = Then(then, "file");
  const std::string dir = Then(then, "dir");
  const std::string link = Then(then, "link");
  const std::string fresh = Then(then, "new");
  const std::string acl = EncodeAcl(
      {{AclEntry::Tag::kOwner, 7}, {AclEntry::Tag::kOwningGroup, 7}, {AclEntry::Tag::kOther, 7}});
  const std::vector<std::pair<const char*, std::function<long()>>> changes{
      {"open for writing", [&] { return OpenFile(file, O_WRONLY) ? 0 : -1; }},
      {"open O_RDWR", [&] { return OpenFile(file, O_RDWR) ? 0 : -1; }},
      {"open O_TRUNC", [&] { return OpenFile(file, O_RDONLY | O_TRUNC) ? 0 : -1; }},
      {"create", [&] { return OpenFile(fresh, O_RDONLY | O_CREAT) ? 0 : -1; }},
      {"truncate", [&] { return ::truncate(file.c_str(), 0); }},
      {"chmod", [&] { return ::chmod(file.c_str(), 0777); }},
      {"chmod of a directory", [&] { return ::chmod(dir.c_str(), 0777); }},
      {"chown", [&] { return ::chown(file.c_str(), 1, 1); }},
      {"lchown", [&] { return ::lchown(link.c_str(), 1, 1); }},
      {"utimensat", [&] { return ::utimensat(AT_FDCWD, file.c_str(), nullptr, 0); }},
      {"mkdir", [&] { return ::mkdir(fresh.c_str(), 0700); }},
      {"mknod", [&] { return ::mknod(fresh.c_str(), S_IFIFO | 0600, 0); }},
      {"symlink", [&] { return ::symlink("x", fresh.c_str()); }},
      {"unlink", [&] { return ::unlink(file.c_str()); }},
      {"rmdir", [&] { return ::rmdir(dir.c_str()); }},
      {"rename within", [&] { return ::rename(file.c_str(), fresh.c_str()); }},
      {"link within", [&] { return ::link(file.c_str(), fresh.c_str()); }},
      {"rename out", [&] { return ::rename(file.c_str(), "out"); }},
      {"link out", [&] { return ::link(file.c_str(), "out"); }},
      {"rename in", [&] { return ::rename("file", fresh.c_str()); }},
      {"link in", [&] { return ::link("file", fresh.c_str()); }},
      {"setxattr", [&] { return ::setxattr(file.c_str(), "user.a", "1", 1, 0); }},
      {"removexattr", [&] { return ::removexattr(file.c_str(), "user.a"); }},
      {"an access list",
       [&] { return ::setxattr(file.c_str(), kAccess, acl.data(), acl.size(), 0); }},
  };
  for (const auto& [name, change] : changes) EXPECT_EQ(As(Root(), change), EROFS) << name;
  EXPECT_EQ(ReadFile(file), "x");
  EXPECT_FALSE(PathExists("out"));
}

TEST_F(PermissionsTest, NodesOfThePastAreNotThoseOfNow) {
  WriteFile("file", "x");
  ASSERT_EQ(::mkdir("dir", 0755), 0);
  const std::string first = Now();
  WriteFile("file", "y");
  const std::string second = Now();
  std::set<ino_t> numbers;
  for (const std::string& path :
       {std::string("file"), std::string("dir"), Then(first, "file"), Then(first, "dir"),
        Then(second, "file"), Then(second, "dir"), std::string(".snapshots")}) {
    struct stat stat{};
    ASSERT_EQ(::stat(path.c_str(), &stat), 0) << path;
    EXPECT_TRUE(numbers.insert(stat.st_ino).second) << path;
  }
}

TEST_F(PermissionsTest, AListThatChangesIsHeededAtOnce) {
  WriteFile("file", "x");
  ASSERT_EQ(::chmod("file", 0600), 0);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Open(Other(), "file", O_RDONLY), EACCES);
    LetRead("file", Other());
    EXPECT_EQ(Open(Other(), "file", O_RDONLY), 0);
    EXPECT_EQ(Open(Other(), "file", O_WRONLY), EACCES);
    ASSERT_EQ(::chmod("file", 0600), 0);
    EXPECT_EQ(Open(Other(), "file", O_RDONLY), EACCES) << "chmod took the mask away";
    ASSERT_EQ(::chmod("file", 0640), 0);
    EXPECT_EQ(Open(Other(), "file", O_RDONLY), 0);
    ASSERT_EQ(::removexattr("file", kAccess), 0);
    ASSERT_EQ(::chmod("file", 0600), 0);
  }
}

// Takes a lock on the first byte.
int Lock(int fd, int command, short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  return ::fcntl(fd, command, &lock);
}

class LockTest : public PermissionsTest {
 protected:
  // Another process waits for a lock that this one holds, and has it once this one lets go.
  static void WaitsUntilFree(const std::function<int(int)>& take,
                             const std::function<int(int)>& wait,
                             const std::function<int(int)>& release) {
    const UniqueFd mine = OpenFile("file", O_RDWR | O_CREAT);
    ASSERT_EQ(take(mine.get()), 0) << std::strerror(errno);
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    const UniqueFd told(ends[0]);
    UniqueFd tell(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      const UniqueFd own = OpenFile("file", O_RDWR);
      const bool waited = ::write(tell.get(), "w", 1) == 1 && wait(own.get()) == 0 &&
                          ::write(tell.get(), "h", 1) == 1;
      ::_exit(waited ? 0 : 1);
    }
    char byte = 0;
    while (::read(told.get(), &byte, 1) != 1) ::usleep(1000);
    EXPECT_EQ(byte, 'w');
    ::usleep(100'000);
    EXPECT_LT(::read(told.get(), &byte, 1), 0) << "it has a lock that is held";
    EXPECT_EQ(release(mine.get()), 0);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(::read(told.get(), &byte, 1), 1);
    EXPECT_EQ(byte, 'h');
  }
};

TEST_F(LockTest, APosixLockIsWaitedFor) {
  WaitsUntilFree([](int fd) { return Lock(fd, F_SETLK, F_WRLCK); },
                 [](int fd) { return Lock(fd, F_SETLKW, F_WRLCK); },
                 [](int fd) { return Lock(fd, F_SETLK, F_UNLCK); });
}

TEST_F(LockTest, AnOpenFilesLockIsWaitedFor) {
  WaitsUntilFree([](int fd) { return Lock(fd, F_OFD_SETLK, F_RDLCK); },
                 [](int fd) { return Lock(fd, F_OFD_SETLKW, F_WRLCK); },
                 [](int fd) { return Lock(fd, F_OFD_SETLK, F_UNLCK); });
}

TEST_F(LockTest, AWholeFilesLockIsWaitedFor) {
  WaitsUntilFree([](int fd) { return ::flock(fd, LOCK_EX); },
                 [](int fd) { return ::flock(fd, LOCK_SH); },
                 [](int fd) { return ::flock(fd, LOCK_UN); });
}

TEST_F(LockTest, WhoHoldsALockCanBeAsked) {
  const UniqueFd mine = OpenFile("file", O_RDWR | O_CREAT);
  ASSERT_EQ(Lock(mine.get(), F_SETLK, F_WRLCK), 0);
  EXPECT_EQ(InChild([] {
              const UniqueFd own = OpenFile("file", O_RDWR);
              struct flock lock{};
              lock.l_type = F_RDLCK;
              lock.l_whence = SEEK_SET;
              if (::fcntl(own.get(), F_GETLK, &lock) != 0) return std::string("refused");
              return std::to_string(lock.l_type) + " of " + std::to_string(lock.l_pid) +
                     " length " + std::to_string(lock.l_len);
            }),
            std::to_string(F_WRLCK) + " of " + std::to_string(::getpid()) + " length 1");
}

TEST_F(LockTest, LocksOfThePastCanBeTakenToo) {
  WriteFile("file", "x");
  const std::string path = Then(Now(), "file");
  const UniqueFd mine = OpenFile(path, O_RDONLY);
  ASSERT_TRUE(mine);
  EXPECT_EQ(::flock(mine.get(), LOCK_EX), 0) << std::strerror(errno);
  EXPECT_EQ(Lock(mine.get(), F_SETLK, F_RDLCK), 0) << std::strerror(errno);
}

}  // namespace
}  // namespace varve
