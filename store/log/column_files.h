// Open column files of segments, for reading: a bounded cache.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include "store/base/synchronized.h"
#include "store/disk/disk_set.h"

namespace varve {

// Thread-safe. A file is not handed out after its disk has left its slot.
class ColumnFiles {
 public:
  ColumnFiles(DiskSet& disks, std::size_t limit) : disks_(disks), limit_(limit) {}

  // kDiskLost when the disk is not online, kNotFound when it has no such object.
  Result<std::shared_ptr<DiskFile>> Open(DiskIndex slot, SegmentId segment);
  void Forget(DiskIndex slot);
  void Forget(DiskIndex slot, SegmentId segment);

 private:
  using Key = std::pair<DiskIndex, SegmentId>;
  struct Entry {
    Key key;
    std::weak_ptr<Disk> disk;
    std::shared_ptr<DiskFile> file;
  };
  struct State {
    std::list<Entry> entries;  // most recently used first
    std::map<Key, std::list<Entry>::iterator> by_key;
    void Erase(const Key& key);
  };

  DiskSet& disks_;
  const std::size_t limit_;
  Synchronized<State> state_;  // not held across disk I/O
};

}  // namespace varve
