#include "store/log/column_reader.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "store/base/aligned_bytes.h"
#include "store/codec/checksum.h"
#include "store/log/fragment.h"

namespace varve {
namespace {

constexpr std::size_t kOpenFileLimit = 192;  // of two descriptors each
// Fragments remembered as reported; beyond it the memory starts anew and some are reported again.
constexpr std::size_t kReportedLimit = 100'000;

}  // namespace

ColumnReader::ColumnReader(DiskSet& disks, const Uuid& volume_uuid, FindingSink findings)
    : disks_(disks),
      volume_uuid_(volume_uuid),
      findings_(std::move(findings)),
      files_(disks, kOpenFileLimit) {}

MutableByteSpan ColumnReader::RunBuffer() {
  thread_local const AlignedBytes buffer = MakeAlignedBytes(kMaxFragmentBytes);
  return {buffer.get(), kMaxFragmentBytes};
}

Status ColumnReader::ReadRange(const StripeLocation& location, int column, std::uint64_t offset,
                               MutableByteSpan out) {
  const DiskIndex slot = DiskOfColumn(location, column);
  const SegmentId segment = location.segment.id;
  ASSIGN_OR_RETURN(const auto file, files_.Open(slot, segment));
  const auto read = file->Read(location.stripe.file_offset + offset, out);
  if (!read.ok()) {
    // The handle may be what is broken.
    files_.Forget(slot, segment);
    return read.error();
  }
  if (*read != out.size()) {
    return Error(ErrorCode::kNotFound,
                 fmt::format("{} ends before it", SegmentObjectName(segment)));
  }
  return {};
}

Status ColumnReader::CheckFragment(const StripeLocation& location, int column, ByteSpan header,
                                   ByteSpan payload) const {
  const StripeDescriptor& stripe = location.stripe;
  RETURN_IF_ERROR(CheckFragmentHeader(volume_uuid_, stripe, column, header));
  if (Checksum(payload) == stripe.checksums[static_cast<std::size_t>(column)]) return {};
  return Error(ErrorCode::kCorrupt, "payload fails its checksum");
}

Status ColumnReader::ReadFragment(const StripeLocation& location, int column,
                                  MutableByteSpan fragment) {
  RETURN_IF_ERROR(ReadRange(location, column, 0, fragment));
  return CheckFragment(location, column, fragment.first(kFragmentHeaderBytes),
                       fragment.subspan(kFragmentHeaderBytes));
}

Status ColumnReader::VerifyFragment(const StripeLocation& location, int column) {
  return ReadFragment(location, column, RunBuffer().first(location.stripe.fragment_bytes));
}

void ColumnReader::Report(const StripeLocation& location, int column, const Error& error) {
  if (error.code() == ErrorCode::kDiskLost) return;
  const DiskIndex slot = DiskOfColumn(location, column);
  const DiskLabel label = disks_.label();
  if (slot.value < label.slots.size() && label.slots[slot.value].state == SlotState::kRebuilding) {
    return;
  }
  const StripeId stripe = location.stripe.id;
  {
    // Known by a hash of stripe and column: a collision would at worst keep one report back.
    const std::uint64_t parts[] = {stripe.value, static_cast<std::uint64_t>(column)};
    const std::uint64_t key = Checksum(std::as_bytes(std::span(parts)));
    auto known = reported_.Lock();
    if (known->size() >= kReportedLimit) known->clear();
    if (!known->insert(key).second) return;
  }
  Finding finding;
  finding.kind = error.code() == ErrorCode::kCorrupt ? FindingKind::kFragmentCorrupt
                                                     : FindingKind::kFragmentMissing;
  finding.severity = Severity::kRepairable;
  finding.disk = slot;
  finding.stripe = stripe;
  finding.column = static_cast<std::uint8_t>(column);
  finding.what = fmt::format("disk {}: {}: fragment of stripe {:x} column {} at offset {}: {}",
                             slot.value, SegmentObjectName(location.segment.id), stripe.value,
                             column, location.stripe.file_offset, error.message());
  finding.next_step = "run varve fsck -y";
  findings_(finding);
}

bool ColumnReader::IsWhole(const StripeLocation& location) const {
  for (int c = 0; c < location.stripe.data; ++c) {
    if (disks_.online(DiskOfColumn(location, c)) == nullptr) return false;
  }
  return true;
}

}  // namespace varve
