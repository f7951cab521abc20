// Places extents into stripes: LZ4, checksum, Reed-Solomon, one append per member disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "store/disk/disk_set.h"
#include "store/log/extent.h"
#include "store/log/stripe.h"

namespace varve {

struct Placement {
  std::vector<SegmentDescriptor> segments;  // those begun by this call
  std::vector<StripeDescriptor> stripes;
  std::vector<ExtentRef> extents;  // extents[i] is where inputs[i] lies
};

struct StripeWriterOptions {
  // A segment is closed when its column files reach this length.
  std::uint64_t segment_column_bytes = 64 * 1024 * 1024;
  std::uint32_t max_fragment_bytes = kMaxFragmentBytes;
};

// One open segment, appended to. A segment is never continued after a restart: a new writer begins
// a new one. Several writers (hot data, packed data, checkpoints) may share one id source.
// Used by one thread at a time.
class StripeWriter {
 public:
  // Segment ids come from `next_segment` (the next free one), shared by all writers of a volume.
  StripeWriter(DiskSet& disks, const Uuid& volume_uuid, std::atomic<std::uint64_t>& next_segment,
               StripeWriterOptions options = {});
  ~StripeWriter();

  // Places each input (1..kChunkBytes raw bytes) whole in one column, and returns when every
  // fragment is durable (written, fdatasynced, and the directory for a new segment): a reference to
  // the placement may then enter the journal. Stripes are as wide as the data deserves: k' =
  // min(k, what the online disks allow, one column per 64 KiB or so), never fewer than m parity.
  // When a disk fails, it is failed in the DiskSet and the stripes are written again, from the
  // inputs, in a new segment on the survivors; only then success. A disk without space: kNoSpace,
  // nothing referred to, the disk stays online. kTooFewDisks below m+1 disks. The parity is
  // computed from the very bytes whose checksums are recorded.
  Result<Placement> Place(std::span<const ByteSpan> inputs, StripeKind kind);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
