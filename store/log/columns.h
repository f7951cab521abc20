// Ranges of a stripe's columns in memory, and computing one from others.
#pragma once

#include <cstddef>
#include <vector>

#include "store/base/bytes.h"
#include "store/log/stripe.h"
#include "store/parity/erasure_code.h"

namespace varve {

inline ErasureMask ColumnBit(int column) { return ErasureMask{1} << column; }

// Columns of a stripe, of one length, and which of them hold something.
struct Columns {
  std::vector<ByteVector> bytes;
  ErasureMask present = 0;

  explicit Columns(int count) : bytes(static_cast<std::size_t>(count)) {}
  ByteVector& at(int column) { return bytes[static_cast<std::size_t>(column)]; }
  void Set(int column, ByteVector content) {
    at(column) = std::move(content);
    present |= ColumnBit(column);
  }
};

// Computes `wanted` from exactly the columns in `sources`; what they hold is not verified here, and
// so neither is the result. kDataLost when they are fewer than k.
Result<ByteVector> DecodeColumn(const StripeDescriptor& stripe, Columns& columns,
                                ErasureMask sources, int wanted, std::size_t length_bytes);

}  // namespace varve
