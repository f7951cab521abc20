#include "tools/fsck_run.h"

#include <algorithm>
#include <boost/filesystem.hpp>
#include <mutex>
#include <utility>

#include "store/disk/overlay_disk.h"
#include "store/repair/repairer.h"
#include "store/volume/volume.h"
#include "tools/find_disks.h"
#include "tools/fsck_catalog.h"
#include "tools/fsck_report.h"
#include "tools/scratch_directory.h"

namespace varve {
namespace {

std::string Canonical(const std::string& path) {
  boost::system::error_code failed;
  const auto canonical = boost::filesystem::weakly_canonical(path, failed);
  return failed ? path : canonical.string();
}

Result<DiskIndex> FindSlot(const DiskLabel& label, const std::string& name) {
  const auto uuid = Uuid::Parse(name);
  const bool is_number = !name.empty() && name.size() <= 2 &&
                         std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  for (std::size_t i = 0; i < label.slots.size(); ++i) {
    const SlotRecord& slot = label.slots[i];
    const bool same = is_number ? static_cast<std::size_t>(std::stoi(name)) == i
                      : uuid.ok()
                          ? slot.disk_uuid == *uuid
                          : slot.last_path == name || Canonical(slot.last_path) == Canonical(name);
    if (same) return DiskIndex(static_cast<std::uint8_t>(i));
  }
  std::string known;
  for (const SlotRecord& slot : label.slots) known += (known.empty() ? "" : ", ") + slot.last_path;
  return Error(ErrorCode::kInvalidArgument,
               "--replace: the volume has no disk '" + name + "'; its disks are " + known);
}

Finding DiskFinding(const DiskStatus& disk, std::string what) {
  return {
      .kind = disk.state == DiskState::kStale ? FindingKind::kDiskStale : FindingKind::kDiskMissing,
      .severity = Severity::kRepairable,
      .disk = disk.slot,
      .stripe = {},
      .what = "disk " + std::to_string(disk.slot.value) + " (" + disk.path + ") was " +
              std::string(ToString(disk.state)) + std::move(what),
      .next_step = ""};
}

// One run of fsck over one volume, step by step.
class FsckRun {
 public:
  FsckRun(const FsckOptions& options, Io& io, const FsckPrompt& ask,
          const std::atomic<bool>& interrupted)
      : options_(options),
        io_(io),
        ask_(ask),
        interrupted_(interrupted),
        meter_(io.err, io.err_is_terminal) {}

  // The exit status; an error is an operational one.
  Result<int> Run() {
    RETURN_IF_ERROR(OpenDisks());
    RETURN_IF_ERROR(ChangeMembers());
    if (declined_) return Conclude();
    RETURN_IF_ERROR(OpenVolume());
    RETURN_IF_ERROR(CheckAndMend());
    return Conclude();
  }

 private:
  bool dry_run() const { return options_.mode == FsckOptions::Mode::kDryRun; }
  bool text() const { return options_.output == FsckOptions::Output::kText; }

  void Say(const std::string& line) {
    report_.steps.push_back(line);
    meter_.Clear();
    if (text()) io_.out << line << std::endl;
  }

  Result<std::unique_ptr<Disk>> OpenOne(const std::string& path) {
    ASSIGN_OR_RETURN(
        auto disk, OpenPosixDisk(path, dry_run() ? DiskAccess::kReadOnly : DiskAccess::kReadWrite));
    return Wrap(std::move(disk));
  }

  // In a dry run all that is written, by recovery for one, stays in memory.
  std::unique_ptr<Disk> Wrap(std::unique_ptr<Disk> disk) const {
    if (!dry_run()) return disk;
    return std::make_unique<OverlayDisk>(std::move(disk));
  }

  Status OpenDisks() {
    ASSIGN_OR_RETURN(
        FoundDisks found,
        FindDisks(options_.disks, dry_run() ? DiskAccess::kReadOnly : DiskAccess::kReadWrite));
    std::vector<std::unique_ptr<Disk>> disks;
    for (auto& disk : found.disks) disks.push_back(Wrap(std::move(disk)));
    ASSIGN_OR_RETURN(disks_, DiskSet::Assemble(std::move(disks)));
    report_.label = disks_->label();
    return {};
  }

  // --- Who belongs to the volume ---

  bool Ask(const std::string& question) {
    if (options_.mode != FsckOptions::Mode::kAsk) return true;
    meter_.Clear();
    return ask_(question);
  }

  Status ChangeMembers() {
    for (const FsckOptions::Replacement& replacement : options_.replacements) {
      RETURN_IF_ERROR(Replace(replacement));
    }
    for (const DiskStatus& disk : disks_->Report()) {
      if (disk.state == DiskState::kStale) RETURN_IF_ERROR(TakeBack(disk));
    }
    // To go on without a disk is written on the others, and what it holds becomes stale.
    const DiskLabel label = disks_->label();
    for (const DiskStatus& disk : disks_->Report()) {
      if (disk.state == DiskState::kOnline) continue;
      const bool known = label.slots[disk.slot.value].state == SlotState::kFailed;
      const std::string name = "disk " + std::to_string(disk.slot.value) + " (" + disk.path + ")";
      Say(name + " is " + std::string(ToString(disk.state)) +
          (disk.reason.empty() ? "" : ": " + disk.reason));
      if (!known && !Ask("Go on without " + name + "?")) declined_ = true;
    }
    return {};
  }

  Status Replace(const FsckOptions::Replacement& replacement) {
    ASSIGN_OR_RETURN(const DiskIndex slot, FindSlot(disks_->label(), replacement.old_disk));
    const DiskStatus before = disks_->Report()[slot.value];
    if (before.state == DiskState::kOnline) {
      return Error(ErrorCode::kBusy, "--replace: disk " + std::to_string(slot.value) + " (" +
                                         before.path + ") is there and works; take it away first");
    }
    ASSIGN_OR_RETURN(auto disk, OpenNew(replacement.new_path));
    const Status replaced = disks_->Replace(slot, std::move(disk));
    if (!replaced.ok()) return replaced.error().In("replacing " + before.path);
    const std::string what = replacement.new_path + " takes the place of disk " +
                             std::to_string(slot.value) + " (" + before.path + ")";
    Say(what);
    report_.corrected.push_back(DiskFinding(before, "; " + what));
    return {};
  }

  Result<std::unique_ptr<Disk>> OpenNew(const std::string& path) {
    boost::system::error_code failed;
    if (boost::filesystem::exists(path, failed)) return OpenOne(path);
    if (dry_run()) {
      // Something empty that can be read, in place of what would be created.
      ASSIGN_OR_RETURN(auto scratch, ScratchDirectory::Create());
      scratch_.push_back(std::make_unique<ScratchDirectory>(std::move(scratch)));
      return OpenOne(scratch_.back()->path());
    }
    if (!boost::filesystem::create_directory(path, failed) || failed) {
      return Error::FromErrno(failed.value(), "creating " + path);
    }
    return OpenOne(path);
  }

  Status TakeBack(const DiskStatus& disk) {
    if (!Ask("Disk " + std::to_string(disk.slot.value) + " (" + disk.path +
             ") has fallen behind (" + disk.reason + "). Take it back?")) {
      return {};
    }
    const Status taken = disks_->Rejoin(disk.slot);
    if (!taken.ok()) {
      Say("disk " + std::to_string(disk.slot.value) + " (" + disk.path +
          ") cannot be taken back: " + taken.error().message());
      return {};
    }
    Say("disk " + std::to_string(disk.slot.value) + " (" + disk.path +
        ") is taken back; what it lacks is mended");
    report_.corrected.push_back(DiskFinding(disk, " (" + disk.reason + "); it is taken back"));
    return {};
  }

  // --- Opening: recovery, as for a mount ---

  void TakeRecoveryFinding(const Finding& finding) {
    std::lock_guard lock(mutex_);
    switch (finding.kind) {
      // The check finds these for itself.
      case FindingKind::kDiskMissing:
      case FindingKind::kDiskStale:
      case FindingKind::kFragmentMissing:
      case FindingKind::kFragmentCorrupt:
      case FindingKind::kExtentUnreadable:
        return;
      default:
        break;
    }
    // Recovery writes the journal anew and makes the catalog good: what it tells of is mended.
    (finding.severity == Severity::kNote ? report_.notes : report_.corrected).push_back(finding);
  }

  // Volume::Open recovers, Close leaves everything in stripes and in the catalog. After that nobody
  // but this thread works on the disks.
  Status OpenVolume() {
    VolumeOptions volume_options;
    volume_options.findings = [this](const Finding& finding) { TakeRecoveryFinding(finding); };
    auto opened = Volume::Open(std::move(disks_), volume_options,
                               [this](const std::string& line) { Say(line); });
    if (!opened.ok()) return opened.error().In("opening the volume");
    volume_ = *std::move(opened);
    const Status closed = volume_->Close();
    if (!closed.ok()) return closed.error().In("settling the volume");

    DiskSet& disks = volume_->disks();
    const DiskLabel label = disks.label();
    const std::shared_ptr<Disk> disk = disks.online(label.catalog_slot);
    if (disk == nullptr) return Error(ErrorCode::kDiskLost, "the disk of the catalog has failed");
    auto catalog = Catalog::Open(disk, {label.volume_uuid, label.catalog_generation}, {});
    if (!catalog.ok()) return catalog.error().In("opening the catalog");
    catalog_ = *std::move(catalog);
    reader_ = std::make_unique<StripeReader>(
        disks, label.volume_uuid, [this](StripeId id) { return Locate(id); },
        [](const Finding&) {});
    return {};
  }

  Result<std::shared_ptr<const StripeLocation>> Locate(StripeId id) {
    ASSIGN_OR_RETURN(auto stripe, catalog_->GetStripe(id));
    ASSIGN_OR_RETURN(auto segment, catalog_->GetSegment(id.segment()));
    if (!stripe.has_value() || !segment.has_value()) {
      return Error(ErrorCode::kNotFound,
                   "stripe " + std::to_string(id.value) + " is not in the catalog");
    }
    return std::make_shared<const StripeLocation>(
        StripeLocation{*std::move(segment), *std::move(stripe)});
  }

  // --- Checking and mending ---

  Status CheckAndMend() {
    const RepairContext context{volume_->disks(), *catalog_, *reader_};
    CheckOptions check_options;
    check_options.depth = options_.depth;
    check_options.compare_catalog = [&](std::vector<Finding>& findings) {
      return CompareCatalogWithLog(context.disks, context.catalog, findings);
    };
    check_options.progress = [this](const RepairProgress& progress) { meter_.Show(progress); };
    check_options.cancel = &interrupted_;
    ASSIGN_OR_RETURN(report_.check, Check(context, check_options));
    meter_.Clear();
    for (const Finding& finding : report_.check->findings) {
      if (finding.severity == Severity::kNote) report_.notes.push_back(finding);
    }
    if (report_.check->cancelled) return {};

    ASSIGN_OR_RETURN(const RepairPlan plan, MakePlan(context, *report_.check));
    report_.plan = plan.Lines();
    report_.left = plan.left;
    // What recovery did in memory only has not been done.
    if (dry_run()) {
      report_.left.insert(report_.left.begin(), report_.corrected.begin(), report_.corrected.end());
      report_.corrected.clear();
    }
    if (text()) PrintFsckFindings(report_, io_.out);
    if (plan.IsEmpty() || dry_run()) return {};
    if (!Ask("Carry this out?")) {
      declined_ = true;
      return {};
    }
    RepairOptions repair_options;
    repair_options.progress = check_options.progress;
    repair_options.cancel = &interrupted_;
    ASSIGN_OR_RETURN(report_.outcome, CarryOut(context, plan, repair_options));
    meter_.Clear();
    report_.left.insert(report_.left.end(), report_.outcome->findings.begin(),
                        report_.outcome->findings.end());
    return {};
  }

  int ExitStatus() const {
    const bool cancelled = (report_.check.has_value() && report_.check->cancelled) ||
                           (report_.outcome.has_value() && report_.outcome->cancelled);
    if (cancelled) return kFsckCancelled;
    const bool damaged = report_.check.has_value() && report_.check->HasErrors();
    const bool found = damaged || !report_.corrected.empty() || !report_.left.empty();
    if (dry_run() && found) return kFsckUncorrected;
    if (declined_ || !report_.left.empty() ||
        (report_.check.has_value() && !report_.check->lost.empty()) ||
        (report_.outcome.has_value() && report_.outcome->fragments_not_mended != 0)) {
      return kFsckUncorrected;
    }
    if (damaged && !report_.outcome.has_value()) return kFsckUncorrected;
    return found ? kFsckCorrected : kFsckOk;
  }

  std::string Summary(int status) const {
    switch (status) {
      case kFsckOk:
        return "clean";
      case kFsckCorrected:
        return "errors corrected";
      case kFsckCancelled:
        return "cancelled; run it again, nothing is half done";
      default:
        break;
    }
    if (report_.check.has_value() && !report_.check->lost.empty()) {
      return "data lost; the versions are named above";
    }
    if (dry_run())
      return "errors found, nothing was changed; varve fsck -y mends what can be mended";
    return "errors left uncorrected";
  }

  int Conclude() {
    reader_.reset();
    catalog_.reset();
    DiskSet& disks = volume_ != nullptr ? volume_->disks() : *disks_;
    report_.label = disks.label();
    report_.disks = disks.Report();
    report_.exit_status = ExitStatus();
    report_.summary = Summary(report_.exit_status);
    if (text()) {
      PrintFsckOutcome(report_, io_.out);
    } else {
      PrintFsckJson(report_, io_.out);
    }
    return report_.exit_status;
  }

  const FsckOptions& options_;
  Io& io_;
  const FsckPrompt& ask_;
  const std::atomic<bool>& interrupted_;
  ProgressMeter meter_;
  std::mutex mutex_;  // of report_'s findings while the volume's threads run
  FsckReport report_;
  bool declined_ = false;
  std::vector<std::unique_ptr<ScratchDirectory>> scratch_;
  std::unique_ptr<DiskSet> disks_;
  std::unique_ptr<Volume> volume_;  // takes disks_
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<StripeReader> reader_;
};

}  // namespace

Result<int> CheckVolume(const FsckOptions& options, Io& io, const FsckPrompt& ask,
                        const std::atomic<bool>& interrupted) {
  return FsckRun(options, io, ask, interrupted).Run();
}

}  // namespace varve
