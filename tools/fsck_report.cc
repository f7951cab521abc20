#include "tools/fsck_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/text.h"

namespace varve {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLines = 40;  // of one kind, on a page for people

std::string_view ToString(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kRepairable:
      return "repairable";
    case Severity::kLost:
      return "lost";
  }
  return "unknown";
}

std::string Duration(std::int64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", (seconds + 59) / 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
}

void PrintFinding(const Finding& finding, std::ostream& out) {
  out << "  " << finding.what << "\n";
  if (!finding.next_step.empty()) out << "      next: " << finding.next_step << "\n";
}

// Findings that say the same next step are told it once.
void PrintFindings(std::string_view title, const std::vector<Finding>& findings,
                   std::ostream& out) {
  if (findings.empty()) return;
  out << title << "\n";
  for (std::size_t i = 0; i < findings.size(); ++i) {
    if (i == kMaxLines) {
      out << "  ... and " << findings.size() - i << " more (--json lists them)\n";
      return;
    }
    Finding finding = findings[i];
    if (i + 1 < findings.size() && i + 1 < kMaxLines &&
        findings[i + 1].next_step == finding.next_step) {
      finding.next_step.clear();
    }
    PrintFinding(finding, out);
  }
}

void PrintVersions(std::string_view title, const std::vector<DamagedVersion>& versions,
                   std::size_t limit, std::ostream& out) {
  if (versions.empty()) return;
  out << title << "\n";
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (i == limit) {
      out << "  ... and " << versions.size() - i << " more (--json lists them)\n";
      return;
    }
    out << "  " << ForTerminal(versions[i].ToString()) << "\n";
  }
}

std::string VolumeLine(const DiskLabel& label) {
  return fmt::format("volume {}{}, {}+{} on {} disks", label.volume_uuid.ToString(),
                     label.volume_name.empty() ? "" : " '" + label.volume_name + "'",
                     label.geometry.data, label.geometry.parity, label.slots.size());
}

void PrintCheck(const CheckReport& check, std::ostream& out) {
  out << "checked: " << Count(check.fragments, "fragment") << " in "
      << Count(check.stripes, "stripe") << ", " << FormatBytes(check.checked_bytes) << "; "
      << Count(check.extents, "extent") << "; " << Count(check.bad_fragments, "bad fragment")
      << "\n";
  std::vector<Finding> damage;
  for (const Finding& finding : check.findings) {
    // Disks are told among what is left.
    const bool told_elsewhere =
        finding.kind == FindingKind::kDiskMissing || finding.kind == FindingKind::kDiskStale;
    if (finding.severity != Severity::kNote && !told_elsewhere) damage.push_back(finding);
  }
  PrintFindings("damage:", damage, out);
  if (check.findings_not_kept != 0) {
    out << "  ... and " << check.findings_not_kept << " more\n";
  }
  PrintVersions("files hurt (whole, but less protected than promised until mended):", check.hurt,
                kMaxLines, out);
  if (check.hurt_not_named != 0) {
    out << "  ... and extents of more files: " << check.hurt_not_named << "\n";
  }
  // The exact list is a promise: it is never cut short.
  PrintVersions("versions LOST (bytes of them cannot be had):", check.lost, check.lost.size(), out);
}

json ToJson(const Finding& finding) {
  json object = {{"kind", std::string(ToString(finding.kind))},
                 {"severity", std::string(ToString(finding.severity))},
                 {"what", finding.what},
                 {"next_step", finding.next_step}};
  if (finding.disk.has_value()) object["disk"] = finding.disk->value;
  if (finding.stripe) {
    object["stripe"] = finding.stripe.value;
    object["column"] = finding.column;
  }
  return object;
}

json ToJson(const std::vector<Finding>& findings) {
  json array = json::array();
  for (const Finding& finding : findings) array.push_back(ToJson(finding));
  return array;
}

json ToJson(const std::vector<DamagedVersion>& versions) {
  json array = json::array();
  for (const DamagedVersion& version : versions) {
    array.push_back({{"path", version.path},
                     {"time", FormatUtc(version.time_ns)},
                     {"lsn", version.lsn.value},
                     {"inode", version.inode.value}});
  }
  return array;
}

json ToJson(const CheckReport& check) {
  return {{"segments", check.segments},         {"stripes", check.stripes},
          {"fragments", check.fragments},       {"bytes", check.checked_bytes},
          {"extents", check.extents},           {"bad_fragments", check.bad_fragments},
          {"findings", ToJson(check.findings)}, {"findings_not_listed", check.findings_not_kept},
          {"hurt", ToJson(check.hurt)},         {"hurt_extents_not_listed", check.hurt_not_named},
          {"lost", ToJson(check.lost)},         {"cancelled", check.cancelled}};
}

}  // namespace

std::string_view ToString(FindingKind kind) {
  switch (kind) {
    case FindingKind::kDiskMissing:
      return "disk-missing";
    case FindingKind::kDiskStale:
      return "disk-stale";
    case FindingKind::kFragmentMissing:
      return "fragment-missing";
    case FindingKind::kFragmentCorrupt:
      return "fragment-corrupt";
    case FindingKind::kParityMismatch:
      return "parity-mismatch";
    case FindingKind::kExtentUnreadable:
      return "extent-unreadable";
    case FindingKind::kCatalogMissing:
      return "catalog-missing";
    case FindingKind::kCatalogCorrupt:
      return "catalog-corrupt";
    case FindingKind::kCatalogDisagrees:
      return "catalog-disagrees";
    case FindingKind::kJournalReplicaBad:
      return "journal-replica-bad";
    case FindingKind::kJournalUnclean:
      return "journal-unclean";
    case FindingKind::kOrphanFile:
      return "orphan-file";
  }
  return "unknown";
}

void PrintFsckFindings(const FsckReport& report, std::ostream& out) {
  PrintFindings("corrected:", report.corrected, out);
  PrintFindings("notes:", report.notes, out);
  if (report.check.has_value()) PrintCheck(*report.check, out);
  if (!report.plan.empty()) {
    out << "plan:\n";
    for (const std::string& line : report.plan) out << "  " << line << "\n";
  }
}

void PrintFsckOutcome(const FsckReport& report, std::ostream& out) {
  if (report.outcome.has_value()) {
    const RepairOutcome& outcome = *report.outcome;
    out << "mended: " << Count(outcome.fragments_written, "fragment") << ", "
        << FormatBytes(outcome.bytes_written) << "; " << outcome.fragments_already_good
        << " were good already; " << outcome.fragments_not_mended << " could not be mended\n";
    for (const DiskIndex slot : outcome.rebuilt) {
      out << fmt::format("disk {} holds its full part again\n", slot.value);
    }
  }
  PrintFindings("left uncorrected:", report.left, out);
  out << VolumeLine(report.label) << ": " << report.summary << "\n";
}

void PrintFsckJson(const FsckReport& report, std::ostream& out) {
  json disks = json::array();
  for (const DiskStatus& disk : report.disks) {
    disks.push_back({{"disk", disk.slot.value},
                     {"uuid", disk.uuid.ToString()},
                     {"state", std::string(varve::ToString(disk.state))},
                     {"path", disk.path},
                     {"reason", disk.reason}});
  }
  json object = {{"volume", report.label.volume_uuid.ToString()},
                 {"name", report.label.volume_name},
                 {"data", report.label.geometry.data},
                 {"parity", report.label.geometry.parity},
                 {"disks", disks},
                 {"steps", report.steps},
                 {"corrected", ToJson(report.corrected)},
                 {"notes", ToJson(report.notes)},
                 {"left", ToJson(report.left)},
                 {"plan", report.plan},
                 {"summary", report.summary},
                 {"exit_status", report.exit_status}};
  if (report.check.has_value()) object["check"] = ToJson(*report.check);
  if (report.outcome.has_value()) {
    const RepairOutcome& outcome = *report.outcome;
    json rebuilt = json::array();
    for (const DiskIndex slot : outcome.rebuilt) rebuilt.push_back(slot.value);
    object["repair"] = {{"fragments_written", outcome.fragments_written},
                        {"bytes_written", outcome.bytes_written},
                        {"fragments_already_good", outcome.fragments_already_good},
                        {"fragments_not_mended", outcome.fragments_not_mended},
                        {"rebuilt_disks", rebuilt},
                        {"findings", ToJson(outcome.findings)},
                        {"cancelled", outcome.cancelled}};
  }
  // Paths are bytes and need not be UTF-8.
  out << object.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
}

void ProgressMeter::Show(const RepairProgress& progress) {
  using namespace std::chrono_literals;
  const Time now = std::chrono::steady_clock::now();
  std::lock_guard lock(mutex_);
  const bool new_phase = phase_ != progress.phase;
  if (new_phase) {
    phase_ = progress.phase;
    phase_began_ = now;
    // A short phase needs no line of its own in a log.
    if (!terminal_) shown_ = now;
  }
  if (now - shown_ < (terminal_ ? 100ms : 5000ms) && !(new_phase && terminal_)) return;
  shown_ = now;
  std::string line = Line(progress, now);
  if (!terminal_) {
    out_ << line << std::endl;
    return;
  }
  const std::size_t width = line.size();
  if (width < width_) line.append(width_ - width, ' ');
  width_ = width;
  out_ << '\r' << line << std::flush;
}

void ProgressMeter::Clear() {
  std::lock_guard lock(mutex_);
  if (width_ == 0) return;
  out_ << '\r' << std::string(width_, ' ') << '\r' << std::flush;
  width_ = 0;
}

std::string ProgressMeter::Line(const RepairProgress& progress, Time now) const {
  if (progress.total_bytes == 0) {
    return progress.done_bytes == 0
               ? fmt::format("{} ...", phase_)
               : fmt::format("{}: {}", phase_, FormatBytes(progress.done_bytes));
  }
  const double part = std::min(
      1.0, static_cast<double>(progress.done_bytes) / static_cast<double>(progress.total_bytes));
  const std::chrono::duration<double> spent = now - phase_began_;
  std::string left;
  if (part > 0.01 && spent.count() > 1) {
    left = ", " + Duration(static_cast<std::int64_t>(spent.count() * (1 - part) / part)) + " left";
  }
  constexpr std::size_t kBarWidth = 24;
  const auto filled = static_cast<std::size_t>(part * kBarWidth);
  const std::string bar =
      terminal_ ? " [" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "]" : "";
  return fmt::format("{}{} {:3.0f}%  {} of {}{}", phase_, bar, part * 100,
                     FormatBytes(progress.done_bytes), FormatBytes(progress.total_bytes), left);
}

}  // namespace varve
