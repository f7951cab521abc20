#include "tests/support/faulty_disk.h"

#include <array>
#include <cerrno>
#include <utility>

namespace varve {
namespace {

Error Fault(const Disk& disk, std::string_view name, const std::string& what, int os_errno) {
  std::string message = disk.Describe();
  if (!name.empty()) message += "/" + std::string(name);
  return Error(ErrorCode::kIo, message + ": " + what, os_errno);
}

// Counts down; true when nothing is left.
bool RunsOut(std::optional<std::uint64_t>& left) {
  if (!left) return false;
  if (*left == 0) return true;
  --*left;
  return false;
}

}  // namespace

void FaultController::Lose() {
  std::lock_guard lock(mutex_);
  lost_ = true;
}

void FaultController::FailReads(std::uint64_t after) {
  std::lock_guard lock(mutex_);
  reads_left_ = after;
}

void FaultController::FailWrites(std::uint64_t after) {
  std::lock_guard lock(mutex_);
  writes_left_ = after;
}

void FaultController::FailSyncs(std::uint64_t after) {
  std::lock_guard lock(mutex_);
  syncs_left_ = after;
}

void FaultController::FailProbes() {
  std::lock_guard lock(mutex_);
  probes_fail_ = true;
}

void FaultController::FullAfter(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  bytes_left_ = bytes;
}

void FaultController::DropWrites(std::uint64_t count, std::string prefix) {
  std::lock_guard lock(mutex_);
  drop_ = {count, std::move(prefix)};
}

void FaultController::MisdirectNextWrite(std::uint64_t shift_bytes, std::string prefix) {
  std::lock_guard lock(mutex_);
  misdirect_ = {1, std::move(prefix)};
  misdirect_shift_bytes_ = shift_bytes;
}

void FaultController::RandomFaults(std::uint64_t seed, const FaultChances& chances) {
  std::lock_guard lock(mutex_);
  random_.seed(seed);
  chances_ = chances;
}

void FaultController::Heal() {
  std::lock_guard lock(mutex_);
  lost_ = false;
  probes_fail_ = false;
  reads_left_.reset();
  writes_left_.reset();
  syncs_left_.reset();
  bytes_left_.reset();
  drop_ = {};
  misdirect_ = {};
  chances_ = {};
}

void FaultController::SetHook(Hook hook) {
  std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

std::uint64_t FaultController::count(DiskOperation operation) const {
  std::lock_guard lock(mutex_);
  return counts_[static_cast<std::size_t>(operation)];
}

std::uint64_t FaultController::bytes_written() const {
  std::lock_guard lock(mutex_);
  return bytes_written_;
}

Status FaultController::FlipBit(std::string_view name, std::uint64_t byte_offset, int bit) {
  return varve::FlipBit(*base_, name, byte_offset, bit);
}

Status FaultController::TruncateObject(std::string_view name, std::uint64_t size_bytes) {
  return varve::TruncateObject(*base_, name, size_bytes);
}

bool FaultController::Chance(double probability) {
  // No coin is thrown for what cannot happen, so that other chances keep their sequence.
  if (probability <= 0) return false;
  return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
}

Status FaultController::Due(DiskOperation operation, std::string_view name) {
  if (lost_) return Fault(*base_, name, "the disk is gone", ENODEV);
  switch (operation) {
    case DiskOperation::kRead:
      if (RunsOut(reads_left_) || Chance(chances_.read_error)) {
        return Fault(*base_, name, "read failed", EIO);
      }
      break;
    case DiskOperation::kWrite:
    case DiskOperation::kTruncate:
      if (RunsOut(writes_left_) || Chance(chances_.write_error)) {
        return Fault(*base_, name, "write failed", EIO);
      }
      break;
    case DiskOperation::kSync:
      if (RunsOut(syncs_left_) || Chance(chances_.sync_error)) {
        return Fault(*base_, name, "sync failed", EIO);
      }
      break;
    case DiskOperation::kProbe:
      if (probes_fail_) return Fault(*base_, name, "does not answer", ENODEV);
      break;
    case DiskOperation::kOpen:
    case DiskOperation::kName:
    case DiskOperation::kList:
    case DiskOperation::kSpace:
      break;
  }
  return {};
}

Status FaultController::Begin(DiskOperation operation, std::string_view name) {
  Hook hook;
  {
    std::lock_guard lock(mutex_);
    ++counts_[static_cast<std::size_t>(operation)];
    hook = hook_;
  }
  if (hook) hook(operation, name);
  std::lock_guard lock(mutex_);
  return Due(operation, name);
}

Result<FaultController::WriteFate> FaultController::BeginWrite(std::string_view name,
                                                               std::uint64_t length_bytes,
                                                               std::uint64_t* shift_bytes) {
  RETURN_IF_ERROR(Begin(DiskOperation::kWrite, name));
  std::lock_guard lock(mutex_);
  if (bytes_left_ && length_bytes > *bytes_left_) {
    return Error(ErrorCode::kNoSpace, base_->Describe() + "/" + std::string(name) + ": full",
                 ENOSPC);
  }
  if (bytes_left_) *bytes_left_ -= length_bytes;
  bytes_written_ += length_bytes;
  auto hits = [&](Targeted& fault) {
    if (fault.count == 0 || !name.starts_with(fault.prefix)) return false;
    --fault.count;
    return true;
  };
  if (hits(misdirect_)) {
    *shift_bytes = misdirect_shift_bytes_;
    return WriteFate::kMisdirected;
  }
  if (hits(drop_) || Chance(chances_.lost_write)) return WriteFate::kDropped;
  return WriteFate::kWritten;
}

void FaultController::AfterRead(MutableByteSpan bytes) {
  std::lock_guard lock(mutex_);
  if (bytes.empty() || !Chance(chances_.read_flip)) return;
  bytes[random_() % bytes.size()] ^= std::byte{1} << (random_() % 8);
}

class FaultyFile : public DiskFile {
 public:
  FaultyFile(std::shared_ptr<FaultController> controller, std::unique_ptr<DiskFile> base,
             std::string name)
      : controller_(std::move(controller)), base_(std::move(base)), name_(std::move(name)) {}

  Result<std::size_t> Read(std::uint64_t offset, MutableByteSpan out) override {
    RETURN_IF_ERROR(controller_->Begin(DiskOperation::kRead, name_));
    ASSIGN_OR_RETURN(std::size_t got_bytes, base_->Read(offset, out));
    controller_->AfterRead(out.first(got_bytes));
    return got_bytes;
  }

  Status Write(std::uint64_t offset, ByteSpan bytes) override {
    std::uint64_t shift_bytes = 0;
    ASSIGN_OR_RETURN(auto fate, controller_->BeginWrite(name_, bytes.size(), &shift_bytes));
    if (fate == FaultController::WriteFate::kDropped) return {};
    return base_->Write(offset + shift_bytes, bytes);
  }

  Status Sync() override {
    RETURN_IF_ERROR(controller_->Begin(DiskOperation::kSync, name_));
    return base_->Sync();
  }

  Result<std::uint64_t> Size() override {
    RETURN_IF_ERROR(controller_->Begin(DiskOperation::kSpace, name_));
    return base_->Size();
  }

  Status Truncate(std::uint64_t size_bytes) override {
    RETURN_IF_ERROR(controller_->Begin(DiskOperation::kTruncate, name_));
    return base_->Truncate(size_bytes);
  }

 private:
  const std::shared_ptr<FaultController> controller_;
  const std::unique_ptr<DiskFile> base_;
  const std::string name_;
};

FaultyDisk::FaultyDisk(std::unique_ptr<Disk> base, std::shared_ptr<FaultController> controller)
    : controller_(std::move(controller)), base_(std::move(base)) {
  CHECK(controller_->base_ == nullptr, "a FaultController serves one FaultyDisk");
  controller_->base_ = base_;
}

Result<std::unique_ptr<DiskFile>> FaultyDisk::Open(std::string_view name, OpenMode mode) {
  RETURN_IF_ERROR(controller_->Begin(DiskOperation::kOpen, name));
  ASSIGN_OR_RETURN(auto file, base_->Open(name, mode));
  return std::make_unique<FaultyFile>(controller_, std::move(file), std::string(name));
}

Status FaultyDisk::Remove(std::string_view name) {
  RETURN_IF_ERROR(controller_->Begin(DiskOperation::kName, name));
  return base_->Remove(name);
}

Status FaultyDisk::Rename(std::string_view from, std::string_view to) {
  RETURN_IF_ERROR(controller_->Begin(DiskOperation::kName, from));
  return base_->Rename(from, to);
}

Result<std::vector<std::string>> FaultyDisk::List(std::string_view prefix) {
  RETURN_IF_ERROR(controller_->Begin(DiskOperation::kList, prefix));
  return base_->List(prefix);
}

Status FaultyDisk::SyncNames() {
  RETURN_IF_ERROR(controller_->Begin(DiskOperation::kSync, ""));
  return base_->SyncNames();
}

Result<DiskSpace> FaultyDisk::Space() {
  RETURN_IF_ERROR(controller_->Begin(DiskOperation::kSpace, ""));
  return base_->Space();
}

std::string FaultyDisk::Describe() const { return base_->Describe(); }

Status FaultyDisk::Probe() {
  RETURN_IF_ERROR(controller_->Begin(DiskOperation::kProbe, ""));
  return base_->Probe();
}

Status FlipBit(Disk& disk, std::string_view name, std::uint64_t byte_offset, int bit) {
  ASSIGN_OR_RETURN(auto file, disk.Open(name, OpenMode::kReadWrite));
  std::array<std::byte, 1> byte{};
  ASSIGN_OR_RETURN(std::size_t got_bytes, file->Read(byte_offset, byte));
  if (got_bytes == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(name) + " has no byte " + std::to_string(byte_offset));
  }
  byte[0] ^= std::byte{1} << bit;
  RETURN_IF_ERROR(file->Write(byte_offset, byte));
  return file->Sync();
}

Status TruncateObject(Disk& disk, std::string_view name, std::uint64_t size_bytes) {
  ASSIGN_OR_RETURN(auto file, disk.Open(name, OpenMode::kReadWrite));
  RETURN_IF_ERROR(file->Truncate(size_bytes));
  return file->Sync();
}

}  // namespace varve
