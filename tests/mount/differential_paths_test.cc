// Every call that takes a path, under every condition a path can be in, by three users.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "tests/mount/differential_fixture.h"
#include "tests/mount/differential_scene.h"

namespace varve {
namespace {

struct PathCall {
  std::string name;
  std::function<std::string(const char* path)> run;
};

class PathsDifferentialTest : public DifferentialTest {
 protected:
  PathsDifferentialTest() : DifferentialTest("paths") {}

  void CompareAll(const std::vector<PathCall>& calls) {
    for (const PathCall& call : calls) {
      for (const Condition& condition : AllConditions()) {
        for (const User& user : AllUsers()) {
          CompareInScene(fmt::format("{}({})", call.name, condition.name), user,
                         [&] { return call.run(condition.path.c_str()); });
        }
      }
    }
  }
};

PathCall OpenWith(const std::string& name, int flags, mode_t mode = 0) {
  return {"open " + name, [=](const char* path) {
            const UniqueFd fd(::open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode));
            return fd ? std::string("opened") : Answer(-1);
          }};
}

TEST_F(PathsDifferentialTest, Opening) {
  CompareAll({
      OpenWith("O_RDONLY", O_RDONLY),
      OpenWith("O_WRONLY", O_WRONLY),
      OpenWith("O_RDWR", O_RDWR),
      OpenWith("O_WRONLY|O_APPEND", O_WRONLY | O_APPEND),
      OpenWith("O_RDONLY|O_TRUNC", O_RDONLY | O_TRUNC),
      OpenWith("O_WRONLY|O_TRUNC", O_WRONLY | O_TRUNC),
      OpenWith("O_RDWR|O_CREAT", O_RDWR | O_CREAT, 0640),
      OpenWith("O_RDONLY|O_CREAT", O_RDONLY | O_CREAT, 07777),
      OpenWith("O_WRONLY|O_CREAT|O_TRUNC", O_WRONLY | O_CREAT | O_TRUNC, 0600),
      OpenWith("O_RDWR|O_CREAT|O_EXCL", O_RDWR | O_CREAT | O_EXCL, 06755),
      OpenWith("O_RDWR|O_CREAT|O_NOFOLLOW", O_RDWR | O_CREAT | O_NOFOLLOW, 0644),
      OpenWith("O_RDONLY|O_CREAT|O_DIRECTORY", O_RDONLY | O_CREAT | O_DIRECTORY, 0755),
      OpenWith("O_RDONLY|O_DIRECTORY", O_RDONLY | O_DIRECTORY),
      OpenWith("O_RDWR|O_DIRECTORY", O_RDWR | O_DIRECTORY),
      OpenWith("O_RDONLY|O_NOFOLLOW", O_RDONLY | O_NOFOLLOW),
      OpenWith("O_RDONLY|O_DIRECTORY|O_NOFOLLOW", O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
      OpenWith("O_PATH", O_PATH),
      OpenWith("O_PATH|O_NOFOLLOW", O_PATH | O_NOFOLLOW),
      OpenWith("O_RDONLY|O_NOATIME", O_RDONLY | O_NOATIME),
      OpenWith("O_RDWR|O_SYNC", O_RDWR | O_SYNC),
      OpenWith("O_RDWR|O_DIRECT", O_RDWR | O_DIRECT),
      OpenWith("O_RDONLY|O_TMPFILE", O_RDONLY | O_TMPFILE, 0600),
      OpenWith("O_RDWR|O_TMPFILE", O_RDWR | O_TMPFILE, 0600),
  });
}

TEST_F(PathsDifferentialTest, MakingAndRemoving) {
  const auto node = [](const std::string& name, mode_t mode, dev_t device) -> PathCall {
    return {name, [=](const char* path) { return Answer(::mknod(path, mode, device)); }};
  };
  const auto link = [](const std::string& name, const std::string& target) -> PathCall {
    return {name, [=](const char* path) { return Answer(::symlink(target.c_str(), path)); }};
  };
  CompareAll({
      {"mkdir", [](const char* path) { return Answer(::mkdir(path, 0750)); }},
      {"mkdir 07777", [](const char* path) { return Answer(::mkdir(path, 07777)); }},
      {"rmdir", [](const char* path) { return Answer(::rmdir(path)); }},
      {"unlink", [](const char* path) { return Answer(::unlink(path)); }},
      node("mknod without a type", 0644, 0),
      node("mknod regular", S_IFREG | 04711, 0),
      node("mknod fifo", S_IFIFO | 0622, 0),
      node("mknod socket", S_IFSOCK | 0777, 0),
      node("mknod char", S_IFCHR | 0600, makedev(1, 3)),
      node("mknod char with a large number", S_IFCHR | 0600, makedev(0xfff, 0xfffff)),
      node("mknod block", S_IFBLK | 0660, makedev(7, 77)),
      node("mknod directory", S_IFDIR | 0755, 0),
      node("mknod symlink", S_IFLNK | 0777, 0),
      node("mknod of no type there is", S_IFMT | 0644, 0),
      link("symlink to file", "file"),
      link("symlink to nothing", ""),
      link("symlink to 4095 bytes", std::string(4095, 't')),
      link("symlink to 4096 bytes", std::string(4096, 't')),
  });
}

PathCall Chmod(mode_t mode) {
  return {fmt::format("chmod {:o}", mode),
          [=](const char* path) { return Answer(::chmod(path, mode)); }};
}
PathCall Chown(uid_t uid, gid_t gid, int flags = 0) {
  return {fmt::format("{} {}:{}", flags != 0 ? "lchown" : "chown", static_cast<int>(uid),
                      static_cast<int>(gid)),
          [=](const char* path) { return Answer(::fchownat(AT_FDCWD, path, uid, gid, flags)); }};
}

TEST_F(PathsDifferentialTest, OwnersAndModes) {
  constexpr auto kSame = static_cast<uid_t>(-1);
  CompareAll({
      Chmod(0600),
      Chmod(07777),
      Chmod(02755),
      Chmod(01644),
      Chmod(0),
      {"fchmodat not following",
       [](const char* path) {
         return Answer(::fchmodat(AT_FDCWD, path, 0640, AT_SYMLINK_NOFOLLOW));
       }},
      Chown(0, 0),
      Chown(60001, 60001),
      Chown(60001, kSame),
      Chown(kSame, kSharedGroup),
      Chown(kSame, 60002),
      Chown(kSame, kSame),
      Chown(60001, kSharedGroup, AT_SYMLINK_NOFOLLOW),
      Chown(kSame, kSharedGroup, AT_SYMLINK_NOFOLLOW),
  });
}

// Afterwards the times themselves are told, of a link its own.
PathCall SetTimes(const std::string& name, timespec atime, timespec mtime, int flags = 0) {
  return {"utimensat " + name, [=](const char* path) {
            const std::array<timespec, 2> times{atime, mtime};
            const int result = ::utimensat(AT_FDCWD, path, times.data(), flags);
            std::string answer = Answer(result);
            struct stat stat{};
            if (result != 0 || ::fstatat(AT_FDCWD, path, &stat, flags) != 0) return answer;
            for (const timespec& time : {stat.st_atim, stat.st_mtim}) {
              const bool now =
                  ::time(nullptr) - time.tv_sec < 3600 && time.tv_sec < ::time(nullptr) + 3600;
              answer += now ? " now" : fmt::format(" {}.{:09}", time.tv_sec, time.tv_nsec);
            }
            return answer;
          }};
}

TEST_F(PathsDifferentialTest, Times) {
  constexpr timespec kNow{0, UTIME_NOW};
  constexpr timespec kOmit{0, UTIME_OMIT};
  constexpr timespec kThen{1'000'000'000, 123'456'789};
  constexpr timespec kSecond{1'111'111'111, 999'999'999};
  CompareAll({
      {"utimensat null",
       [](const char* path) { return Answer(::utimensat(AT_FDCWD, path, nullptr, 0)); }},
      SetTimes("both", kThen, kSecond),
      SetTimes("now and now", kNow, kNow),
      SetTimes("now and then", kNow, kThen),
      SetTimes("then and now", kThen, kNow),
      SetTimes("omit and omit", kOmit, kOmit),
      SetTimes("omit and then", kOmit, kThen),
      SetTimes("then and omit", kThen, kOmit),
      SetTimes("now and omit", kNow, kOmit),
      SetTimes("omit and now", kOmit, kNow),
      SetTimes("of the link", kThen, kSecond, AT_SYMLINK_NOFOLLOW),
      SetTimes("the epoch", {0, 0}, {0, 1}),
      SetTimes("before the epoch", {-1, 999'999'999}, {-1'000'000'000, 5}),
      SetTimes("the least of 32 bits", {-2'147'483'648LL, 0}, {-2'147'483'648LL, 0}),
      SetTimes("long before", {-3'000'000'000LL, 0}, {-30'000'000'000LL, 0}),
      SetTimes("after 2038", {2'147'483'648LL, 1}, {4'294'967'296LL, 1}),
      SetTimes("2262", {9'223'372'035LL, 999'999'999}, {9'000'000'000LL, 0}),
      SetTimes("after 2262", {9'223'372'037LL, 0}, {15'000'000'000LL, 0}),
      SetTimes("far future", {1LL << 40, 0}, {1LL << 62, 0}),
      SetTimes("nanoseconds too many", {0, 1'000'000'000}, kThen),
      SetTimes("nanoseconds negative", kThen, {0, -1}),
  });
}

// What must be so of any filesystem; how large it is and how full is its own affair.
std::string DescribeSpace(const struct statfs& space) {
  const auto is_sane = [](auto bytes) {
    return bytes >= 512 && bytes <= (1 << 20) && (bytes & (bytes - 1)) == 0;
  };
  return fmt::format("0 names of {}, blocks {} {}, {} {}, files {}", space.f_namelen,
                     is_sane(space.f_bsize), is_sane(space.f_frsize),
                     space.f_bavail <= space.f_bfree && space.f_bfree <= space.f_blocks,
                     space.f_blocks > 0 && space.f_bavail > 0,
                     space.f_files > 0 && space.f_ffree <= space.f_files);
}

std::string ReadAndClose(int fd, std::string answer) {
  const UniqueFd file(fd);
  std::array<char, 64> bytes{};
  const ssize_t count = ::read(fd, bytes.data(), bytes.size());
  answer += count < 0 ? Answer(count) : Describe({bytes.data(), static_cast<std::size_t>(count)});
  return answer;
}

TEST_F(PathsDifferentialTest, Looking) {
  const auto stat_with = [](const std::string& name, int flags) -> PathCall {
    return {name, [=](const char* path) {
              struct stat stat{};
              if (::fstatat(AT_FDCWD, path, &stat, flags) != 0) return Answer(-1);
              return ViewStat(stat).text;
            }};
  };
  const auto access_for = [](const std::string& name, int mode, int flags) -> PathCall {
    return {"access " + name,
            [=](const char* path) { return Answer(::faccessat(AT_FDCWD, path, mode, flags)); }};
  };
  CompareAll({
      stat_with("stat", 0),
      stat_with("lstat", AT_SYMLINK_NOFOLLOW),
      stat_with("stat, empty path allowed", AT_EMPTY_PATH),
      access_for("F_OK", F_OK, 0),
      access_for("R_OK", R_OK, 0),
      access_for("W_OK", W_OK, 0),
      access_for("X_OK", X_OK, 0),
      access_for("R_OK|W_OK|X_OK of the effective user", R_OK | W_OK | X_OK, AT_EACCESS),
      {"readlink",
       [](const char* path) {
         std::array<char, 64> target{};
         const ssize_t length = ::readlink(path, target.data(), target.size());
         return length < 0 ? Answer(length)
                           : Describe({target.data(), static_cast<std::size_t>(length)});
       }},
      {"readlink of 2 bytes",
       [](const char* path) {
         std::array<char, 2> target{};
         return Answer(::readlink(path, target.data(), target.size()));
       }},
      {"chdir", [](const char* path) { return Answer(::chdir(path)); }},
      {"statfs",
       [](const char* path) {
         struct statfs space{};
         const int result = ::statfs(path, &space);
         return result != 0 ? Answer(result) : DescribeSpace(space);
       }},
      {"read",
       [](const char* path) {
         const int fd = ::open(path, O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
         return fd < 0 ? Answer(fd) : ReadAndClose(fd, "read ");
       }},
      {"pathconf PC_LINK_MAX is positive",
       [](const char* path) { return Answer(::pathconf(path, _PC_NAME_MAX)); }},
  });
}

PathCall Truncate(off_t size) {
  return {fmt::format("truncate {}", size),
          [=](const char* path) { return Answer(::truncate(path, size)); }};
}

TEST_F(PathsDifferentialTest, Sizes) {
  CompareAll({Truncate(0), Truncate(5), Truncate(70'000), Truncate(off_t{1} << 40), Truncate(-1)});
}

PathCall SetXattr(const std::string& key, const std::string& value, int flags = 0) {
  return {
      fmt::format("setxattr {} {} {}", key.size() > 40 ? "a long name" : key, value.size(), flags),
      [=](const char* path) {
        return Answer(::setxattr(path, key.c_str(), value.data(), value.size(), flags));
      }};
}
PathCall GetXattr(const std::string& key, std::size_t room) {
  return {fmt::format("getxattr {} {}", key, room), [=](const char* path) {
            std::vector<char> value(room);
            return Answer(::getxattr(path, key.c_str(), value.data(), value.size()));
          }};
}
PathCall RemoveXattr(const std::string& key) {
  return {"removexattr " + key,
          [=](const char* path) { return Answer(::removexattr(path, key.c_str())); }};
}

TEST_F(PathsDifferentialTest, SettingExtendedAttributes) {
  CompareAll({
      SetXattr("user.new", "value"),
      SetXattr("user.a", "other", XATTR_CREATE),
      SetXattr("user.a", "other", XATTR_REPLACE),
      SetXattr("user.a", "other", XATTR_CREATE | XATTR_REPLACE),
      SetXattr("user.empty", ""),
      SetXattr("user.", "value"),
      SetXattr("user", "value"),
      SetXattr("", "value"),
      SetXattr("unknown.x", "value"),
      SetXattr("trusted.x", "value"),
      SetXattr("security.x", "value"),
      SetXattr("system.x", "value"),
      SetXattr("user." + std::string(250, 'k'), "value"),
      SetXattr("user." + std::string(251, 'k'), "value"),
      SetXattr("user.large", std::string(2000, 'v')),
      SetXattr("user.too-large", std::string(65537, 'v')),
      RemoveXattr("user.a"),
      RemoveXattr("user.none"),
      RemoveXattr("trusted.t"),
      RemoveXattr("unknown.x"),
  });
}

TEST_F(PathsDifferentialTest, ReadingExtendedAttributes) {
  const auto list = [](std::size_t room) -> PathCall {
    return {fmt::format("listxattr {}", room), [=](const char* path) {
              std::vector<char> names(room);
              return Answer(::listxattr(path, names.data(), names.size()));
            }};
  };
  CompareAll({
      GetXattr("user.a", 64),
      GetXattr("user.a", 0),
      GetXattr("user.a", 2),
      GetXattr("user.b", 64),
      GetXattr("user.none", 64),
      GetXattr("user.", 64),
      GetXattr("unknown.x", 64),
      GetXattr("trusted.t", 64),
      GetXattr("security.none", 64),
      GetXattr("system.none", 64),
      list(0),
      list(1),
      list(1000),
  });
}

}  // namespace
}  // namespace varve
