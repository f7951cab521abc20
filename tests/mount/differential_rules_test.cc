// Stories of rules: who may, which bits go and stay, times, names, listings, programs.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <set>

#include "tests/mount/differential_fixture.h"
#include "tests/mount/differential_stories.h"

namespace varve {
namespace {

class RulesDifferentialTest : public DifferentialTest {
 protected:
  RulesDifferentialTest() : DifferentialTest("rules") {}
};

std::string As(const User& user, const std::function<long()>& call) {
  const ActingAs acting(user);
  return Answer(call());
}

// A file of `mode` that another may write to, with a capability.
void MakeProgram(const char* name, mode_t mode, const User& user, gid_t gid) {
  const UniqueFd fd = OpenFile(name, O_WRONLY | O_CREAT | O_EXCL);
  WriteText(fd.get(), "program", 0);
  EXPECT_EQ(::fchown(fd.get(), user.uid, gid), 0);
  EXPECT_EQ(::fchmod(fd.get(), mode), 0);
  // As `setcap cap_net_raw+ep` would.
  const std::array<unsigned char, 20> capability{1, 0, 0, 2, 0, 0x20};
  EXPECT_EQ(::fsetxattr(fd.get(), "security.capability", capability.data(), capability.size(), 0),
            0);
}

TEST_F(RulesDifferentialTest, WhatTakesSetuidSetgidAndCapabilitiesAway) {
  const std::vector<std::pair<std::string, std::function<long(const char*)>>> ways{
      {"write",
       [](const char* path) {
         const UniqueFd fd = OpenFile(path, O_WRONLY);
         return fd ? ::write(fd.get(), "x", 1) : -1;
       }},
      {"write of nothing",
       [](const char* path) {
         const UniqueFd fd = OpenFile(path, O_WRONLY);
         return fd ? ::write(fd.get(), "", 0) : -1;
       }},
      {"append",
       [](const char* path) {
         const UniqueFd fd = OpenFile(path, O_WRONLY | O_APPEND);
         return fd ? ::write(fd.get(), "x", 1) : -1;
       }},
      {"truncate", [](const char* path) -> long { return ::truncate(path, 3); }},
      {"ftruncate",
       [](const char* path) -> long {
         const UniqueFd fd = OpenFile(path, O_WRONLY);
         return fd ? ::ftruncate(fd.get(), 3) : -1;
       }},
      {"open O_TRUNC",
       [](const char* path) -> long { return OpenFile(path, O_WRONLY | O_TRUNC) ? 0 : -1; }},
      {"fallocate",
       [](const char* path) -> long {
         const UniqueFd fd = OpenFile(path, O_WRONLY);
         return fd ? ::fallocate(fd.get(), 0, 0, 100) : -1;
       }},
      {"chown to the same",
       [](const char* path) -> long { return ::chown(path, Owner().uid, Owner().gid); }},
      {"chgrp to a group of one's own",
       [](const char* path) -> long { return ::chown(path, Owner().uid, kSharedGroup); }},
      {"chmod", [](const char* path) -> long { return ::chmod(path, 06755); }},
      {"setxattr", [](const char* path) -> long { return ::setxattr(path, "user.x", "", 0, 0); }},
      {"rename", [](const char* path) -> long { return ::rename(path, path); }},
  };
  for (const auto& [name, way] : ways) {
    for (const mode_t mode : {04777, 02777, 02767, 06766, 01777}) {
      for (const User& user : AllUsers()) {
        CompareStory(fmt::format("{} on {:o} as {}", name, mode, user.name),
                     [&](Transcript& story) {
                       MakeProgram("program", mode, Owner(), Owner().gid);
                       story.Tell("answer", As(user, [&] { return way("program"); }));
                     });
      }
    }
  }
}

TEST_F(RulesDifferentialTest, GroupsAreInheritedFromSetgidDirectories) {
  for (const User& user : AllUsers()) {
    for (const gid_t gid : {gid_t{0}, kSharedGroup, Other().gid}) {
      CompareStory(fmt::format("setgid of {} as {}", gid, user.name), [&](Transcript& story) {
        ::mkdir("dir", 0777);
        EXPECT_EQ(::chown("dir", 0, gid), 0);
        EXPECT_EQ(::chmod("dir", 02777), 0);
        story.Tell("file", As(user, [] {
                     return OpenFile("dir/file", O_CREAT | O_WRONLY, 02775) ? 0 : -1;
                   }));
        story.Tell("file without x", As(user, [] {
                     return OpenFile("dir/plain", O_CREAT | O_WRONLY, 02664) ? 0 : -1;
                   }));
        story.Tell("dir", As(user, [] { return ::mkdir("dir/dir", 0755); }));
        story.Tell("dir 02755", As(user, [] { return ::mkdir("dir/dir2", 02755); }));
        story.Tell("fifo", As(user, [] { return ::mknod("dir/fifo", S_IFIFO | 02755, 0); }));
        story.Tell("node", As(user, [] { return ::mknod("dir/node", S_IFREG | 02755, 0); }));
        story.Tell("link", As(user, [] { return ::symlink("x", "dir/link"); }));
        story.Tell("deeper", As(user, [] { return ::mkdir("dir/dir/dir", 0700); }));
        story.Tell("chmod 02755", As(user, [] { return ::chmod("dir/file", 02755); }));
        story.Tell("chmod of the directory", As(user, [] { return ::chmod("dir/dir", 02711); }));
      });
    }
  }
}

TEST_F(RulesDifferentialTest, TheUmaskCounts) {
  for (const mode_t umask : {0, 022, 077, 0777}) {
    CompareStory(fmt::format("umask {:o}", umask), [&](Transcript& story) {
      const mode_t before = ::umask(umask);
      story.Tell("file", OpenFile("file", O_CREAT | O_RDWR, 07777) ? 0 : -1);
      story.Tell("dir", ::mkdir("dir", 07777));
      story.Tell("node", ::mknod("node", S_IFIFO | 07777, 0));
      story.Tell("link", ::symlink("file", "link"));
      ::umask(before);
    });
  }
}

// What a read does to an atime that is older than the mtime, newer, or a day old.
TEST_F(RulesDifferentialTest, ReadingMovesTheAtimeAsRelatimeSays) {
  const std::vector<std::pair<std::string, std::array<timespec, 2>>> ages{
      {"older than mtime", {timespec{1'000'000'000, 1}, timespec{1'100'000'000, 1}}},
      {"equal to mtime", {timespec{1'000'000'000, 1}, timespec{1'000'000'000, 1}}},
      {"newer than mtime, but old", {timespec{1'100'000'000, 1}, timespec{1'000'000'000, 1}}},
      {"in the future", {timespec{4'000'000'000, 1}, timespec{1'000'000'000, 1}}},
  };
  for (const auto& [name, times] : ages) {
    CompareStory("atime " + name, [&both = times](Transcript& story) {
      const UniqueFd fd = OpenFile("file", O_RDWR | O_CREAT);
      WriteText(fd.get(), "contents", 0);
      ::mkdir("dir", 0755);
      ::utimensat(AT_FDCWD, "file", both.data(), 0);
      ::utimensat(AT_FDCWD, "dir", both.data(), 0);
      story.Tell("opened", Look("file"));
      ReadText(fd.get(), 8, 0);
      story.Tell("read", Look("file"));
      if (DIR* dir = ::opendir("dir")) {
        while (::readdir(dir) != nullptr) continue;
        ::closedir(dir);
      }
      story.Tell("listed", Look("dir"));
    });
  }
}

TEST_F(RulesDifferentialTest, NamesAndPaths) {
  CompareStory("names", [](Transcript& story) {
    for (const std::string& name :
         {std::string("\xff\xfe"), std::string("a\nb"), std::string(" "), std::string("..."),
          std::string("-rf"), std::string("\\"), std::string("\x01"), std::string(255, '\xe4'),
          std::string(256, 'a'), std::string("ünï"), std::string("*?[")}) {
      story.Tell("create " + Describe(name), OpenFile(name, O_CREAT | O_WRONLY) ? 0 : -1);
    }
    story.Tell("case counts", OpenFile("Name", O_CREAT | O_WRONLY) ? 0 : -1);
    story.Tell("case counts too", OpenFile("name", O_CREAT | O_EXCL | O_WRONLY) ? 0 : -1);
    std::string path;
    for (int depth = 0; depth < 100; ++depth) {
      path += "deep/";
      if (::mkdir(path.c_str(), 0755) != 0) story.Tell("mkdir " + std::to_string(depth), -1);
    }
    story.Tell("at the bottom", OpenFile(path + "file", O_CREAT | O_WRONLY) ? 0 : -1);
    story.Tell("rename into itself", ::rename("deep", (path + "x").c_str()));
    for (const std::size_t length : {4094U, 4095U, 4096U, 5000U}) {
      const std::string longer = "deep" + std::string(length - 8, '/') + "deep";
      story.Tell(fmt::format("a path of {} bytes", length), ::access(longer.c_str(), F_OK));
    }
  });
  CompareStory("chains", [](Transcript& story) {
    OpenFile("link0", O_CREAT | O_WRONLY).Reset();
    for (int i = 1; i <= 45; ++i) {
      ::symlink(fmt::format("link{}", i - 1).c_str(), fmt::format("link{}", i).c_str());
    }
    for (const int length : {1, 39, 40, 41, 45}) {
      const std::string name = fmt::format("link{}", length);
      story.Tell(fmt::format("{} links", length), ::access(name.c_str(), F_OK));
      story.Tell(fmt::format("open of {} links", length), OpenFile(name, O_WRONLY) ? 0 : -1);
    }
  });
}

TEST_F(RulesDifferentialTest, ListingsWhileEntriesComeAndGo) {
  CompareStory("listing", [](Transcript& story) {
    ::mkdir("dir", 0755);
    for (int i = 0; i < 300; ++i) {
      ::mknod(fmt::format("dir/{:03}", i).c_str(), S_IFREG | 0644, 0);
    }
    DIR* dir = ::opendir("dir");
    ASSERT_NE(dir, nullptr);
    std::multiset<std::string> seen;
    for (int i = 0; i < 100; ++i) {
      if (const dirent* entry = ::readdir(dir)) seen.insert(entry->d_name);
    }
    const long place = ::telldir(dir);
    for (int i = 0; i < 300; i += 3) ::unlink(fmt::format("dir/{:03}", i).c_str());
    while (const dirent* entry = ::readdir(dir)) seen.insert(entry->d_name);
    bool twice = false;
    int stayed = 0;
    for (int i = 0; i < 300; ++i) {
      const std::string name = fmt::format("{:03}", i);
      if (seen.count(name) > 1) twice = true;
      if (i % 3 != 0 && seen.contains(name)) ++stayed;
    }
    story.Tell("any twice", twice ? "yes" : "no");
    story.Tell("of those that stayed", std::to_string(stayed));
    ::seekdir(dir, place);
    int after = 0;
    while (const dirent* entry = ::readdir(dir)) {
      if (seen.count(entry->d_name) == 0) story.Tell("unheard of", entry->d_name);
      ++after;
    }
    story.Tell("after a seekdir some", after > 0 ? "yes" : "no");
    ::mknod("dir/new", S_IFREG | 0644, 0);
    ::rewinddir(dir);
    int count = 0;
    bool found = false;
    while (const dirent* entry = ::readdir(dir)) {
      ++count;
      if (std::strcmp(entry->d_name, "new") == 0) found = true;
    }
    story.Tell("after a rewinddir", fmt::format("{} new {}", count, found));
    ::closedir(dir);
  });
}

TEST_F(RulesDifferentialTest, ProgramsRun) {
  CompareStory("exec", [](Transcript& story) {
    {
      const UniqueFd from(::open("/usr/bin/id", O_RDONLY | O_CLOEXEC));
      const UniqueFd to = OpenFile("id", O_WRONLY | O_CREAT, 0755);
      while (::copy_file_range(from.get(), nullptr, to.get(), nullptr, 1 << 20, 0) > 0) continue;
    }
    const auto run = [](const User& user, const char* path, bool effective) {
      return InChild([&] {
        std::array<int, 2> ends{};
        if (::pipe(ends.data()) != 0) return Answer(-1);
        const pid_t child = ::fork();
        if (child == 0) {
          ::dup2(ends[1], STDOUT_FILENO);
          if (::setgroups(user.groups.size(), user.groups.data()) != 0 ||
              ::setresgid(user.gid, user.gid, user.gid) != 0 ||
              ::setresuid(user.uid, user.uid, user.uid) != 0) {
            ::_exit(99);
          }
          ::execl(path, path, effective ? "-u" : "-g", static_cast<char*>(nullptr));
          ::_exit(errno);
        }
        ::close(ends[1]);
        std::array<char, 64> bytes{};
        const ssize_t count = ::read(ends[0], bytes.data(), bytes.size());
        int status = 0;
        ::waitpid(child, &status, 0);
        return fmt::format(
            "{} {}",
            Describe({bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))}),
            status);
      });
    };
    for (const mode_t mode : {0755, 0744, 0644, 0111, 04755, 02755, 06711, 0}) {
      ::chown("id", 60001, kSharedGroup);
      ::chmod("id", mode);
      for (const User& user : AllUsers()) {
        story.Tell(fmt::format("{:o} as {}", mode, user.name), run(user, "./id", true));
        story.Tell(fmt::format("{:o} as {}, its group", mode, user.name), run(user, "./id", false));
      }
    }
    ::mkdir("dir", 0755);
    story.Tell("a directory", run(Root(), "./dir", true));
    const UniqueFd writer = OpenFile("id", O_WRONLY);
    ::chmod("id", 0755);
    story.Tell("one that is being written", run(Root(), "./id", true));
    ::unlink("id");
  });
}

TEST_F(RulesDifferentialTest, SocketsAndFifos) {
  CompareStory("sockets", [](Transcript& story) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, "socket");
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    const UniqueFd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    story.Tell("bind", ::bind(server.get(), where, sizeof(address)));
    story.Tell("bind again", ::bind(client.get(), where, sizeof(address)));
    story.Tell("connect before listening", ::connect(client.get(), where, sizeof(address)));
    story.Tell("listen", ::listen(server.get(), 1));
    story.Tell("connect", ::connect(client.get(), where, sizeof(address)));
    story.Tell("open", OpenFile("socket", O_RDONLY) ? 0 : -1);
    ::mkfifo("fifo", 0644);
    const UniqueFd reader = OpenFile("fifo", O_RDONLY | O_NONBLOCK);
    const UniqueFd writer = OpenFile("fifo", O_WRONLY | O_NONBLOCK);
    story.Tell("write", ::write(writer.get(), "through", 7));
    std::array<char, 16> bytes{};
    story.Tell("read", ::read(reader.get(), bytes.data(), bytes.size()));
    story.Tell("bytes", Describe({bytes.data(), 7}));
    ::unlink("fifo");  // its times are known to differ
  });
}

TEST_F(RulesDifferentialTest, OtherFilesystemsAreElsewhere) {
  CompareStory("elsewhere", [](Transcript& story) {
    const TempDirectory elsewhere;
    const std::string there = elsewhere / "file";
    OpenFile("file", O_CREAT | O_WRONLY).Reset();
    OpenFile(there, O_CREAT | O_WRONLY).Reset();
    story.Tell("link out", ::link("file", (there + "2").c_str()));
    story.Tell("link in", ::link(there.c_str(), "linked"));
    story.Tell("rename out", ::rename("file", there.c_str()));
    story.Tell("rename in", ::rename(there.c_str(), "file"));
    story.Tell("symlink out", ::symlink(there.c_str(), "link"));
    story.Tell("through it", ::access("link", F_OK));
    ::unlink("link");  // it leads to another place each time
  });
}

TEST_F(RulesDifferentialTest, WatchersAreTold) {
  CompareStory("inotify", [](Transcript& story) {
    const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    ::mkdir("dir", 0755);
    ::inotify_add_watch(watch.get(), "dir", IN_ALL_EVENTS);
    {
      const UniqueFd fd = OpenFile("dir/file", O_RDWR | O_CREAT);
      WriteText(fd.get(), "x", 0);
      ReadText(fd.get(), 1, 0);
      ::fchmod(fd.get(), 0600);
      ::ftruncate(fd.get(), 0);
      ::fsetxattr(fd.get(), "user.x", "", 0, 0);
    }
    ::link("dir/file", "dir/linked");
    ::rename("dir/file", "dir/renamed");
    ::rename("dir/renamed", "dir/linked");
    ::symlink("x", "dir/link");
    ::mkdir("dir/dir", 0755);
    ::rmdir("dir/dir");
    ::unlink("dir/linked");
    ::unlink("dir/link");
    ::rmdir("dir");
    alignas(inotify_event) std::array<char, 8192> buffer{};
    const ssize_t count = ::read(watch.get(), buffer.data(), buffer.size());
    for (ssize_t at = 0; at < count;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      const char* name = event.len > 0 ? buffer.data() + at + sizeof(event) : "";
      story.Tell("event", fmt::format("{:x} {}", event.mask, name));
      at += static_cast<ssize_t>(sizeof(event) + event.len);
    }
  });
}

TEST_F(RulesDifferentialTest, ExtendedAttributesOfEveryKind) {
  CompareStory("xattrs", [](Transcript& story) {
    OpenFile("file", O_CREAT | O_WRONLY).Reset();
    ::mkdir("dir", 0755);
    ::symlink("nowhere", "link");
    ::mkfifo("fifo", 0666);
    for (const char* node : {"file", "dir", "link", "fifo"}) {
      for (const char* key : {"user.k", "trusted.k", "security.k", "system.k", "other.k"}) {
        for (const User& user : {Root(), Other()}) {
          story.Tell(fmt::format("lsetxattr {} {} as {}", node, key, user.name),
                     As(user, [&] { return ::lsetxattr(node, key, "value", 5, 0); }));
          story.Tell(fmt::format("lgetxattr {} {} as {}", node, key, user.name), As(user, [&] {
                       std::array<char, 16> value{};
                       return ::lgetxattr(node, key, value.data(), value.size());
                     }));
        }
      }
    }
    for (int i = 0; i < 40; ++i) {
      const std::string key = fmt::format("user.{:02}", i);
      story.Tell("one of many", ::setxattr("dir", key.c_str(), "0123456789", 10, 0));
    }
    story.Tell("list", ::listxattr("dir", nullptr, 0));
    for (int i = 0; i < 40; i += 2) ::removexattr("dir", fmt::format("user.{:02}", i).c_str());
    story.Tell("list of what is left", ::listxattr("dir", nullptr, 0));
    for (const std::size_t size : {100U, 1000U, 3000U}) {
      const std::string value(size, 'v');
      story.Tell(fmt::format("{} bytes", size),
                 ::setxattr("file", "user.v", value.data(), size, 0));
    }
  });
  CompareStory("large xattrs", [](Transcript& story) {
    OpenFile("file", O_CREAT | O_WRONLY).Reset();
    for (const std::size_t size : {5000U, 65536U, 65537U}) {
      const std::string value(size, 'v');
      story.Tell(fmt::format("{} bytes", size),
                 ::setxattr("file", "user.v", value.data(), size, 0));
    }
    ::unlink("file");
  });
}

}  // namespace
}  // namespace varve
