#include "store/repair/batch.h"

#include <set>

#include "store/log/columns.h"

namespace varve {

Transfer::Transfer(const RepairContext& context, std::shared_ptr<Batch> batch)
    : context_(context), batch_(std::move(batch)) {}

std::unique_ptr<Transfer> Transfer::Read(const RepairContext& context, std::shared_ptr<Batch> batch,
                                         const Choice& choose) {
  std::unique_ptr<Transfer> transfer(new Transfer(context, std::move(batch)));
  Transfer& self = *transfer;
  self.Choose(choose);
  for (Work& work : self.batch_->works) {
    const std::uint64_t asked = choose(work);
    for (int column = 0; column < work.location.stripe.columns(); ++column) {
      if ((asked & ColumnBit(column)) != 0) work.image.Allocate(column);
    }
    // Until they have come. So this holds for a disk that is gone too, whose thread is not asked.
    work.bad |= asked;
  }
  self.Start([&self](DiskIndex slot, Disk&) { return self.ReadFrom(slot); });
  return transfer;
}

std::unique_ptr<Transfer> Transfer::Write(const RepairContext& context,
                                          std::shared_ptr<Batch> batch) {
  std::unique_ptr<Transfer> transfer(new Transfer(context, std::move(batch)));
  Transfer& self = *transfer;
  self.Choose([](const Work& work) { return work.mended; });
  self.Start([&self](DiskIndex slot, Disk&) { return self.WriteTo(slot); });
  return transfer;
}

void Transfer::Choose(const Choice& choose) {
  for (std::size_t i = 0; i < batch_->works.size(); ++i) {
    const Work& work = batch_->works[i];
    const std::uint64_t chosen = choose(work);
    for (int column = 0; column < work.location.stripe.columns(); ++column) {
      if ((chosen & ColumnBit(column)) == 0) continue;
      by_disk_[DiskOfColumn(work.location, column)].emplace_back(i, column);
    }
  }
}

void Transfer::Start(DiskSet::Task task) {
  for (const auto& [slot, fragments] : by_disk_) slots_.push_back(slot);
  if (!slots_.empty()) running_ = context_.disks.Start(slots_, std::move(task));
}

std::map<DiskIndex, Status> Transfer::Wait() {
  std::vector<Status> done = running_.Wait();
  std::map<DiskIndex, Status> by_disk;
  for (std::size_t i = 0; i < done.size(); ++i) by_disk.emplace(slots_[i], std::move(done[i]));
  return by_disk;
}

Status Transfer::ReadFrom(DiskIndex disk) {
  for (const auto& [i, column] : On(disk)) {
    Work& work = batch_->works[i];
    const MutableByteSpan fragment = work.image.column(column);
    if (!context_.reader.ReadFragment(work.location, column, fragment).ok()) continue;
    const std::lock_guard lock(mutex_);
    work.good |= ColumnBit(column);
    work.bad &= ~ColumnBit(column);
  }
  return {};
}

Status Transfer::WriteTo(DiskIndex disk) {
  const Uuid volume = context_.disks.label().volume_uuid;
  std::set<SegmentId> touched;
  Status status;
  for (const auto& [i, column] : On(disk)) {
    Work& work = batch_->works[i];
    status =
        WriteFragment(context_.disks, volume, work.location, column, work.image.column(column));
    if (!status.ok()) break;
    touched.insert(work.location.segment.id);
  }
  for (const SegmentId segment : touched) {
    if (status.ok()) status = SyncSegmentColumn(context_.disks, segment, disk);
  }
  context_.reader.Forget(disk);
  return status;
}

}  // namespace varve
