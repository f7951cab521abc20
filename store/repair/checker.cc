#include "store/repair/checker.h"

#include <algorithm>

#include "store/repair/check_log.h"
#include "store/repair/fragment_scan.h"
#include "store/repair/parity_scan.h"
#include "store/repair/reference_scan.h"

namespace varve {
namespace {

void NoteDisks(const RepairContext& context, CheckLog& log) {
  for (const DiskStatus& disk : context.disks.Report()) {
    if (disk.state == DiskState::kOnline) continue;
    const bool stale = disk.state == DiskState::kStale;
    log.Add({.kind = stale ? FindingKind::kDiskStale : FindingKind::kDiskMissing,
             .severity = Severity::kRepairable,
             .disk = disk.slot,
             .stripe = {},
             .what = "disk " + std::to_string(disk.slot.value) + " (" + disk.path + ") is " +
                     std::string(ToString(disk.state)) +
                     (disk.reason.empty() ? "" : ": " + disk.reason),
             .next_step = stale ? "varve fsck -y takes it back and mends what it lacks"
                                : "name its new place, or varve fsck -y --replace " + disk.path +
                                      "=NEW with an empty directory"});
  }
}

Status CheckCatalog(const RepairContext& context, CheckLog& log) {
  log.BeginPhase("checking the catalog", 0);
  ASSIGN_OR_RETURN(const std::vector<std::string> problems, context.catalog.CheckIntegrity());
  for (const std::string& problem : problems) {
    log.Add({.kind = FindingKind::kCatalogCorrupt,
             .severity = Severity::kLost,
             .disk = context.disks.label().catalog_slot,
             .stripe = {},
             .what = "catalog: " + problem,
             .next_step = "remove the catalog's object from its disk and check again: it is made "
                          "anew from the log"});
  }
  return {};
}

}  // namespace

bool CheckReport::HasErrors() const {
  const auto is_error = [](const Finding& f) { return f.severity != Severity::kNote; };
  return bad_fragments != 0 || !slots.empty() || !lost.empty() ||
         std::ranges::any_of(findings, is_error);
}

Result<CheckReport> Check(const RepairContext& context, const CheckOptions& options) {
  CheckReport report;
  CheckLog log(options, report);
  const bool deep = options.depth == CheckDepth::kDeep;
  NoteDisks(context, log);
  RETURN_IF_ERROR(CheckCatalog(context, log));
  RETURN_IF_ERROR(ScanFragments(context, log, report));
  if (!log.Cancelled()) RETURN_IF_ERROR(NoteOrphans(context, log));
  if (!log.Cancelled()) RETURN_IF_ERROR(ScanReferences(context, options, log, report));
  if (deep && !log.Cancelled()) RETURN_IF_ERROR(ScanParity(context, log));
  if (deep && !log.Cancelled() && options.compare_catalog) {
    log.BeginPhase("comparing the catalog with the log", 0);
    std::vector<Finding> findings;
    RETURN_IF_ERROR(options.compare_catalog(findings));
    for (Finding& finding : findings) log.Add(std::move(finding));
  }
  report.cancelled = log.Cancelled();
  return report;
}

}  // namespace varve
