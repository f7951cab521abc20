// Every Disk passes the one contract suite.
#include "tests/support/disk_contract.h"

#include "store/disk/overlay_disk.h"
#include "store/disk/posix_disk.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/memory_disk.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

// A PosixDisk whose directory goes with it.
class OwningPosixDisk : public Disk {
 public:
  OwningPosixDisk() : disk_(OpenPosixDisk(directory_.path(), DiskAccess::kReadWrite).value()) {}
  Result<std::unique_ptr<DiskFile>> Open(std::string_view name, OpenMode mode) override {
    return disk_->Open(name, mode);
  }
  Status Remove(std::string_view name) override { return disk_->Remove(name); }
  Status Rename(std::string_view from, std::string_view to) override {
    return disk_->Rename(from, to);
  }
  Result<std::vector<std::string>> List(std::string_view prefix) override {
    return disk_->List(prefix);
  }
  Status SyncNames() override { return disk_->SyncNames(); }
  Result<DiskSpace> Space() override { return disk_->Space(); }
  std::string Describe() const override { return disk_->Describe(); }
  Status Probe() override { return disk_->Probe(); }

 private:
  TempDirectory directory_;
  std::unique_ptr<Disk> disk_;
};

std::unique_ptr<Disk> Faultless(std::unique_ptr<Disk> base) {
  return std::make_unique<FaultyDisk>(std::move(base), std::make_shared<FaultController>());
}

// An overlay over a disk whose every object has been hidden.
std::unique_ptr<Disk> OverlayOverHidden() {
  auto base = std::make_unique<MemoryDisk>();
  EXPECT_TRUE(WriteAtomically(*base, "a", AsBytes("hidden below")).ok());
  EXPECT_TRUE(WriteAtomically(*base, "seg/a", AsBytes("hidden below")).ok());
  auto overlay = std::make_unique<OverlayDisk>(std::move(base));
  EXPECT_TRUE(overlay->Remove("a").ok());
  EXPECT_TRUE(overlay->Remove("seg/a").ok());
  return overlay;
}

INSTANTIATE_TEST_SUITE_P(
    All, DiskContract,
    testing::Values(
        DiskKind{"Posix", [] { return std::make_unique<OwningPosixDisk>(); }},
        DiskKind{"Memory", [] { return std::make_unique<MemoryDisk>(); }},
        DiskKind{"FaultyPosix", [] { return Faultless(std::make_unique<OwningPosixDisk>()); }},
        DiskKind{"FaultyMemory", [] { return Faultless(std::make_unique<MemoryDisk>()); }},
        DiskKind{"OverlayMemory",
                 [] { return std::make_unique<OverlayDisk>(std::make_unique<MemoryDisk>()); }},
        DiskKind{"OverlayHidden", OverlayOverHidden}),
    NameOfKind);

}  // namespace
}  // namespace varve
