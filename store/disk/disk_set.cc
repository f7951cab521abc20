#include "store/disk/disk_set.h"

#include <algorithm>
#include <condition_variable>

#include "store/disk/disk_set_impl.h"

namespace varve {

std::string_view ToString(DiskState state) {
  switch (state) {
    case DiskState::kOnline:
      return "online";
    case DiskState::kMissing:
      return "missing";
    case DiskState::kStale:
      return "stale";
    case DiskState::kFailed:
      return "failed";
  }
  return "unknown";
}

DiskSet::DiskSet() = default;
DiskSet::~DiskSet() = default;

Result<std::unique_ptr<DiskSet>> DiskSet::Assemble(std::vector<std::unique_ptr<Disk>> disks) {
  std::erase(disks, nullptr);
  std::vector<FoundDisk> found;
  for (const auto& disk : disks) found.push_back({disk->Describe(), ReadLabel(*disk)});
  ASSIGN_OR_RETURN(Assembly assembly, AssembleLabels(found));
  std::unique_ptr<DiskSet> set(new DiskSet);
  set->impl_ = std::make_unique<Impl>(std::move(assembly), std::move(disks));
  return set;
}

DiskLabel DiskSet::label() const { return impl_->Label(); }

const Geometry& DiskSet::geometry() const { return impl_->geometry; }

int DiskSet::size() const { return impl_->size; }

Epoch DiskSet::epoch() const {
  std::lock_guard lock(impl_->state_mutex);
  return impl_->label.epoch;
}

std::shared_ptr<Disk> DiskSet::online(DiskIndex slot) const {
  if (slot.value >= impl_->size) return nullptr;
  std::lock_guard lock(impl_->state_mutex);
  const Impl::Slot& found = impl_->slots[slot.value];
  return found.state == DiskState::kOnline ? found.disk : nullptr;
}

std::vector<DiskIndex> DiskSet::OnlineSlots() const {
  std::vector<DiskIndex> slots;
  for (const auto& [slot, disk] : impl_->OnlineDisks()) slots.push_back(slot);
  return slots;
}

DiskState DiskSet::state(DiskIndex slot) const {
  return slot.value < impl_->size ? impl_->State(slot) : DiskState::kMissing;
}

bool DiskSet::writable() const {
  return !impl_->IsBroken() && impl_->OnlineCount() >= impl_->DisksToGoOn();
}

std::vector<DiskStatus> DiskSet::Report() const {
  std::vector<DiskStatus> report;
  std::vector<std::shared_ptr<Disk>> disks;
  {
    std::lock_guard lock(impl_->state_mutex);
    for (std::size_t i = 0; i < impl_->slots.size(); ++i) {
      const Impl::Slot& slot = impl_->slots[i];
      DiskStatus status;
      status.slot = DiskIndex(static_cast<std::uint8_t>(i));
      status.uuid = impl_->label.slots[i].disk_uuid;
      status.state = slot.state;
      status.path = slot.path;
      status.reason = slot.reason;
      report.push_back(std::move(status));
      disks.push_back(slot.state == DiskState::kOnline ? slot.disk : nullptr);
    }
  }
  for (std::size_t i = 0; i < disks.size(); ++i) {
    if (disks[i] == nullptr) continue;
    if (Result<DiskSpace> space = disks[i]->Space(); space.ok()) {
      report[i].space = *space;
    } else {
      report[i].reason = space.error().message();
    }
  }
  return report;
}

std::vector<Status> DiskSet::ForEach(std::span<const DiskIndex> slots,
                                     const std::function<Status(DiskIndex, Disk&)>& task) {
  // A disk's thread that waits for disks' threads can wait for itself.
  CHECK(IoThread::CurrentOwner() != impl_.get(), "ForEach from inside a ForEach task");
  std::vector<Status> results(slots.size());
  std::mutex mutex;
  std::condition_variable all_done;
  std::size_t running = 0;  // guarded by mutex
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const DiskIndex slot = slots[i];
    std::shared_ptr<Disk> disk = online(slot);
    if (disk == nullptr) {
      results[i] =
          Error(ErrorCode::kDiskLost,
                "disk " + std::to_string(slot.value) + " is " +
                    std::string(slot.value < size() ? ToString(state(slot)) : "no member"));
      continue;
    }
    {
      std::lock_guard lock(mutex);
      ++running;
    }
    impl_->threads[slot.value]->Submit([&, i, slot, disk = std::move(disk)]() mutable {
      Status status = task(slot, *disk);
      disk.reset();  // before the caller goes on: it may be waiting to open the disk anew
      // Notified under the lock: after it, the caller's stack is gone.
      std::lock_guard lock(mutex);
      results[i] = std::move(status);
      if (--running == 0) all_done.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  all_done.wait(lock, [&] { return running == 0; });
  return results;
}

std::vector<DiskIndex> DiskSet::ProbeAll() {
  std::vector<DiskIndex> slots;
  std::vector<std::shared_ptr<Disk>> probed(static_cast<std::size_t>(size()));
  for (auto& [slot, disk] : impl_->OnlineDisks()) {
    slots.push_back(slot);
    probed[slot.value] = std::move(disk);
  }
  const std::vector<Status> probes =
      ForEach(slots, [&](DiskIndex slot, Disk&) { return probed[slot.value]->Probe(); });
  for (std::size_t i = 0; i < slots.size(); ++i) {
    // A slot that is not online any more has answered kDiskLost without being asked.
    if (probes[i].ok() || state(slots[i]) != DiskState::kOnline) continue;
    // What Fail answers is in writable(); here only what was lost is told.
    static_cast<void>(Fail(slots[i], probes[i].error(), probed[slots[i].value].get()).ok());
  }
  std::erase_if(slots, [&](DiskIndex slot) { return state(slot) == DiskState::kOnline; });
  return slots;
}

void DiskSet::OnFailure(std::function<void(DiskIndex, const Error&)> callback) {
  std::lock_guard lock(impl_->state_mutex);
  impl_->callbacks.push_back(std::move(callback));
}

}  // namespace varve
