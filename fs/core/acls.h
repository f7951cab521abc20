// The access control lists of the present, and what follows from them for the changes of others.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "fs/core/acl.h"
#include "fs/core/file_state.h"
#include "fs/core/inode_locks.h"
#include "store/volume/volume.h"

namespace varve {

class Acls {
 public:
  Acls(Volume& volume, FileStates& states) : volume_(volume), states_(states) {}

  // --- Under the exclusive lock of the directory, and of the inode if it exists ---
  // Something is made in `directory` with `mode`, type included: the mode it gets, and what lists
  // it inherits are added to `change`. The umask counts only where no list is inherited.
  Result<std::uint32_t> Inherit(InodeId directory, InodeId inode, std::uint32_t mode,
                                std::uint32_t umask, Change& change);

  // --- Under the exclusive lock of the inode ---
  // chmod: adds the access list that goes with `mode`, if there is one.
  Status FollowMode(InodeId inode, std::uint32_t mode, Change& change);
  // A list of `inode` is about to be put or removed.
  void Forget(InodeId inode);

  // With all gates closed: any list may have changed.
  void ForgetAll();

 private:
  // As most directories have no default list and most of what is made is made in few directories,
  // those known to have none are remembered; a shard that is full begins anew.
  static constexpr std::size_t kMaxKnown = 64;

  Result<std::optional<Acl>> Find(InodeId inode, std::string_view name);
  std::unordered_set<InodeId>& ShardOf(InodeId inode) {
    return without_default_[InodeLocks::ShardOf(inode)];
  }

  Volume& volume_;
  FileStates& states_;
  // Each shard under the exclusive lock of its inodes.
  std::array<std::unordered_set<InodeId>, InodeLocks::kShards> without_default_;
};

}  // namespace varve
