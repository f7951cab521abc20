#include "tests/mount/differential_users.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "store/base/check.h"

namespace varve {
namespace {

// The system calls themselves: libc's functions would change every thread. The saved user id stays
// root's, which is what brings root back; it counts for nothing else.
void TakeIds(const User& user) {
  const bool taken = ::syscall(SYS_setgroups, user.groups.size(), user.groups.data()) == 0 &&
                     ::syscall(SYS_setresgid, user.gid, user.gid, user.gid) == 0 &&
                     ::syscall(SYS_setresuid, user.uid, user.uid, 0) == 0;
  CHECK(taken, "root can become anybody");
}

}  // namespace

const User& Root() { return AllUsers()[0]; }
const User& Owner() { return AllUsers()[1]; }
const User& Other() { return AllUsers()[2]; }

const std::vector<User>& AllUsers() {
  static const std::vector<User> users{
      {"root", 0, 0, {}}, {"owner", 60001, 60001, {kSharedGroup}}, {"other", 60002, 60002, {}}};
  return users;
}

ActingAs::ActingAs(const User& user) : changed_(user.uid != 0) {
  if (changed_) TakeIds(user);
}

ActingAs::~ActingAs() {
  if (!changed_) return;
  CHECK(::syscall(SYS_setresuid, 0, 0, 0) == 0, "the saved id is root's");
  TakeIds(Root());
}

}  // namespace varve
