#include "store/log/column_files.h"

#include <fmt/format.h>

#include "store/log/stripe.h"

namespace varve {

void ColumnFiles::State::Erase(const Key& key) {
  const auto it = by_key.find(key);
  if (it == by_key.end()) return;
  entries.erase(it->second);
  by_key.erase(it);
}

Result<std::shared_ptr<DiskFile>> ColumnFiles::Open(DiskIndex slot, SegmentId segment) {
  const Key key(slot, segment);
  const std::shared_ptr<Disk> disk = disks_.online(slot);
  if (!disk) {
    Forget(slot);
    return Error(ErrorCode::kDiskLost, fmt::format("disk {} is not online", slot.value));
  }
  {
    auto state = state_.Lock();
    if (const auto it = state->by_key.find(key); it != state->by_key.end()) {
      if (it->second->disk.lock() == disk) {
        state->entries.splice(state->entries.begin(), state->entries, it->second);
        return it->second->file;
      }
      state->Erase(key);
    }
  }
  ASSIGN_OR_RETURN(auto opened, disk->Open(SegmentObjectName(segment), OpenMode::kReadStream));
  const std::shared_ptr<DiskFile> file = std::move(opened);
  auto state = state_.Lock();
  state->Erase(key);  // another thread may have opened it meanwhile
  state->entries.push_front({key, disk, file});
  state->by_key[key] = state->entries.begin();
  if (state->entries.size() > limit_) state->Erase(Key(state->entries.back().key));
  return file;
}

void ColumnFiles::Forget(DiskIndex slot) {
  auto state = state_.Lock();
  for (auto it = state->by_key.lower_bound(Key(slot, SegmentId(0)));
       it != state->by_key.end() && it->first.first == slot;) {
    state->entries.erase(it->second);
    it = state->by_key.erase(it);
  }
}

void ColumnFiles::Forget(DiskIndex slot, SegmentId segment) {
  state_.Lock()->Erase(Key(slot, segment));
}

}  // namespace varve
