#include "store/catalog/vfs_pages.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "store/catalog/disk_vfs.h"
#include "store/codec/checksum.h"

namespace varve {
namespace {

// SQLite's file format: smallest page; header of a frame of the log.
constexpr std::size_t kSmallestPageBytes = 512;
constexpr std::uint64_t kFrameHeaderBytes = 24;
constexpr std::uint64_t kFrameBytes = kFrameHeaderBytes + kCatalogPageBytes;

Error BadPage(std::uint64_t number) {
  return Error(ErrorCode::kCorrupt,
               "page " + std::to_string(number) + " of the catalog fails its checksum");
}

}  // namespace

std::uint64_t ComputePageChecksum(ByteSpan page, std::uint64_t number) {
  return Checksum(page.first(page.size() - kPageChecksumBytes), number);
}

bool PageChecksumFits(ByteSpan page, std::uint64_t number) {
  if (page.size() != kCatalogPageBytes) return false;
  Decoder stored(page.last(kPageChecksumBytes));
  return stored.U64() == ComputePageChecksum(page, number);
}

Result<bool> ReadRaw(DiskFile& file, std::uint64_t offset, MutableByteSpan out) {
  ASSIGN_OR_RETURN(const std::size_t got, file.Read(offset, out));
  if (got >= out.size()) return true;
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(got), out.end(), std::byte{0});
  return false;
}

Result<bool> ReadPages(DiskFile& file, std::uint64_t offset, MutableByteSpan out) {
  if (out.size() < kSmallestPageBytes) return ReadRaw(file, offset, out);
  const std::uint64_t number = offset / kCatalogPageBytes + 1;
  const std::uint64_t within = offset % kCatalogPageBytes;
  if (within + out.size() > kCatalogPageBytes) return BadPage(number);
  std::array<std::byte, kCatalogPageBytes> buffer;
  const bool whole = out.size() == kCatalogPageBytes;
  const MutableByteSpan page = whole ? out : MutableByteSpan(buffer);
  ASSIGN_OR_RETURN(const bool complete, ReadRaw(file, offset - within, page));
  if (!complete) {
    // A database being born has no pages; later SQLite never asks for one that is not there.
    ASSIGN_OR_RETURN(const std::uint64_t size_bytes, file.Size());
    if (size_bytes != 0) return BadPage(number);
    std::fill(out.begin(), out.end(), std::byte{0});
    return false;
  }
  if (!PageChecksumFits(page, number)) return BadPage(number);
  if (!whole) std::memcpy(out.data(), page.data() + within, out.size());
  return true;
}

Status WritePage(DiskFile& file, std::uint64_t offset, ByteSpan page) {
  if (page.size() != kCatalogPageBytes || offset % kCatalogPageBytes != 0) {
    return Error(ErrorCode::kUnsupported, "a write to the catalog that is not one whole page");
  }
  Encoder sum;
  sum.U64(ComputePageChecksum(page, offset / kCatalogPageBytes + 1));
  std::array<std::byte, kCatalogPageBytes> buffer;
  std::memcpy(buffer.data(), page.data(), page.size() - kPageChecksumBytes);
  std::memcpy(buffer.data() + page.size() - kPageChecksumBytes, sum.bytes().data(),
              kPageChecksumBytes);
  return file.Write(offset, buffer);
}

namespace {

// The frame whose page begins at `offset`, if that is where one begins.
std::optional<std::uint64_t> FrameOfPage(std::uint64_t offset) {
  if (offset < kLogHeaderBytes + kFrameHeaderBytes) return std::nullopt;
  const std::uint64_t at = offset - kLogHeaderBytes - kFrameHeaderBytes;
  if (at % kFrameBytes != 0) return std::nullopt;
  return at / kFrameBytes;
}

}  // namespace

Result<bool> LogGuard::Read(DiskFile& file, std::uint64_t offset, MutableByteSpan out) {
  ASSIGN_OR_RETURN(const bool complete, ReadRaw(file, offset, out));
  // SQLite reads a page, or while recovering a frame, header included.
  const bool with_header = out.size() == kFrameBytes;
  if (!complete || (!with_header && out.size() != kCatalogPageBytes)) return complete;
  const auto frame = FrameOfPage(with_header ? offset + kFrameHeaderBytes : offset);
  if (!frame) return complete;
  const std::uint64_t sum = Checksum(out.last(kCatalogPageBytes), *frame);
  std::lock_guard lock(mutex_);
  if (*frame < sums_.size() && sums_[*frame].has_value()) {
    if (*sums_[*frame] == sum) return true;
    return Error(ErrorCode::kCorrupt, "frame " + std::to_string(*frame + 1) +
                                          " of the catalog's log is not what was written");
  }
  // While recovering, SQLite itself verifies what it is given here and uses no frame that fails.
  if (with_header) Keep(*frame, sum);
  return true;
}

Status LogGuard::Write(DiskFile& file, std::uint64_t offset, ByteSpan bytes) {
  const auto frame = bytes.size() == kCatalogPageBytes ? FrameOfPage(offset) : std::nullopt;
  {
    std::lock_guard lock(mutex_);
    if (frame) {
      Keep(*frame, Checksum(bytes, *frame));
    } else if (offset + bytes.size() > kLogHeaderBytes) {
      // A frame's header, or a page in parts: of the pages touched nothing is known any more.
      const std::uint64_t first =
          offset < kLogHeaderBytes ? 0 : (offset - kLogHeaderBytes) / kFrameBytes;
      const std::uint64_t last = (offset + bytes.size() - kLogHeaderBytes - 1) / kFrameBytes;
      const bool header_only = first == last && (offset - kLogHeaderBytes) % kFrameBytes == 0 &&
                               bytes.size() <= kFrameHeaderBytes && offset >= kLogHeaderBytes;
      for (std::uint64_t i = first; !header_only && i <= last; ++i) Keep(i, std::nullopt);
    }
    size_bytes_ = std::max(size_bytes_, offset + bytes.size());
  }
  return file.Write(offset, bytes);
}

Status LogGuard::Truncate(DiskFile& file, std::uint64_t size_bytes) {
  RETURN_IF_ERROR(file.Truncate(size_bytes));
  std::lock_guard lock(mutex_);
  size_bytes_ = size_bytes;
  const std::uint64_t frames =
      size_bytes <= kLogHeaderBytes ? 0 : (size_bytes - kLogHeaderBytes) / kFrameBytes;
  if (sums_.size() > frames) sums_.resize(frames);
  return {};
}

void LogGuard::Forget() {
  std::lock_guard lock(mutex_);
  sums_.clear();
  size_bytes_ = 0;
}

std::uint64_t LogGuard::size_bytes() const {
  std::lock_guard lock(mutex_);
  return size_bytes_;
}

void LogGuard::NoteSize(std::uint64_t size_bytes) {
  std::lock_guard lock(mutex_);
  size_bytes_ = size_bytes;
}

void LogGuard::Keep(std::uint64_t frame, std::optional<std::uint64_t> sum) {
  if (frame >= sums_.size()) {
    if (!sum) return;
    sums_.resize(frame + 1);
  }
  sums_[frame] = sum;
}

}  // namespace varve
