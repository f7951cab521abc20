#include "store/log/columns.h"

#include <utility>

namespace varve {

Result<ByteVector> DecodeColumn(const StripeDescriptor& stripe, Columns& columns,
                                ErasureMask sources, int wanted, std::size_t length_bytes) {
  const ErasureMask all = ColumnBit(stripe.columns()) - 1;
  ByteVector result(length_bytes);
  std::vector<MutableByteSpan> spans;
  for (int c = 0; c < stripe.columns(); ++c) {
    spans.emplace_back(c == wanted ? result : columns.at(c));
  }
  RETURN_IF_ERROR(ErasureCodeFor(stripe.data, stripe.parity)
                      .Reconstruct(spans, ColumnBit(wanted), all & ~sources & ~ColumnBit(wanted)));
  return result;
}

}  // namespace varve
