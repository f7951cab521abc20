// Turns extents into the bytes of a stripe's fragments, in memory.
#pragma once

#include <span>
#include <vector>

#include "store/base/aligned_bytes.h"
#include "store/base/uuid.h"
#include "store/log/extent.h"
#include "store/log/stripe.h"
#include "store/log/stripe_layout.h"

namespace varve {

// Memory for the fragments of one stripe, not cleared, used again and again: fresh megabytes cost
// page faults.
class StripeBuffers {
 public:
  struct Buffer {
    AlignedBytes bytes;  // for direct writes
    std::size_t capacity_bytes = 0;
  };
  Buffer Take(std::size_t length_bytes);
  // Keeps it for later, up to a bound.
  void Give(Buffer buffer);

 private:
  std::vector<Buffer> spare_;
  std::size_t spare_bytes_ = 0;
};

// An input, compressed if that helped. `stored` is what goes to the disk: bytes of `compressed` or
// of the input itself.
struct StoredExtent {
  std::size_t input = 0;
  std::uint32_t raw_bytes = 0;
  Codec codec = Codec::kNone;
  ByteVector compressed;
  ByteSpan stored;
  std::uint64_t checksum = 0;  // of `stored`, in blocks or not
  bool in_blocks = false;
  BlockChecksums blocks;
};
// The checksums of its blocks are for data, of which parts are read.
StoredExtent StoreExtent(std::size_t input, ByteSpan raw, StripeKind kind, Compressor& compressor);

struct EncodedStripe {
  StripeDescriptor stripe;
  StripeBuffers::Buffer buffer;

  // Header and payload of one column, as it goes to the disk.
  ByteSpan fragment(int column) const {
    return ByteSpan(buffer.bytes.get(), buffer.capacity_bytes)
        .subspan(static_cast<std::size_t>(column) * stripe.fragment_bytes, stripe.fragment_bytes);
  }
};

// `stripe` comes with everything but its checksums. Pads with zeros, computes parity, checksums
// (over the padded payloads) and headers.
EncodedStripe EncodeFragments(const Uuid& volume_uuid, StripeDescriptor stripe,
                              std::span<const StoredExtent> extents, const StripeLayout& layout,
                              StripeBuffers& buffers);

}  // namespace varve
