#include "fs/core/read_times.h"

#include <algorithm>

namespace varve {
namespace {

constexpr TimeNs kDayNs = 24 * 60 * 60 * kNsPerSecond;

bool IsOutdated(TimeNs atime_ns, const InodeAttributes& attributes, TimeNs now) {
  return atime_ns <= attributes.mtime_ns || atime_ns <= attributes.ctime_ns ||
         atime_ns <= now - kDayNs;
}

}  // namespace

bool ReadTimes::IsDue(InodeId inode, const InodeAttributes& attributes, TimeNs now) const {
  return IsOutdated(attributes.atime_ns, attributes, now) &&
         IsOutdated(Newest(inode, attributes.atime_ns), attributes, now);
}

void ReadTimes::Note(InodeId inode, TimeNs now) {
  Shard& shard = ShardOf(inode);
  const std::lock_guard lock(shard.mutex);
  if (shard.times.size() >= kMaxTimes) shard.times.erase(shard.times.begin());
  shard.times[inode] = now;
}

TimeNs ReadTimes::Newest(InodeId inode, TimeNs atime_ns) const {
  const Shard& shard = ShardOf(inode);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.times.find(inode);
  return found == shard.times.end() ? atime_ns : std::max(found->second, atime_ns);
}

std::vector<InodeId> ReadTimes::Known() const {
  std::vector<InodeId> known;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [inode, time_ns] : shard.times) known.push_back(inode);
  }
  return known;
}

void ReadTimes::Forget(InodeId inode) {
  Shard& shard = ShardOf(inode);
  const std::lock_guard lock(shard.mutex);
  shard.times.erase(inode);
}

}  // namespace varve
