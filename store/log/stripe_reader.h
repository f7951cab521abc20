// Reads extents back, verified, and mends what is missing on the way, in memory only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "store/base/finding.h"
#include "store/disk/disk_set.h"
#include "store/log/extent.h"
#include "store/log/stripe.h"

namespace varve {

// What a stripe needs to be read. Answers from the catalog or from changes not yet applied.
struct StripeLocation {
  SegmentDescriptor segment;
  StripeDescriptor stripe;
};
// An extent and where its decompressed bytes go: raw.size() == extent.raw_bytes.
struct ExtentRead {
  ExtentRef extent;
  MutableByteSpan raw;
};
using StripeLookup = std::function<Result<std::shared_ptr<const StripeLocation>>(StripeId)>;

// Thread-safe. Caches open column files (bounded) and stripe locations (bounded, by `lookup`'s
// owner). Never writes. Never returns a byte that was not verified.
class StripeReader {
 public:
  // `findings` hears of every fragment that reading extents found bad or missing on an online disk,
  // once per fragment and run of the program. Not of fragments on disks that are not online or
  // still being rebuilt: those disks are a finding themselves.
  StripeReader(DiskSet& disks, const Uuid& volume_uuid, StripeLookup lookup, FindingSink findings);
  ~StripeReader();

  // Fills raw (raw.size() == extent.raw_bytes) with the decompressed bytes. Reads only the extent's
  // range of its column; if that is absent or fails the extent's checksum, the same range of k
  // survivors is decoded and checked; if that fails, whole fragments are verified one by one, the
  // bad ones dropped, and decoding is tried with the rest. kDataLost when more than m are gone.
  Status ReadExtent(const ExtentRef& extent, MutableByteSpan raw);

  // Fills out with the decompressed bytes from `raw_offset` on. Where the checksums of the blocks
  // that hold them are known, only these blocks are read, or decoded from the same range of k
  // others; else, and where that fails, the whole extent. kCorrupt if they are not all in it.
  Status ReadPart(const ExtentRef& extent, std::uint32_t raw_offset, MutableByteSpan out);

  // As ReadExtent for several; those that lie one behind the other in a column are read at once.
  Status ReadExtents(std::span<const ExtentRead> reads);

  // One column as it is on its disk, header and payload, into `fragment` (fragment_bytes long; from
  // kPageAlign on it is read past the page cache), after verifying header (identity) and checksum.
  // Errors: kDiskLost, kNotFound, kCorrupt, kIo; then `fragment` may hold anything. Makes no
  // finding: the caller, who asked for this one fragment, has the error.
  Status ReadFragment(const StripeLocation& location, int column, MutableByteSpan fragment);
  // The same for whom it is enough to know that it is sound.
  Status VerifyFragment(const StripeLocation& location, int column);

  // Forget cached open files of a disk (it failed or was replaced).
  void Forget(DiskIndex slot);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The on-disk bytes of a fragment: header, payload. `payload` has payload_bytes() bytes.
void EncodeFragmentHeader(const Uuid& volume_uuid, const StripeDescriptor& stripe, int column,
                          MutableByteSpan header);
// kCorrupt unless the header is exactly the one that belongs there: a misdirected or stale write.
Status CheckFragmentHeader(const Uuid& volume_uuid, const StripeDescriptor& stripe, int column,
                           ByteSpan header);
// For scans of disks without a catalog: the descriptor as the header tells it, and the column.
// Every header carries the whole descriptor's geometry but only its own fragment's checksum.
struct ScannedFragment {
  StripeDescriptor stripe;  // checksums: only [column] is set
  int column = 0;
};
Result<ScannedFragment> ScanFragmentHeader(const Uuid& volume_uuid, ByteSpan header);

}  // namespace varve
