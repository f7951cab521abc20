#include "store/repair/plan.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>

namespace varve {
namespace {

std::string FormatBytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

bool IsMendedByPlan(const RepairPlan& plan, const std::set<DiskIndex>& online,
                    const Finding& finding) {
  if (finding.severity != Severity::kRepairable) return false;
  switch (finding.kind) {
    case FindingKind::kFragmentCorrupt:
    case FindingKind::kFragmentMissing:
      return !plan.IsEmpty() && finding.disk.has_value() && online.contains(*finding.disk);
    default:
      return false;
  }
}

// Keeps of the stripe's bad columns those that can be written, and counts them.
Result<std::uint64_t> WritableColumns(const RepairContext& context, const BadStripe& stripe,
                                      const std::set<DiskIndex>& online, RepairPlan& plan) {
  ASSIGN_OR_RETURN(const auto descriptor, context.catalog.GetStripe(stripe.id));
  ASSIGN_OR_RETURN(const auto segment, context.catalog.GetSegment(stripe.id.segment()));
  if (!descriptor.has_value() || !segment.has_value()) return std::uint64_t{0};
  const StripeLocation location{*segment, *descriptor};
  if (!IsSane(location, context.disks.size())) return std::uint64_t{0};
  std::uint64_t columns = 0;
  for (int column = 0; column < descriptor->columns(); ++column) {
    if ((stripe.columns >> column & 1) == 0) continue;
    if (!online.contains(DiskOfColumn(location, column))) continue;
    columns |= std::uint64_t{1} << column;
    const DiskIndex slot = DiskOfColumn(location, column);
    if (std::ranges::find(plan.rebuilds, slot, &RepairPlan::Rebuild::slot) != plan.rebuilds.end()) {
      continue;
    }
    ++plan.mend_fragments;
    plan.mend_bytes += descriptor->fragment_bytes;
  }
  return columns;
}

}  // namespace

Result<RepairPlan> MakePlan(const RepairContext& context, const CheckReport& report) {
  RepairPlan plan;
  const std::vector<DiskIndex> online_slots = context.disks.OnlineSlots();
  const std::set<DiskIndex> online(online_slots.begin(), online_slots.end());
  std::map<DiskIndex, std::string> paths;
  for (const DiskStatus& disk : context.disks.Report()) paths[disk.slot] = disk.path;

  for (const SlotDamage& slot : report.slots) {
    if (!online.contains(slot.slot) || !(slot.whole || slot.rebuilding)) continue;
    plan.rebuilds.push_back({.slot = slot.slot,
                             .path = paths[slot.slot],
                             .scope = slot.whole ? RepairPlan::Rebuild::Scope::kEverything
                                                 : RepairPlan::Rebuild::Scope::kListed,
                             .fragments = slot.bad_fragments,
                             .bytes = slot.bad_bytes});
  }
  for (const BadStripe& stripe : report.mendable) {
    ASSIGN_OR_RETURN(const std::uint64_t columns, WritableColumns(context, stripe, online, plan));
    if (columns != 0) plan.mends.push_back({stripe.id, columns, stripe.damaged});
  }
  for (const Finding& finding : report.findings) {
    if (finding.severity == Severity::kNote || IsMendedByPlan(plan, online, finding)) continue;
    plan.left.push_back(finding);
  }
  return plan;
}

std::vector<std::string> RepairPlan::Lines() const {
  std::vector<std::string> lines;
  for (const Rebuild& rebuild : rebuilds) {
    lines.push_back("rebuild disk " + std::to_string(rebuild.slot.value) + " (" + rebuild.path +
                    "): " + std::to_string(rebuild.fragments) + " fragments, " +
                    FormatBytes(rebuild.bytes));
  }
  if (mend_fragments != 0) {
    lines.push_back("write " + std::to_string(mend_fragments) + " bad fragment" +
                    (mend_fragments == 1 ? "" : "s") + " anew, " + FormatBytes(mend_bytes));
  }
  return lines;
}

}  // namespace varve
