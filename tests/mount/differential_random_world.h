// One side's world of the random differential test: a tree and some open descriptors.
#pragma once

#include <sys/stat.h>

#include <array>
#include <map>
#include <string>

#include "store/base/unique_fd.h"
#include "tests/mount/differential_random_call.h"
#include "tests/mount/differential_view.h"

namespace varve {

class RandomWorld {
 public:
  // Makes a directory of that name for it, or finds the one there.
  RandomWorld(int side_root, const std::string& name);

  // What the call answers, and what can be seen of its paths and descriptors then; which times
  // moved only if `tell_times`.
  enum class Times { kTell, kKeepQuiet };
  std::string Do(const RandomCall& call, Times times);

  // Everything in the tree; and of the open descriptors, removed files among them.
  TreeView View() const { return ViewTree(top_.get()); }
  int top() const { return top_.get(); }
  std::string DescribeSlots() const;

  void CloseAll();
  // Back to an empty tree.
  void Clear();

  // --- For the kinds of calls ---
  UniqueFd& slot(std::size_t index) { return slots_.at(index); }

 private:
  using Seen = std::map<std::string, struct stat>;
  Seen LookAt(const RandomCall& call) const;

  UniqueFd top_;   // the root of all paths while a call runs
  UniqueFd home_;  // the current directory then
  std::array<UniqueFd, kSlots> slots_;
};

}  // namespace varve
