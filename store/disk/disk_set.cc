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

struct DiskSet::Running::State {
  Task task;
  std::mutex mutex;
  std::condition_variable all_done;
  // Under mutex.
  std::vector<Status> results;
  std::size_t running = 0;
};

DiskSet::Running& DiskSet::Running::operator=(Running&& other) {
  Wait();
  state_ = std::exchange(other.state_, nullptr);
  return *this;
}

DiskSet::Running::~Running() { Wait(); }

std::vector<Status> DiskSet::Running::Wait() {
  const std::shared_ptr<State> state = std::exchange(state_, nullptr);
  if (state == nullptr) return {};
  std::unique_lock lock(state->mutex);
  state->all_done.wait(lock, [&] { return state->running == 0; });
  return std::move(state->results);
}

DiskSet::Running DiskSet::Start(std::vector<DiskIndex> slots, Task task) {
  // A disk's thread that waits for disks' threads can wait for itself.
  CHECK(IoThread::CurrentOwner() != impl_.get(), "disks are given work from inside their work");
  Running running;
  running.state_ = std::make_shared<Running::State>();
  const std::shared_ptr<Running::State>& state = running.state_;
  state->task = std::move(task);
  state->results.resize(slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const DiskIndex slot = slots[i];
    std::shared_ptr<Disk> disk = online(slot);
    std::unique_lock lock(state->mutex);
    if (disk == nullptr) {
      state->results[i] = impl_->NotOnline(slot);
      continue;
    }
    ++state->running;
    lock.unlock();
    impl_->threads[slot.value]->Submit([state, i, slot, disk = std::move(disk)]() mutable {
      Status status = state->task(slot, *disk);
      disk.reset();  // before the caller goes on: it may be waiting to open the disk anew
      std::lock_guard done(state->mutex);
      state->results[i] = std::move(status);
      if (--state->running == 0) state->all_done.notify_one();
    });
  }
  return running;
}

std::vector<Status> DiskSet::ForEach(std::span<const DiskIndex> slots, const Task& task) {
  if (slots.empty()) return {};
  const DiskIndex last = slots.back();
  Running others = Start({slots.begin(), slots.end() - 1}, std::cref(task));
  const std::shared_ptr<Disk> disk = online(last);
  Status status = disk == nullptr ? impl_->NotOnline(last) : task(last, *disk);
  std::vector<Status> results = others.Wait();
  results.push_back(std::move(status));
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
