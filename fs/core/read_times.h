// When files, directories and symbolic links were last read.
#pragma once

#include <array>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "store/base/clock.h"
#include "store/log/change.h"

namespace varve {

// Reading is no change, so it makes no version: the time is kept here and goes along with the
// inode's next change. As with relatime, only the first read after a change counts, and one a day.
// Thread-safe; memory is bounded by forgetting, after which the older time counts again.
class ReadTimes {
 public:
  // `attributes` as kept elsewhere; their atime may be older than what is known here.
  bool IsDue(InodeId inode, const InodeAttributes& attributes, TimeNs now) const;
  void Note(InodeId inode, TimeNs now);
  // The later of the two.
  TimeNs Newest(InodeId inode, TimeNs atime_ns) const;
  // All that are known of.
  std::vector<InodeId> Known() const;
  // The time has gone along with a change, or has been set to another.
  void Forget(InodeId inode);

 private:
  static constexpr std::size_t kShards = 64;
  static constexpr std::size_t kMaxTimes = 1024;  // a shard

  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<InodeId, TimeNs> times;
  };
  Shard& ShardOf(InodeId inode) { return shards_[inode.value % kShards]; }
  const Shard& ShardOf(InodeId inode) const { return shards_[inode.value % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace varve
