#include "store/volume/catalog_keeper.h"

#include <utility>

namespace varve {

bool CatalogKeeper::IsCatalogFailure(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kIo:
    case ErrorCode::kCorrupt:
    case ErrorCode::kDiskLost:
      return true;
    default:
      return false;
  }
}

Result<std::shared_ptr<Catalog>> CatalogKeeper::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return end_ || (catalog_ && !failure_) || (failure_ && !listener_); });
  if (end_) return *end_;
  if (failure_) return *failure_;
  return catalog_;
}

Result<std::shared_ptr<Catalog>> CatalogKeeper::Ready() const {
  const std::lock_guard lock(mutex_);
  if (end_) return *end_;
  if (!catalog_ || failure_) return Error(ErrorCode::kBusy, "the catalog is being rebuilt");
  return catalog_;
}

std::shared_ptr<Catalog> CatalogKeeper::current() const {
  std::lock_guard lock(mutex_);
  return failure_ ? nullptr : catalog_;
}

void CatalogKeeper::Set(std::shared_ptr<Catalog> catalog, DiskIndex slot) {
  std::shared_ptr<Catalog> old;
  {
    std::lock_guard lock(mutex_);
    old = std::exchange(catalog_, std::move(catalog));
    slot_ = slot;
    failure_.reset();
  }
  changed_.notify_all();
  // By now its names may be those of the new one.
  if (old) old->Abandon();
}

void CatalogKeeper::Report(const std::shared_ptr<Catalog>& failed, const Error& why) {
  {
    std::lock_guard lock(mutex_);
    if (failed != catalog_ || failure_) return;
    failure_ = why;
  }
  if (listener_) listener_();
}

void CatalogKeeper::ReportDisk(DiskIndex slot, const Error& why) {
  {
    std::lock_guard lock(mutex_);
    if (!catalog_ || slot != slot_ || failure_) return;
    failure_ = why;
  }
  if (listener_) listener_();
}

std::optional<Error> CatalogKeeper::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

void CatalogKeeper::GiveUp(const Error& why) {
  {
    std::lock_guard lock(mutex_);
    end_ = why;
  }
  changed_.notify_all();
}

void CatalogKeeper::Close() {
  std::shared_ptr<Catalog> old;
  {
    std::lock_guard lock(mutex_);
    if (!end_) end_ = Error(ErrorCode::kCancelled, "the volume is closed");
    old = std::move(catalog_);
    if (old && failure_) old->Abandon();
  }
  changed_.notify_all();
}

}  // namespace varve
