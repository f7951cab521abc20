// The part of DiskSet that steps from one epoch to the next: who is a member, and that all members
// agree on it.
//
// Why a crash in the middle of a step is harmless: nothing is acknowledged in a new epoch before
// all its members have its label, so that members one epoch apart have missed nothing (see
// assembly.cc, which lets them in, and Stamp, which marks every absent disk failed in every label
// it makes).

#include <algorithm>
#include <thread>

#include "store/disk/disk_set.h"
#include "store/disk/disk_set_impl.h"

namespace varve {
namespace {

// Each task on a thread of its own, the last on this one. Not on the disks' queues: the caller may
// be one of their threads.
void RunAllAtOnce(std::vector<std::function<void()>> tasks) {
  if (tasks.empty()) return;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i + 1 < tasks.size(); ++i) threads.emplace_back(std::move(tasks[i]));
  tasks.back()();
  for (std::thread& thread : threads) thread.join();
}

DiskLabel LabelFor(DiskIndex slot, const DiskLabel& label) {
  DiskLabel own = label;
  own.slot = slot;
  own.disk_uuid = label.slots[slot.value].disk_uuid;
  return own;
}

Status RemoveObjects(Disk& disk, std::string_view prefix) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, disk.List(prefix));
  for (const std::string& name : names) RETURN_IF_ERROR(disk.Remove(name));
  return {};
}

std::string NameOf(DiskIndex slot) { return "disk " + std::to_string(slot.value); }

}  // namespace

std::string PathHint(const std::string& path) { return path.substr(0, kMaxLabelPathBytes); }

DiskSet::Impl::Impl(Assembly assembly, std::vector<std::unique_ptr<Disk>> disks)
    : geometry(assembly.label.geometry),
      size(static_cast<int>(assembly.label.slots.size())),
      labels_differ(assembly.labels_differ),
      label(std::move(assembly.label)) {
  for (std::size_t i = 0; i < assembly.slots.size(); ++i) {
    AssembledSlot& found = assembly.slots[i];
    Slot slot;
    slot.state = found.state;
    slot.reason = std::move(found.reason);
    slot.path = label.slots[i].last_path;
    if (found.found) {
      slot.disk = std::move(disks[*found.found]);
      slot.path = slot.disk->Describe();
    }
    if (slot.state == DiskState::kOnline) slot.reason.clear();
    slots.push_back(std::move(slot));
  }
  for (int i = 0; i < size; ++i) {
    threads.push_back(std::make_unique<IoThread>("disk-" + std::to_string(i), this));
  }
}

DiskLabel DiskSet::Impl::Label() const {
  std::lock_guard lock(state_mutex);
  return label;
}

DiskState DiskSet::Impl::State(DiskIndex slot) const {
  std::lock_guard lock(state_mutex);
  return slots[slot.value].state;
}

void DiskSet::Impl::Break() {
  std::lock_guard lock(state_mutex);
  broken = true;
}

bool DiskSet::Impl::IsBroken() const {
  std::lock_guard lock(state_mutex);
  return broken;
}

std::vector<std::pair<DiskIndex, std::shared_ptr<Disk>>> DiskSet::Impl::OnlineDisks() const {
  std::vector<std::pair<DiskIndex, std::shared_ptr<Disk>>> disks;
  std::lock_guard lock(state_mutex);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].state != DiskState::kOnline) continue;
    disks.emplace_back(DiskIndex(static_cast<std::uint8_t>(i)), slots[i].disk);
  }
  return disks;
}

Status DiskSet::Impl::CheckSlot(DiskIndex slot) const {
  if (slot.value < size) return {};
  return Error(ErrorCode::kInvalidArgument,
               "the volume has no " + NameOf(slot) + ", only " + std::to_string(size) + " disks");
}

Error DiskSet::Impl::TooFew() const {
  std::string lost;
  std::lock_guard lock(state_mutex);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].state == DiskState::kOnline) continue;
    lost += "; disk " + std::to_string(i) + " at " + slots[i].path + " is " +
            std::string(ToString(slots[i].state)) + " (" + slots[i].reason + ")";
  }
  return Error(ErrorCode::kTooFewDisks,
               "writing needs " + std::to_string(DisksToGoOn()) + " disks" + lost);
}

Error DiskSet::Impl::NotOnline(DiskIndex slot) const {
  const std::string_view how = slot.value < slots.size() ? ToString(State(slot)) : "no member";
  return Error(ErrorCode::kDiskLost,
               "disk " + std::to_string(slot.value) + " is " + std::string(how));
}

bool DiskSet::Impl::NeedsEpoch() const {
  if (labels_differ) return true;
  std::lock_guard lock(state_mutex);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const SlotRecord& record = label.slots[i];
    const bool online = slots[i].state == DiskState::kOnline;
    if (!online && record.state != SlotState::kFailed) return true;
    if (online && record.last_path != PathHint(slots[i].path)) return true;
  }
  return false;
}

void DiskSet::Impl::MarkFailed(DiskIndex slot, const Error& why, const Disk* which, Lost& lost) {
  std::shared_ptr<Disk> dropped;  // destroyed, if nobody uses it, after the mutex is free
  std::lock_guard lock(state_mutex);
  Slot& failed = slots[slot.value];
  if (failed.state != DiskState::kOnline) return;
  if (which != nullptr && failed.disk.get() != which) return;
  failed.state = DiskState::kFailed;
  failed.reason = why.message();
  dropped.swap(failed.disk);
  lost.emplace_back(slot, why);
}

void DiskSet::Impl::Announce(const Lost& lost) const {
  if (lost.empty()) return;
  std::vector<std::function<void(DiskIndex, const Error&)>> listeners;
  {
    std::lock_guard lock(state_mutex);
    listeners = callbacks;
  }
  for (const auto& [slot, why] : lost) {
    for (const auto& listener : listeners) listener(slot, why);
  }
}

void DiskSet::Impl::Stamp(DiskLabel& next) const {
  next.previous_epoch_id = next.epoch_id;
  next.epoch_id = Uuid::Random();
  ++next.epoch.value;
  std::lock_guard lock(state_mutex);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].state == DiskState::kOnline) {
      next.slots[i].last_path = PathHint(slots[i].path);
    } else {
      next.slots[i].state = SlotState::kFailed;
    }
  }
}

Status DiskSet::Impl::Commit(DiskLabel next, int minimum_disks, Lost& lost) {
  while (true) {
    const auto disks = OnlineDisks();
    if (static_cast<int>(disks.size()) < minimum_disks) return TooFew();
    std::vector<Status> written(disks.size());
    std::vector<std::function<void()>> tasks;
    for (std::size_t i = 0; i < disks.size(); ++i) {
      tasks.emplace_back(
          [&, i] { written[i] = WriteLabel(*disks[i].second, LabelFor(disks[i].first, next)); });
    }
    RunAllAtOnce(std::move(tasks));
    labels_differ = false;
    {
      std::lock_guard lock(state_mutex);
      label = next;
    }
    std::optional<Error> full;
    bool again = false;
    for (std::size_t i = 0; i < disks.size(); ++i) {
      if (written[i].ok()) continue;
      labels_differ = true;
      if (written[i].error().code() == ErrorCode::kNoSpace) {
        full = written[i].error();
        continue;
      }
      MarkFailed(disks[i].first, written[i].error().In("writing the label"), disks[i].second.get(),
                 lost);
      again = true;
    }
    if (full) {
      Break();
      return *full;
    }
    if (!again) return {};
    Stamp(next);
  }
}

Status DiskSet::Impl::GoOn(DiskLabel next, Lost& lost) {
  Stamp(next);
  return Commit(std::move(next), DisksToGoOn(), lost);
}

Status DiskSet::Impl::TakeIn(DiskIndex slot, const std::shared_ptr<Disk>& disk,
                             const Uuid& disk_uuid, Lost& lost) {
  DiskLabel next = Label();
  Stamp(next);
  next.slots[slot.value] = {disk_uuid, SlotState::kRebuilding, PathHint(disk->Describe())};
  // The newcomer first: if it cannot even take a label, nothing has happened.
  RETURN_IF_ERROR(WriteLabel(*disk, LabelFor(slot, next)));
  std::shared_ptr<Disk> former;  // destroyed after the mutex is free
  {
    std::lock_guard lock(state_mutex);
    Slot& taken = slots[slot.value];
    former = std::exchange(taken.disk, disk);
    taken.state = DiskState::kOnline;
    taken.path = disk->Describe();
    taken.reason.clear();
  }
  RETURN_IF_ERROR(Commit(std::move(next), 1, lost));
  for (const auto& [failed, why] : lost) {
    if (failed == slot) return why;
  }
  return {};
}

Status DiskSet::BeginEpoch() {
  Impl::Lost lost;
  Status status;
  {
    std::lock_guard membership(impl_->membership_mutex);
    if (impl_->IsBroken() || impl_->OnlineCount() < impl_->DisksToGoOn()) {
      return impl_->TooFew();
    }
    if (impl_->NeedsEpoch()) status = impl_->GoOn(impl_->Label(), lost);
  }
  impl_->Announce(lost);
  return status;
}

Status DiskSet::Fail(DiskIndex slot, const Error& why, const Disk* which) {
  RETURN_IF_ERROR(impl_->CheckSlot(slot));
  Impl::Lost lost;
  // At once, so that nobody begins anything on it while an earlier step is still being taken.
  impl_->MarkFailed(slot, why, which, lost);
  Status status;
  {
    std::lock_guard membership(impl_->membership_mutex);
    const DiskLabel label = impl_->Label();
    const bool told = label.slots[slot.value].state == SlotState::kFailed;
    if (impl_->State(slot) != DiskState::kOnline && !told) {
      status = impl_->GoOn(label, lost);
    } else if (impl_->OnlineCount() < impl_->DisksToGoOn()) {
      status = impl_->TooFew();
    }
    if (!status.ok()) impl_->Break();
  }
  impl_->Announce(lost);
  return status;
}

Status DiskSet::SetCatalogLocation(DiskIndex slot, std::uint64_t generation) {
  RETURN_IF_ERROR(impl_->CheckSlot(slot));
  Impl::Lost lost;
  Status status;
  {
    std::lock_guard membership(impl_->membership_mutex);
    DiskLabel label = impl_->Label();
    const bool same = label.catalog_slot == slot && label.catalog_generation == generation;
    label.catalog_slot = slot;
    label.catalog_generation = generation;
    if (!same || impl_->NeedsEpoch()) status = impl_->GoOn(std::move(label), lost);
  }
  impl_->Announce(lost);
  return status;
}

Status DiskSet::Replace(DiskIndex slot, std::unique_ptr<Disk> disk) {
  RETURN_IF_ERROR(impl_->CheckSlot(slot));
  CHECK(disk != nullptr);
  Impl::Lost lost;
  Status status;
  {
    std::lock_guard membership(impl_->membership_mutex);
    if (impl_->State(slot) == DiskState::kOnline) {
      return Error(ErrorCode::kBusy, NameOf(slot) + " is online and cannot be replaced");
    }
    RETURN_IF_ERROR(CheckEmpty(*disk));
    status = impl_->TakeIn(slot, std::move(disk), Uuid::Random(), lost);
  }
  impl_->Announce(lost);
  return status;
}

Status DiskSet::Rejoin(DiskIndex slot) {
  RETURN_IF_ERROR(impl_->CheckSlot(slot));
  Impl::Lost lost;
  Status status;
  {
    std::lock_guard membership(impl_->membership_mutex);
    std::shared_ptr<Disk> disk;
    {
      std::lock_guard lock(impl_->state_mutex);
      const Impl::Slot& stale = impl_->slots[slot.value];
      if (stale.state == DiskState::kStale) disk = stale.disk;
    }
    if (disk == nullptr) {
      return Error(ErrorCode::kInvalidArgument, NameOf(slot) + " is " +
                                                    std::string(ToString(impl_->State(slot))) +
                                                    "; only a stale disk can rejoin");
    }
    ASSIGN_OR_RETURN(DiskLabel own, ReadLabel(*disk));
    // What it says of the present is wrong; what it holds of the past may be right.
    RETURN_IF_ERROR(RemoveObjects(*disk, "journal/"));
    RETURN_IF_ERROR(RemoveObjects(*disk, "catalog/"));
    RETURN_IF_ERROR(disk->SyncNames());
    status = impl_->TakeIn(slot, disk, own.disk_uuid, lost);
  }
  impl_->Announce(lost);
  return status;
}

Status DiskSet::MarkRebuilt(DiskIndex slot) {
  RETURN_IF_ERROR(impl_->CheckSlot(slot));
  Impl::Lost lost;
  Status status;
  {
    std::lock_guard membership(impl_->membership_mutex);
    if (impl_->State(slot) != DiskState::kOnline) {
      return Error(ErrorCode::kDiskLost, NameOf(slot) + " is not online");
    }
    DiskLabel label = impl_->Label();
    if (label.slots[slot.value].state == SlotState::kActive) return {};
    label.slots[slot.value].state = SlotState::kActive;
    impl_->Stamp(label);
    status = impl_->Commit(std::move(label), 1, lost);
  }
  impl_->Announce(lost);
  return status;
}

}  // namespace varve
