#include "fs/core/inode_locks.h"

#include <algorithm>

#include "store/base/check.h"

namespace varve {

InodeLocks::Exclusive::Exclusive(InodeLocks& locks, std::initializer_list<InodeId> inodes)
    : locks_(locks) {
  CHECK(inodes.size() <= kMaxAtOnce);
  for (const InodeId inode : inodes) {
    if (inode) shards_[count_++] = ShardOf(inode);
  }
  const auto begin = shards_.begin();
  std::sort(begin, begin + static_cast<std::ptrdiff_t>(count_));
  const auto end = std::unique(begin, begin + static_cast<std::ptrdiff_t>(count_));
  count_ = static_cast<std::size_t>(end - begin);
  for (std::size_t i = 0; i < count_; ++i) locks_.shards_[shards_[i]].lock();
}

InodeLocks::Exclusive::~Exclusive() {
  while (count_ > 0) locks_.shards_[shards_[--count_]].unlock();
}

}  // namespace varve
