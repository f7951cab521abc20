#include "store/log/stripe_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "store/base/aligned_bytes.h"
#include "store/base/synchronized.h"
#include "store/codec/checksum.h"
#include "store/log/column_reader.h"
#include "store/log/columns.h"
#include "store/log/fragment.h"
#include "store/log/stripe_images.h"

namespace varve {
namespace {

// Extents that lie one behind the other are read at once from so many bytes on.
constexpr std::size_t kStreamBytes = 128 * 1024;
// Selections of columns tried when single fragments are damaged in more than m places.
constexpr int kSelectionLimit = 256;

// How many of `reads`, from the first on, lie one behind the other in a column.
std::size_t RunLength(std::span<const ExtentRead> reads, std::uint64_t& stored_bytes) {
  const ExtentRef& first = reads.front().extent;
  stored_bytes = first.stored_bytes;
  std::size_t count = 1;
  for (; count < reads.size(); ++count) {
    const ExtentRef& next = reads[count].extent;
    if (next.stripe != first.stripe || next.column != first.column ||
        next.fragment_offset != first.fragment_offset + stored_bytes) {
      break;
    }
    stored_bytes += next.stored_bytes;
  }
  return count;
}

Error Lost(const StripeDescriptor& stripe, int column, int usable) {
  return {ErrorCode::kDataLost,
          fmt::format("stripe {:x} column {}: {} of {} fragments are usable, {} are needed",
                      stripe.id.value, column, usable, stripe.columns(), stripe.data)};
}

}  // namespace

struct StripeReader::Impl {
  const StripeLookup lookup;
  ColumnReader columns;
  StripeImages images;  // of stripes that lack data columns, while they are read in long runs

  Result<std::shared_ptr<const StripeLocation>> Locate(const ExtentRef& extent);
  Status ReadStored(const StripeLocation& location, const ExtentRef& extent,
                    MutableByteSpan stored);
  Status ReadBlocks(const StripeLocation& location, const ExtentRef& extent, std::uint32_t from,
                    MutableByteSpan blocks);
  Result<StripeImage> LoadImage(const StripeLocation& location);
  Result<ByteSpan> ReadPages(const StripeLocation& location, int column, std::size_t from,
                             std::size_t to, std::shared_ptr<const StripeImage>& image);
  std::vector<Status> ReadRun(const StripeLocation& location, std::span<const ExtentRead> run);
  Result<ByteVector> DecodeOthers(const StripeLocation& location, int column, std::uint64_t offset,
                                  std::size_t length_bytes);
  Result<ByteVector> DecodeRange(const StripeLocation& location, const ExtentRef& extent);
  Result<ByteVector> DecodeVerified(const StripeLocation& location, const ExtentRef& extent);
  Result<ByteVector> TrySelections(const StripeDescriptor& stripe, const ExtentRef& extent,
                                   Columns& ranges, ErasureMask verified);
};

// The extent's bytes as stored, verified, by the cheapest way that works.
Status StripeReader::Impl::ReadStored(const StripeLocation& location, const ExtentRef& extent,
                                      MutableByteSpan stored) {
  Status direct = columns.ReadRange(location, extent.column,
                                    kFragmentHeaderBytes + extent.fragment_offset, stored);
  if (direct.ok()) {
    if (IsIntact(extent, stored)) return {};
    direct = Error(ErrorCode::kCorrupt, "an extent in it fails its checksum");
  }
  Result<ByteVector> decoded = DecodeRange(location, extent);
  if (!decoded.ok()) decoded = DecodeVerified(location, extent);
  // Only now is it known that the fragment was wrong and not the reference to it; a fragment that
  // cannot be read at all is reported in any case.
  if (decoded.ok() || direct.error().code() != ErrorCode::kCorrupt) {
    columns.Report(location, extent.column, direct.error());
  }
  if (!decoded.ok()) return decoded.error();
  std::copy(decoded->begin(), decoded->end(), stored.begin());
  return {};
}

// Whole blocks from `from` on, verified: read, or decoded from the same range of k others. Where
// neither is what the blocks' checksums say, the extent must be read whole.
Status StripeReader::Impl::ReadBlocks(const StripeLocation& location, const ExtentRef& extent,
                                      std::uint32_t from, MutableByteSpan blocks) {
  const std::uint64_t offset = kFragmentHeaderBytes + extent.fragment_offset + from;
  Status direct = columns.ReadRange(location, extent.column, offset, blocks);
  if (direct.ok()) {
    if (AreIntact(extent.blocks, from, blocks)) return {};
    direct = Error(ErrorCode::kCorrupt, "a block of an extent in it fails its checksum");
  }
  const Result<ByteVector> decoded = DecodeOthers(location, extent.column, offset, blocks.size());
  if (!decoded.ok() || !AreIntact(extent.blocks, from, *decoded)) {
    // The reference may be what is wrong; a fragment that cannot be read is so in any case.
    if (direct.error().code() != ErrorCode::kCorrupt) {
      columns.Report(location, extent.column, direct.error());
    }
    return direct;
  }
  columns.Report(location, extent.column, direct.error());
  std::ranges::copy(*decoded, blocks.begin());
  return {};
}

// A range of a column, header included, computed from the same range of k others. Nothing in it is
// verified.
Result<ByteVector> StripeReader::Impl::DecodeOthers(const StripeLocation& location, int column,
                                                    std::uint64_t offset,
                                                    std::size_t length_bytes) {
  const StripeDescriptor& stripe = location.stripe;
  Columns ranges(stripe.columns());
  for (int c = 0; c < stripe.columns() && std::popcount(ranges.present) < stripe.data; ++c) {
    if (c == column) continue;
    ByteVector range(length_bytes);
    const Status read = columns.ReadRange(location, c, offset, range);
    if (read.ok()) {
      ranges.Set(c, std::move(range));
    } else {
      columns.Report(location, c, read.error());
    }
  }
  return DecodeColumn(stripe, ranges, ranges.present, column, length_bytes);
}

// The same range of k other columns, decoded, and checked against the extent's checksum.
Result<ByteVector> StripeReader::Impl::DecodeRange(const StripeLocation& location,
                                                   const ExtentRef& extent) {
  ASSIGN_OR_RETURN(ByteVector result, DecodeOthers(location, extent.column,
                                                   kFragmentHeaderBytes + extent.fragment_offset,
                                                   extent.stored_bytes));
  if (IsIntact(extent, result)) return result;
  return Error(ErrorCode::kCorrupt, "the decoded range fails the extent's checksum");
}

// Every fragment whole: those that fail their own checksum are dropped, the rest decoded.
Result<ByteVector> StripeReader::Impl::DecodeVerified(const StripeLocation& location,
                                                      const ExtentRef& extent) {
  const StripeDescriptor& stripe = location.stripe;
  Columns ranges(stripe.columns());
  ErasureMask verified = 0;
  ByteVector fragment(stripe.fragment_bytes);
  for (int c = 0; c < stripe.columns(); ++c) {
    const Status read = columns.ReadFragment(location, c, fragment);
    if (read.ok()) {
      const auto begin = fragment.begin() + kFragmentHeaderBytes + extent.fragment_offset;
      ranges.Set(c, ByteVector(begin, begin + extent.stored_bytes));
      verified |= ColumnBit(c);
      continue;
    }
    columns.Report(location, c, read.error());
    // A damaged fragment may still be whole in the range that is wanted.
    ByteVector range(extent.stored_bytes);
    if (columns.ReadRange(location, c, kFragmentHeaderBytes + extent.fragment_offset, range).ok()) {
      ranges.Set(c, std::move(range));
    }
  }
  if ((verified & ColumnBit(extent.column)) != 0) {
    ByteVector& own = ranges.at(extent.column);
    if (IsIntact(extent, own)) return std::move(own);
    return Error(ErrorCode::kCorrupt,
                 fmt::format("stripe {:x} column {} is sound, but the extent at {} fails the "
                             "checksum of its reference",
                             stripe.id.value, extent.column, extent.fragment_offset));
  }
  return TrySelections(stripe, extent, ranges, verified);
}

// Decodes from the verified columns if they are enough, else from them and each possible selection
// of damaged ones. The extent's checksum says which is right; nothing is trusted before.
Result<ByteVector> StripeReader::Impl::TrySelections(const StripeDescriptor& stripe,
                                                     const ExtentRef& extent, Columns& ranges,
                                                     ErasureMask verified) {
  std::vector<int> damaged;
  for (int c = 0; c < stripe.columns(); ++c) {
    if (c != extent.column && (ranges.present & ~verified & ColumnBit(c)) != 0)
      damaged.push_back(c);
  }
  const int sound = std::popcount(verified);
  const int wanting = std::max(0, stripe.data - sound);
  if (static_cast<std::size_t>(wanting) > damaged.size()) {
    return Lost(stripe, extent.column, sound);
  }
  std::vector<bool> chosen(damaged.size(), false);
  std::fill_n(chosen.begin(), wanting, true);
  for (int i = 0; i < kSelectionLimit; ++i) {
    ErasureMask sources = verified;
    for (std::size_t d = 0; d < damaged.size(); ++d) {
      if (chosen[d]) sources |= ColumnBit(damaged[d]);
    }
    ASSIGN_OR_RETURN(ByteVector result,
                     DecodeColumn(stripe, ranges, sources, extent.column, extent.stored_bytes));
    if (IsIntact(extent, result)) return result;
    if (!std::prev_permutation(chosen.begin(), chosen.end())) break;
  }
  return Lost(stripe, extent.column, sound);
}

StripeReader::StripeReader(DiskSet& disks, const Uuid& volume_uuid, StripeLookup lookup,
                           FindingSink findings)
    : impl_(new Impl{.lookup = std::move(lookup),
                     .columns = ColumnReader(disks, volume_uuid, std::move(findings)),
                     .images = {}}) {}

StripeReader::~StripeReader() = default;

// Where the extent's stripe is, once the extent is known to lie in it.
Result<std::shared_ptr<const StripeLocation>> StripeReader::Impl::Locate(const ExtentRef& extent) {
  ASSIGN_OR_RETURN(auto location, lookup(extent.stripe));
  if (!location) {
    return Error(ErrorCode::kNotFound, fmt::format("no stripe {:x}", extent.stripe.value));
  }
  RETURN_IF_ERROR(CheckExtent(*location, extent));
  return location;
}

Status StripeReader::ReadPart(const ExtentRef& extent, std::uint32_t raw_offset,
                              MutableByteSpan out) {
  if (raw_offset > extent.raw_bytes || out.size() > extent.raw_bytes - raw_offset) {
    return Error(ErrorCode::kCorrupt, "a piece points past the end of its extent");
  }
  constexpr std::uint32_t kBlock = kChecksumBlockBytes;
  const auto raw_end = static_cast<std::uint32_t>(raw_offset + out.size());
  const std::uint32_t from = raw_offset / kBlock * kBlock;
  const std::uint32_t to = std::min((raw_end + kBlock - 1) / kBlock * kBlock, extent.raw_bytes);
  if (extent.in_blocks && to - from < extent.raw_bytes && extent.blocks.Cover(from, to)) {
    ASSIGN_OR_RETURN(const auto location, impl_->Locate(extent));
    if (to - from == out.size()) {
      if (impl_->ReadBlocks(*location, extent, from, out).ok()) return {};
    } else {
      ByteVector blocks(to - from);
      if (impl_->ReadBlocks(*location, extent, from, blocks).ok()) {
        std::memcpy(out.data(), blocks.data() + (raw_offset - from), out.size());
        return {};
      }
    }
  }
  ByteVector raw(extent.raw_bytes);
  RETURN_IF_ERROR(ReadExtent(extent, raw));
  std::memcpy(out.data(), raw.data() + raw_offset, out.size());
  return {};
}

Status StripeReader::ReadExtent(const ExtentRef& extent, MutableByteSpan raw) {
  CHECK(raw.size() == extent.raw_bytes, "room for exactly the extent's bytes");
  ASSIGN_OR_RETURN(const auto location, impl_->Locate(extent));
  if (extent.codec == Codec::kNone) return impl_->ReadStored(*location, extent, raw);
  ByteVector stored(extent.stored_bytes);
  RETURN_IF_ERROR(impl_->ReadStored(*location, extent, stored));
  return Decompress(extent.codec, stored, raw);
}

// All data columns, whole, from the first k that can be read. Nothing in it is verified.
Result<StripeImage> StripeReader::Impl::LoadImage(const StripeLocation& location) {
  const StripeDescriptor& stripe = location.stripe;
  StripeImage image(stripe.columns(), stripe.fragment_bytes);
  ErasureMask present = 0;
  for (int c = 0; c < stripe.columns() && std::popcount(present) < stripe.data; ++c) {
    const Status read = columns.ReadRange(location, c, 0, image.Allocate(c));
    if (read.ok()) {
      present |= ColumnBit(c);
    } else {
      columns.Report(location, c, read.error());
    }
  }
  const ErasureMask all = ColumnBit(stripe.columns()) - 1;
  const ErasureMask missing = (ColumnBit(stripe.data) - 1) & ~present;
  for (int c = 0; c < stripe.columns(); ++c) {
    const ErasureMask bit = ColumnBit(c);
    if ((missing & bit) != 0) image.Allocate(c);
    if ((missing & bit) == 0 && (present & bit) == 0) image.Drop(c);
  }
  RETURN_IF_ERROR(ErasureCodeFor(stripe.data, stripe.parity)
                      .Reconstruct(image.columns(), missing, all & ~present & ~missing));
  for (int c = stripe.data; c < stripe.columns(); ++c) image.Drop(c);
  return image;
}

// Bytes [from, to) of a column's fragment, in memory until this thread reads the next, or as long
// as `image`. In a stripe that lacks a data column a long run is mostly followed by its neighbours:
// then each of k columns is read once for all of them. Nothing in it is verified.
Result<ByteSpan> StripeReader::Impl::ReadPages(const StripeLocation& location, int column,
                                               std::size_t from, std::size_t to,
                                               std::shared_ptr<const StripeImage>& image) {
  if (to - from >= location.stripe.fragment_bytes / 2 && !columns.IsWhole(location)) {
    ASSIGN_OR_RETURN(image, images.Get(location.stripe.id, [&] { return LoadImage(location); }));
    return image->column(column).subspan(from, to - from);
  }
  const MutableByteSpan pages = ColumnReader::RunBuffer().first(to - from);
  const Status read = columns.ReadRange(location, column, from, pages);
  if (read.ok()) return ByteSpan(pages);
  columns.Report(location, column, read.error());
  ASSIGN_OR_RETURN(const ByteVector decoded, DecodeOthers(location, column, from, pages.size()));
  std::ranges::copy(decoded, pages.begin());
  return ByteSpan(pages);
}

// Neighbours in one column, with one read. Answers what is wrong with each; those that are not good
// are for ReadExtent, which knows what to do about them. Nothing when a reference is wrong: then it
// is not the disk that speaks.
std::vector<Status> StripeReader::Impl::ReadRun(const StripeLocation& location,
                                                std::span<const ExtentRead> run) {
  for (const ExtentRead& read : run) {
    if (!CheckExtent(location, read.extent).ok()) return {};
  }
  // Whole pages around the run, all of them of this fragment, which is aligned.
  const std::size_t begin = kFragmentHeaderBytes + run.front().extent.fragment_offset;
  const std::size_t end =
      kFragmentHeaderBytes + run.back().extent.fragment_offset + run.back().extent.stored_bytes;
  const std::size_t from = begin / kFragmentAlign * kFragmentAlign;
  const std::size_t to = (end + kFragmentAlign - 1) / kFragmentAlign * kFragmentAlign;
  std::shared_ptr<const StripeImage> image;
  const Result<ByteSpan> pages = ReadPages(location, run.front().extent.column, from, to, image);
  std::vector<Status> results(run.size(), pages.ok() ? Status() : Status(pages.error()));
  if (!pages.ok()) return results;
  for (std::size_t i = 0; i < run.size(); ++i) {
    const ExtentRef& extent = run[i].extent;
    const ByteSpan stored =
        pages->subspan(kFragmentHeaderBytes + extent.fragment_offset - from, extent.stored_bytes);
    if (!IsIntact(extent, stored)) {
      results[i] = Error(ErrorCode::kCorrupt, "an extent in it fails its checksum");
    } else {
      results[i] = Decompress(extent.codec, stored, run[i].raw);
    }
  }
  return results;
}

Status StripeReader::ReadExtents(std::span<const ExtentRead> reads) {
  while (!reads.empty()) {
    std::uint64_t stored_bytes = 0;
    const auto run = reads.first(RunLength(reads, stored_bytes));
    reads = reads.subspan(run.size());
    std::shared_ptr<const StripeLocation> location;
    std::vector<Status> results;
    if (stored_bytes >= kStreamBytes) {
      ASSIGN_OR_RETURN(location, impl_->lookup(run.front().extent.stripe));
      if (location) results = impl_->ReadRun(*location, run);
    }
    for (std::size_t i = 0; i < run.size(); ++i) {
      if (!results.empty() && results[i].ok()) continue;
      RETURN_IF_ERROR(ReadExtent(run[i].extent, run[i].raw));
      // It was read well after all, perhaps out of a cache: what the disk said first still counts.
      if (!results.empty())
        impl_->columns.Report(*location, run[i].extent.column, results[i].error());
    }
  }
  return {};
}

namespace {

Error InColumn(const Error& error, const StripeLocation& location, int column) {
  return error.In(
      fmt::format("disk {}: {}: stripe {:x} column {}", DiskOfColumn(location, column).value,
                  SegmentObjectName(location.segment.id), location.stripe.id.value, column));
}

}  // namespace

Status StripeReader::ReadFragment(const StripeLocation& location, int column,
                                  MutableByteSpan fragment) {
  RETURN_IF_ERROR(CheckLocation(location));
  CHECK(fragment.size() == location.stripe.fragment_bytes, "room for exactly one fragment");
  const Status read = impl_->columns.ReadFragment(location, column, fragment);
  if (read.ok()) return {};
  return InColumn(read.error(), location, column);
}

Status StripeReader::VerifyFragment(const StripeLocation& location, int column) {
  RETURN_IF_ERROR(CheckLocation(location));
  const Status sound = impl_->columns.VerifyFragment(location, column);
  if (sound.ok()) return {};
  return InColumn(sound.error(), location, column);
}

void StripeReader::Forget(DiskIndex slot) { impl_->columns.Forget(slot); }

}  // namespace varve
