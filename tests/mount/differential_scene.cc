#include "tests/mount/differential_scene.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <boost/filesystem.hpp>
#include <cstring>
#include <functional>

#include "store/base/unique_fd.h"
#include "tests/mount/differential_users.h"

namespace varve {
namespace {

const std::string kName255(255, 'n');
const std::string kNewName255(255, 'm');
const std::string kName256(256, 'n');

void Expect(long result, const std::string& what) {
  EXPECT_GE(result, 0) << "building the scene: " << what << ": " << std::strerror(errno);
}

void Own(const std::string& path, uid_t uid, gid_t gid) {
  Expect(::lchown(path.c_str(), uid, gid), "lchown " + path);
}

void File(const std::string& path, mode_t mode, const User& user = Root()) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  Expect(file.get(), path);
  const std::string text = "the contents of " + path.substr(0, 30);
  Expect(::write(file.get(), text.data(), text.size()), "writing " + path);
  Own(path, user.uid, user.gid);
  Expect(::chmod(path.c_str(), mode), "chmod " + path);
}

void Directory(const std::string& path, mode_t mode, const User& user = Root()) {
  Expect(::mkdir(path.c_str(), 0700), path);
  Own(path, user.uid, user.gid);
  Expect(::chmod(path.c_str(), mode), "chmod " + path);
}

void Link(const std::string& target, const std::string& path) {
  Expect(::symlink(target.c_str(), path.c_str()), path);
}

// What is built and removed together.
struct SceneItem {
  std::vector<std::string> names;
  std::function<void()> build;
};

using Items = std::vector<SceneItem>;

void AddFiles(Items& items) {
  const auto add = [&](const std::string& name, mode_t mode, const User& user = Root()) {
    items.push_back({{name}, [=] { File(name, mode, user); }});
  };
  add("file", 0644);
  add("file-owner", 0644, Owner());
  add("file-private", 0600);
  add("file-suid", 06777, Owner());
  add("file-sgid-no-exec", 02666, Owner());
  add("file-readonly", 0444, Owner());
  add(kName255, 0644);
  items.push_back({{"file-group"}, [] {
                     File("file-group", 0660);
                     Own("file-group", 0, kSharedGroup);
                   }});
  items.push_back({{"file-linked", "file-linked-too"}, [] {
                     File("file-linked", 0644);
                     Expect(::link("file-linked", "file-linked-too"), "file-linked-too");
                   }});
  items.push_back({{"file-xattrs"}, [] {
                     File("file-xattrs", 0666);
                     Expect(::setxattr("file-xattrs", "user.a", "one", 3, 0), "user.a");
                     Expect(::setxattr("file-xattrs", "user.b", "", 0, 0), "user.b");
                     Expect(::setxattr("file-xattrs", "trusted.t", "two", 3, 0), "trusted.t");
                   }});
}

void AddDirectories(Items& items) {
  // With a child of root's, and a directory below if that has a mode.
  const auto add = [&](const std::string& name, mode_t mode, const User& user, mode_t subdir) {
    items.push_back({{name}, [=] {
                       Directory(name, mode, user);
                       File(name + "/child", 0644);
                       if (subdir != 0) Directory(name + "/subdir", subdir, user);
                     }});
  };
  add("dir", 0755, Root(), 0755);
  add("dir-second", 0755, Root(), 0);
  add("dir-owner", 0755, Owner(), 0755);
  add("dir-private", 0700, Root(), 0);
  add("dir-open", 0777, Root(), 0);
  items.push_back({{"dir-empty"}, [] { Directory("dir-empty", 0755); }});
  items.push_back({{"dir-setgid"}, [] {
                     Directory("dir-setgid", 0777);
                     Own("dir-setgid", 0, kSharedGroup);
                     Expect(::chmod("dir-setgid", 02777), "chmod dir-setgid");
                   }});
  items.push_back({{"dir-sticky"}, [] {
                     Directory("dir-sticky", 01777);
                     File("dir-sticky/root-file", 0666);
                     File("dir-sticky/owner-file", 0644, Owner());
                     Directory("dir-sticky/owner-dir", 0777, Owner());
                   }});
}

void AddLinksAndNodes(Items& items) {
  const auto add_link = [&](const std::string& name, const std::string& target) {
    items.push_back({{name}, [=] { Link(target, name); }});
  };
  add_link("link-file", "file");
  add_link("link-dir", "dir");
  add_link("link-dangling", "nowhere");
  add_link("link-loop", "link-loop-too");
  add_link("link-loop-too", "link-loop");
  items.push_back({{"link-child"}, [] {
                     Link("dir/child", "link-child");
                     Own("link-child", Owner().uid, Owner().gid);
                   }});
  const auto add_node = [&](const std::string& name, mode_t mode, dev_t device) {
    items.push_back({{name}, [=] { Expect(::mknod(name.c_str(), mode, device), name); }});
  };
  add_node("fifo", S_IFIFO | 0666, 0);
  add_node("socket", S_IFSOCK | 0666, 0);
  add_node("char", S_IFCHR | 0666, makedev(1, 3));
  add_node("block", S_IFBLK | 0660, makedev(7, 4095));
}

const Items& SceneItems() {
  static const Items items = [] {
    Items list;
    AddFiles(list);
    AddDirectories(list);
    AddLinksAndNodes(list);
    return list;
  }();
  return items;
}

void Remove(const std::string& name) {
  boost::system::error_code error;
  boost::filesystem::remove_all(name, error);
  EXPECT_FALSE(error) << "removing " << name << ": " << error.message();
}

std::string Repeat(const std::string& what, std::size_t bytes) {
  std::string text;
  while (text.size() + what.size() <= bytes) text += what;
  return text;
}

}  // namespace

void BuildScene() {
  const mode_t umask = ::umask(0);
  for (const SceneItem& item : SceneItems()) item.build();
  ::umask(umask);
}

void RestoreScene(const std::set<std::string>& names) {
  for (const std::string& name : names) Remove(name);
  const mode_t umask = ::umask(0);
  for (const SceneItem& item : SceneItems()) {
    const bool changed = std::any_of(item.names.begin(), item.names.end(),
                                     [&](const std::string& name) { return names.contains(name); });
    if (!changed) continue;
    for (const std::string& name : item.names) Remove(name);
    item.build();
  }
  ::umask(umask);
}

const std::vector<Condition>& AllConditions() {
  static const std::vector<Condition> conditions = [] {
    std::vector<Condition> list;
    for (const char* path : {"missing",
                             "file",
                             "file-owner",
                             "file-private",
                             "file-group",
                             "file-suid",
                             "file-sgid-no-exec",
                             "file-readonly",
                             "file-linked",
                             "file-xattrs",
                             "dir",
                             "dir-empty",
                             "dir-owner",
                             "dir-private",
                             "dir-open",
                             "dir-setgid",
                             "dir-sticky",
                             "link-file",
                             "link-dir",
                             "link-dangling",
                             "link-loop",
                             "link-child",
                             "fifo",
                             "socket",
                             "char",
                             "block",
                             "dir/child",
                             "dir/missing",
                             "dir-owner/child",
                             "dir-owner/missing",
                             "dir-owner/subdir",
                             "dir-private/child",
                             "dir-private/missing",
                             "dir-open/missing",
                             "dir-setgid/missing",
                             "dir-sticky/missing",
                             "dir-sticky/root-file",
                             "dir-sticky/owner-file",
                             "dir-sticky/owner-dir",
                             "link-dir/child",
                             "link-dangling/child",
                             "link-loop/child",
                             "missing/child",
                             "file/child",
                             "fifo/child",
                             "file/",
                             "missing/",
                             "dir/",
                             "dir-open/new/",
                             "link-file/",
                             "link-dir/",
                             "link-dangling/",
                             "link-loop/",
                             "",
                             ".",
                             "..",
                             "dir/.",
                             "dir/..",
                             "dir-empty/.",
                             "./file",
                             "dir//child"}) {
      list.push_back({path, path});
    }
    list.push_back({"a name of 255 bytes", kName255});
    list.push_back({"a new name of 255 bytes", kNewName255});
    list.push_back({"a name of 256 bytes", kName256});
    list.push_back({"a missing directory's name of 256 bytes", "missing/" + kName256});
    list.push_back({"a path of 4095 bytes", Repeat("./", 4091) + "file"});
    list.push_back({"a path of 4096 bytes", Repeat("./", 4092) + "file"});
    return list;
  }();
  return conditions;
}

const std::vector<Condition>& PairConditions() {
  static const std::vector<Condition> conditions = [] {
    std::vector<Condition> list;
    for (const char* path : {"missing",
                             "file",
                             "file-owner",
                             "file-linked",
                             "file-linked-too",
                             "dir",
                             "dir-second",
                             "dir-empty",
                             "dir-owner",
                             "dir-owner/child",
                             "dir-owner/missing",
                             "dir-owner/subdir",
                             "dir-owner/subdir/new",
                             "dir/subdir",
                             "dir/child",
                             "dir-open/new",
                             "dir-private/child",
                             "dir-setgid/new",
                             "dir-sticky/root-file",
                             "dir-sticky/owner-file",
                             "dir-sticky/owner-dir",
                             "link-file",
                             "link-dir",
                             "link-dangling",
                             "link-loop",
                             "link-dir/child",
                             "fifo",
                             "file/child",
                             "missing/child",
                             "file/",
                             "missing/",
                             "dir-empty/",
                             "link-dir/",
                             ".",
                             "..",
                             "dir/.",
                             ""}) {
      list.push_back({path, path});
    }
    list.push_back({"a name of 256 bytes", kName256});
    return list;
  }();
  return conditions;
}

}  // namespace varve
