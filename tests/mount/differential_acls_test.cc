// Stories of access control lists: who may, what is inherited, what chmod does to them.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <random>

#include "fs/core/acl.h"
#include "tests/mount/differential_fixture.h"
#include "tests/mount/differential_stories.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

using Tag = AclEntry::Tag;

class AclsDifferentialTest : public DifferentialTest {
 protected:
  AclsDifferentialTest() : DifferentialTest("acls") {}
};

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";

std::string As(const User& user, const std::function<long()>& call) {
  const ActingAs acting(user);
  return Answer(call());
}

long PutAcl(const std::string& path, const char* name, const Acl& acl) {
  const std::string value = EncodeAcl(acl);
  return ::setxattr(path.c_str(), name, value.data(), value.size(), 0);
}

std::string GetAcl(const std::string& path, const char* name) {
  std::array<char, 1024> value{};
  const ssize_t length = ::getxattr(path.c_str(), name, value.data(), value.size());
  if (length < 0) return Answer(length);
  const Result<Acl> acl = ParseAcl({value.data(), static_cast<std::size_t>(length)});
  if (!acl.ok()) return acl.error().message();
  std::string text;
  for (const AclEntry& entry : *acl) {
    text += fmt::format("{:x}:{}:{} ", static_cast<int>(entry.tag),
                        static_cast<std::int32_t>(entry.id), entry.permissions);
  }
  return text;
}

std::string Describe(const std::string& path) {
  struct stat stat{};
  if (::lstat(path.c_str(), &stat) != 0) return Answer(-1);
  return fmt::format("{:o} {} {} access {} default {}", stat.st_mode, stat.st_uid, stat.st_gid,
                     GetAcl(path, kAccess), GetAcl(path, kDefault));
}

// Owner, a user, the owning group, a group, a mask and others.
Acl Long(const std::array<std::uint32_t, 6>& permissions) {
  return {{Tag::kOwner, permissions[0]},       {Tag::kUser, permissions[1], Other().uid},
          {Tag::kOwningGroup, permissions[2]}, {Tag::kGroup, permissions[3], kSharedGroup},
          {Tag::kMask, permissions[4]},        {Tag::kOther, permissions[5]}};
}
Acl Short(std::uint32_t owner, std::uint32_t group, std::uint32_t other) {
  return {{Tag::kOwner, owner}, {Tag::kOwningGroup, group}, {Tag::kOther, other}};
}

std::string Touch(const std::string& path, mode_t mode) {
  return OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, mode) ? "made" : Answer(-1);
}

TEST_F(AclsDifferentialTest, TheAccessListAndTheModeAreOne) {
  for (const mode_t mode : {0, 0640, 0777, 06755}) {
    CompareStory(fmt::format("list and {:o}", mode), [&](Transcript& story) {
      Touch("file", 0644);
      const auto put = [&](const std::string& what, const Acl& acl) {
        story.Tell(what, PutAcl("file", kAccess, acl));
        story.Tell(what + " seen", Describe("file"));
      };
      put("long", Long({7, 6, 5, 4, 6, 1}));
      story.Tell("chmod", ::chmod("file", mode));
      story.Tell("chmod seen", Describe("file"));
      put("masked", Long({6, 7, 7, 7, 0, 0}));
      put("mask alone",
          {{Tag::kOwner, 6}, {Tag::kOwningGroup, 7}, {Tag::kMask, 2}, {Tag::kOther, 0}});
      put("short", Short(6, 4, 0));
      put("long again", Long({7, 7, 7, 7, 7, 7}));
      put("none", {});
      put("none again", {});
      put("long for removal", Long({7, 7, 1, 7, 3, 7}));
      story.Tell("removed", ::removexattr("file", kAccess));
      story.Tell("removed again", ::removexattr("file", kAccess));
      story.Tell("removed seen", Describe("file"));
    });
  }
}

TEST_F(AclsDifferentialTest, WhatIsMadeInheritsTheDefaultList) {
  const std::vector<std::pair<std::string, Acl>> lists{{"long", Long({7, 7, 5, 7, 7, 5})},
                                                       {"masked", Long({7, 7, 7, 7, 1, 0})},
                                                       {"short", Short(6, 5, 1)},
                                                       {"nothing", Short(0, 0, 0)},
                                                       {"group", Long({5, 0, 7, 3, 6, 2})}};
  for (const auto& [name, list] : lists) {
    for (const mode_t umask : {0, 027, 0777}) {
      CompareStory(fmt::format("{} under {:o}", name, umask), [&, &acl = list](Transcript& story) {
        ::mkdir("dir", 02775);
        ::chmod("dir", 02775);
        story.Tell("default", PutAcl("dir", kDefault, acl));
        const mode_t before = ::umask(umask);
        for (const mode_t mode : {0, 0600, 0666, 0777, 07777}) {
          const std::string at = fmt::format("dir/{:o}", mode);
          story.Tell(at, Touch(at + "-file", mode));
          story.Tell(at + " mkdir", ::mkdir((at + "-dir").c_str(), mode));
          story.Tell(at + " fifo", ::mkfifo((at + "-fifo").c_str(), mode));
          story.Tell(at + " node", ::mknod((at + "-node").c_str(), S_IFREG | mode, 0));
          for (const char* what : {"-file", "-dir", "-fifo", "-node"}) {
            story.Tell(at + what, Describe(at + what));
          }
        }
        story.Tell("link", ::symlink("x", "dir/link"));
        story.Tell("deeper", ::mkdir("dir/777-dir/deeper", 0777));
        story.Tell("deeper seen", Describe("dir/777-dir/deeper"));
        ::umask(before);
        story.Tell("moved in", (Touch("outside", 0640), ::rename("outside", "dir/outside")));
        story.Tell("moved in seen", Describe("dir/outside"));
        story.Tell("default removed", ::removexattr("dir", kDefault));
        story.Tell("after", Touch("dir/after", 0666));
        story.Tell("after seen", Describe("dir/after"));
      });
    }
  }
}

TEST_F(AclsDifferentialTest, ListsSayWhoMay) {
  const std::vector<std::pair<std::string, Acl>> lists{
      {"user", Long({6, 4, 0, 0, 7, 0})},        {"user masked", Long({6, 7, 7, 7, 0, 7})},
      {"group", Long({0, 0, 0, 6, 7, 0})},       {"others", Long({0, 0, 0, 0, 7, 7})},
      {"owner alone", Long({7, 0, 0, 0, 0, 0})}, {"all", Long({7, 7, 7, 7, 7, 7})}};
  for (const auto& [name, list] : lists) {
    CompareStory(name, [&, &acl = list](Transcript& story) {
      Touch("file", 0600);
      ::mkdir("dir", 0700);
      Touch("dir/inside", 0644);
      for (const uid_t owner : {uid_t{0}, Owner().uid}) {
        for (const char* path : {"file", "dir"}) {
          EXPECT_EQ(::chown(path, owner, 0), 0);
          story.Tell(path, PutAcl(path, kAccess, acl));
        }
        for (const User& user : AllUsers()) {
          const auto tell = [&](const std::string& what, const std::function<long()>& call) {
            story.Tell(fmt::format("{} of {} as {}", what, owner, user.name), As(user, call));
          };
          tell("read", [] { return OpenFile("file", O_RDONLY) ? 0 : -1; });
          tell("write", [] { return OpenFile("file", O_WRONLY) ? 0 : -1; });
          tell("execute", [] { return ::faccessat(AT_FDCWD, "file", X_OK, AT_EACCESS); });
          tell("list", [] { return OpenFile("dir", O_RDONLY) ? 0 : -1; });
          tell("search", [] { return OpenFile("dir/inside", O_RDONLY) ? 0 : -1; });
          tell("make", [] {
            const long made = ::mkdir("dir/new", 0700);
            if (made == 0) ::rmdir("dir/new");
            return made;
          });
          tell("put a list", [&acl] { return PutAcl("file", kAccess, acl); });
          tell("put a default list", [&acl] { return PutAcl("dir", kDefault, acl); });
          tell("remove a default list", [] { return ::removexattr("dir", kDefault); });
        }
      }
    });
  }
}

TEST_F(AclsDifferentialTest, AListMayCostTheSetgidBit) {
  for (const gid_t gid : {Owner().gid, kSharedGroup, Other().gid}) {
    for (const char* name : {kAccess, kDefault}) {
      for (const User& user : AllUsers()) {
        CompareStory(
            fmt::format("{} of group {} as {}", name, gid, user.name), [&](Transcript& story) {
              ::mkdir("dir", 0777);
              Touch("file", 0777);
              for (const char* path : {"dir", "file"}) {
                EXPECT_EQ(::chown(path, Owner().uid, gid), 0);
                EXPECT_EQ(::chmod(path, 06775), 0);
                story.Tell(path,
                           As(user, [&] { return PutAcl(path, name, Long({7, 7, 7, 7, 7, 5})); }));
                story.Tell("seen", Describe(path));
              }
            });
      }
    }
  }
}

TEST_F(AclsDifferentialTest, ListsThatMakeNoSenseAreRefused) {
  CompareStory("nonsense", [](Transcript& story) {
    Touch("file", 0644);
    ::mkdir("dir", 0755);
    ::symlink("file", "link");
    ::mkfifo("fifo", 0644);
    const std::string good = EncodeAcl(Short(6, 4, 4));
    std::vector<std::string> values{
        "",   "x",        std::string("\x02\0\0\0", 4),   std::string("\x01\0\0\0", 4),
        good, good + "x", good.substr(0, good.size() - 1)};
    for (const Acl& acl :
         {Acl{{Tag::kOwner, 6}}, Acl{{Tag::kOwner, 6}, {Tag::kOther, 6}}, Short(8, 0, 0),
          Acl{{Tag::kOther, 1}, {Tag::kOwner, 6}, {Tag::kOwningGroup, 4}},
          Acl{{Tag::kOwner, 6}, {Tag::kUser, 6, 1}, {Tag::kOwningGroup, 4}, {Tag::kOther, 1}},
          Acl{{Tag::kOwner, 6},
              {Tag::kUser, 6, 1},
              {Tag::kUser, 4, 1},
              {Tag::kOwningGroup, 4},
              {Tag::kMask, 7},
              {Tag::kOther, 1}},
          Acl{{Tag::kOwner, 6},
              {Tag::kUser, 6},
              {Tag::kOwningGroup, 4},
              {Tag::kMask, 7},
              {Tag::kOther, 1}}}) {
      values.push_back(EncodeAcl(acl));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (const char* name : {kAccess, kDefault}) {
        for (const char* path : {"file", "dir", "fifo"}) {
          const std::string what = fmt::format("value {} as {} of {}", i, name, path);
          story.Tell(what, ::setxattr(path, name, values[i].data(), values[i].size(), 0));
          story.Tell(what + " seen", Describe(path));
        }
        story.Tell("of a link", ::lsetxattr("link", name, values[i].data(), values[i].size(), 0));
      }
    }
  });
}

// Anything after anything, by anybody.
TEST_F(AclsDifferentialTest, ManyChangesInARow) {
  const std::uint64_t seed = RandomSeed();
  for (std::uint64_t round = 0; round < 20; ++round) {
    CompareStory(fmt::format("seed {} round {}", seed, round), [&](Transcript& story) {
      std::mt19937_64 random(seed * 1000 + round);
      const auto below = [&](std::uint64_t limit) { return random() % limit; };
      const auto any_list = [&] {
        if (below(8) == 0) return Acl();
        std::array<std::uint32_t, 6> permissions{};
        for (std::uint32_t& one : permissions) one = static_cast<std::uint32_t>(below(8));
        if (below(3) == 0) return Short(permissions[0], permissions[1], permissions[2]);
        return Long(permissions);
      };
      ::mkdir("d0", 0777);
      ::chmod("d0", 0777);
      std::vector<std::string> paths{"d0"};
      for (int step = 0; step < 60; ++step) {
        const std::string path = paths[below(paths.size())];
        const User& user = AllUsers()[below(3)];
        const mode_t mode = static_cast<mode_t>(below(010000));
        const mode_t before = ::umask(static_cast<mode_t>(below(01000)));
        std::string answer;
        switch (below(8)) {
          case 0:
          case 1: {
            const std::string made = path + "/n" + std::to_string(step);
            const bool directory = below(2) == 0;
            answer = As(user, [&]() -> long {
              if (directory) return ::mkdir(made.c_str(), mode | 0700);
              return OpenFile(made, O_CREAT | O_WRONLY | O_EXCL, mode) ? 0 : -1;
            });
            struct stat stat{};
            if (::lstat(made.c_str(), &stat) == 0) {
              paths.push_back(made);
              answer += ' ' + Describe(made);
            }
            break;
          }
          case 2:
          case 3: {
            const Acl acl = any_list();
            answer = As(user, [&] { return PutAcl(path, kAccess, acl); });
            break;
          }
          case 4: {
            const Acl acl = any_list();
            answer = As(user, [&] { return PutAcl(path, kDefault, acl); });
            break;
          }
          case 5:
            answer = As(user, [&] { return ::chmod(path.c_str(), mode); });
            break;
          case 6: {
            const User& owner = AllUsers()[below(3)];
            answer = As(user, [&] { return ::chown(path.c_str(), owner.uid, owner.gid); });
            break;
          }
          case 7:
            answer = As(user, [&] { return ::access(path.c_str(), R_OK | X_OK); });
            break;
        }
        ::umask(before);
        story.Tell(fmt::format("step {} at {} as {}", step, path, user.name),
                   answer + ' ' + Describe(path));
      }
    });
  }
}

}  // namespace
}  // namespace varve
