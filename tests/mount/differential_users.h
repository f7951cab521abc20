// Who makes a call. The test is root and one thread, and takes on another's ids for the time of a
// call, as setresuid does in a process of his; what he may do is then the kernel's to decide.
#pragma once

#include <sys/types.h>

#include <string_view>
#include <vector>

namespace varve {

struct User {
  std::string_view name;
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};

constexpr gid_t kSharedGroup = 60003;

// Root; one who owns some of what is there and is in kSharedGroup; one who owns next to nothing.
const User& Root();
const User& Owner();
const User& Other();
const std::vector<User>& AllUsers();

class ActingAs {
 public:
  explicit ActingAs(const User& user);
  ~ActingAs();
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  const bool changed_;
};

}  // namespace varve
