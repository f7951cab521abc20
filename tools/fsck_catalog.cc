#include "tools/fsck_catalog.h"

#include "store/disk/posix_disk.h"
#include "store/log/journal.h"
#include "store/volume/checkpointer.h"
#include "tools/scratch_directory.h"

namespace varve {
namespace {

Status ApplyAll(Catalog& catalog, const std::vector<Change>& changes) {
  std::vector<const Change*> pointers;
  for (const Change& change : changes) {
    if (UnplacedBytes(change) != 0 && change.lsn > catalog.applied_lsn()) {
      return Error(ErrorCode::kBusy, "change " + std::to_string(change.lsn.value) +
                                         " has not found its place in a stripe yet");
    }
    pointers.push_back(&change);
  }
  RETURN_IF_ERROR(catalog.Apply(pointers));
  return catalog.FoldLog();
}

}  // namespace

Status CompareCatalogWithLog(DiskSet& disks, Catalog& live, std::vector<Finding>& findings) {
  const DiskLabel label = disks.label();
  ASSIGN_OR_RETURN(const ScratchDirectory scratch, ScratchDirectory::Create());
  ASSIGN_OR_RETURN(std::shared_ptr<Disk> disk,
                   OpenPosixDisk(scratch.path(), DiskAccess::kReadWrite));
  ASSIGN_OR_RETURN(const auto rebuilt,
                   Catalog::Create(disk, {label.volume_uuid, label.catalog_generation}, {}));
  ASSIGN_OR_RETURN(const JournalContents journal, ReadJournal(disks, label.volume_uuid));
  if (journal.checkpoint.has_value()) {
    const Status replayed = ReplayChain(
        disks, label.volume_uuid, *journal.checkpoint, Lsn{},
        [&](std::vector<Change>& changes) -> Status { return ApplyAll(*rebuilt, changes); });
    if (!replayed.ok()) {
      findings.push_back(
          {.kind = FindingKind::kCatalogDisagrees,
           .severity = Severity::kLost,
           .disk = {},
           .stripe = {},
           .what = "the catalog could not be made anew from the log: " + replayed.error().message(),
           .next_step = "mend the disks first; then check again"});
      return {};
    }
  }
  RETURN_IF_ERROR(ApplyAll(*rebuilt, journal.changes));
  ASSIGN_OR_RETURN(const std::uint64_t expected, rebuilt->ComputeDigest());
  ASSIGN_OR_RETURN(const std::uint64_t found, live.ComputeDigest());
  if (expected == found && rebuilt->applied_lsn() == live.applied_lsn()) return {};
  findings.push_back({.kind = FindingKind::kCatalogDisagrees,
                      .severity = Severity::kLost,
                      .disk = label.catalog_slot,
                      .stripe = {},
                      .what = "the catalog (up to change " +
                              std::to_string(live.applied_lsn().value) +
                              ") is not what checkpoints and journal (up to change " +
                              std::to_string(rebuilt->applied_lsn().value) + ") say",
                      .next_step = "remove " + std::string(kCatalogObject) +
                                   " from its disk and check again: it is made anew from the log"});
  return {};
}

}  // namespace varve
