#include "store/log/stripe_encoder.h"

#include <algorithm>

#include "store/codec/checksum.h"
#include "store/log/fragment.h"
#include "store/parity/erasure_code.h"

namespace varve {
namespace {

// Two rounds: one being filled, one being written.
constexpr std::size_t kSpareLimitBytes = 32 * 1024 * 1024;

// Copies the extents to their places and clears what they leave of each data column.
void FillColumns(std::span<const StoredExtent> extents, const StripeLayout& layout,
                 std::span<const MutableByteSpan> payloads) {
  std::vector<std::size_t> used(payloads.size(), 0);
  for (std::size_t i = 0; i < extents.size(); ++i) {
    const auto [column, offset] = layout.places[i];
    CHECK(offset == used[column] && extents[i].stored.size() <= payloads[column].size() - offset);
    std::copy(extents[i].stored.begin(), extents[i].stored.end(),
              payloads[column].begin() + static_cast<std::ptrdiff_t>(offset));
    used[column] += extents[i].stored.size();
  }
  for (std::size_t c = 0; c < payloads.size(); ++c) {
    std::ranges::fill(payloads[c].subspan(used[c]), std::byte{0});
  }
}

}  // namespace

StripeBuffers::Buffer StripeBuffers::Take(std::size_t length_bytes) {
  const auto fits = std::ranges::find_if(
      spare_, [&](const Buffer& b) { return b.capacity_bytes >= length_bytes; });
  if (fits != spare_.end()) {
    Buffer buffer = std::move(*fits);
    spare_.erase(fits);
    spare_bytes_ -= buffer.capacity_bytes;
    return buffer;
  }
  return {MakeAlignedBytes(length_bytes), length_bytes};
}

void StripeBuffers::Give(Buffer buffer) {
  if (spare_bytes_ + buffer.capacity_bytes > kSpareLimitBytes) return;
  spare_bytes_ += buffer.capacity_bytes;
  spare_.push_back(std::move(buffer));
}

StoredExtent StoreExtent(std::size_t input, ByteSpan raw, StripeKind kind, Compressor& compressor) {
  CHECK(!raw.empty() && raw.size() <= kChunkBytes, "an extent's length");
  StoredExtent extent;
  extent.input = input;
  extent.raw_bytes = static_cast<std::uint32_t>(raw.size());
  extent.codec = compressor.Compress(raw, extent.compressed);
  extent.stored = extent.codec == Codec::kNone ? raw : ByteSpan(extent.compressed);
  // Of less, a part is as good as the whole.
  extent.in_blocks =
      kind == StripeKind::kData && extent.codec == Codec::kNone && raw.size() > kChecksumBlockBytes;
  if (extent.in_blocks) {
    extent.checksum = BlockwiseChecksum(raw, extent.blocks.values);
    const std::size_t blocks = (raw.size() + kChecksumBlockBytes - 1) / kChecksumBlockBytes;
    extent.blocks.known = static_cast<std::uint16_t>((1u << blocks) - 1);
  } else {
    extent.checksum = Checksum(extent.stored);
  }
  return extent;
}

EncodedStripe EncodeFragments(const Uuid& volume_uuid, StripeDescriptor stripe,
                              std::span<const StoredExtent> extents, const StripeLayout& layout,
                              StripeBuffers& buffers) {
  CHECK(extents.size() == layout.places.size() && stripe.data == layout.data);
  const auto columns = static_cast<std::size_t>(stripe.columns());
  EncodedStripe encoded{std::move(stripe), {}};
  StripeDescriptor& descriptor = encoded.stripe;
  encoded.buffer = buffers.Take(columns * descriptor.fragment_bytes);
  const MutableByteSpan all(encoded.buffer.bytes.get(), columns * descriptor.fragment_bytes);
  std::vector<MutableByteSpan> payloads;
  for (std::size_t c = 0; c < columns; ++c) {
    payloads.push_back(all.subspan(c * descriptor.fragment_bytes + kFragmentHeaderBytes,
                                   descriptor.payload_bytes()));
  }
  const auto data = std::span(payloads).first(descriptor.data);
  FillColumns(extents, layout, data);
  ErasureCodeFor(descriptor.data, descriptor.parity)
      .Encode(std::vector<ByteSpan>(data.begin(), data.end()),
              std::span(payloads).subspan(descriptor.data));
  descriptor.checksums.clear();
  for (const MutableByteSpan payload : payloads) {
    descriptor.checksums.push_back(Checksum(payload));
  }
  for (std::size_t c = 0; c < columns; ++c) {
    EncodeFragmentHeader(volume_uuid, descriptor, static_cast<int>(c),
                         all.subspan(c * descriptor.fragment_bytes, kFragmentHeaderBytes));
  }
  return encoded;
}

}  // namespace varve
