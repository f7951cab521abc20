// Systematic Reed-Solomon code over GF(2^8), Cauchy matrix (ISA-L gf_gen_cauchy1_matrix: every k by
// k submatrix is invertible, which gf_gen_rs_matrix does not promise for all k, m).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "store/base/bytes.h"

namespace varve {

// Which columns are absent: bit c for column c, data columns first. k+m <= 40.
using ErasureMask = std::uint64_t;

// Immutable but for a cache of decode tables by erasure mask, guarded inside: thread-safe.
class ErasureCode {
 public:
  // CHECKs 1 <= data <= 32, 0 <= parity <= 8.
  ErasureCode(int data, int parity);
  ~ErasureCode();

  int data() const;
  int parity() const;

  // data.size() == k, parity.size() == m, all of one length in bytes.
  void Encode(std::span<const ByteSpan> data, std::span<const MutableByteSpan> parity) const;

  // Recomputes the columns in `missing` from any k present ones. `columns` has k+m spans of one
  // length; those in `missing` are written, those in `unused` neither read nor written (present but
  // not needed, or absent and not wanted). kDataLost when fewer than k are readable. The caller has
  // verified every column it offers: a wrong one yields wrong bytes.
  Status Reconstruct(std::span<const MutableByteSpan> columns, ErasureMask missing,
                     ErasureMask unused) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Shared, lazily made codes for every (k, m); the returned reference lives for the whole program.
const ErasureCode& ErasureCodeFor(int data, int parity);

}  // namespace varve
