// Reed-Solomon. Bytes are the data of the stripe, k columns, in encoding and reconstructing alike,
// so that the two can be compared.
#include <benchmark/benchmark.h>

#include <span>
#include <vector>

#include "store/parity/erasure_code.h"
#include "tests/bench/micro/sample_bytes.h"

namespace varve {
namespace {

// k random data columns and m parity columns that follow from them.
class Stripe {
 public:
  Stripe(int data, int parity, std::size_t column_bytes)
      : code_(ErasureCodeFor(data, parity)), column_bytes_(column_bytes) {
    for (int i = 0; i < data + parity; ++i) {
      columns_.push_back(RandomSample(column_bytes, static_cast<std::uint64_t>(i) + 1));
    }
    for (ByteVector& column : columns_) all_.emplace_back(column);
    const auto k = static_cast<std::size_t>(data);
    data_.assign(all_.begin(), all_.begin() + data);
    parity_.assign(all_.begin() + static_cast<std::ptrdiff_t>(k), all_.end());
    Encode();
  }

  void Encode() { code_.Encode(data_, parity_); }
  Status Reconstruct(ErasureMask missing) { return code_.Reconstruct(all_, missing, 0); }
  const ByteVector& column(std::size_t index) const { return columns_[index]; }
  void Wipe(std::size_t index) { columns_[index].assign(column_bytes_, std::byte{}); }
  std::int64_t data_bytes() const {
    return static_cast<std::int64_t>(data_.size() * column_bytes_);
  }

 private:
  const ErasureCode& code_;
  const std::size_t column_bytes_;
  std::vector<ByteVector> columns_;
  std::vector<MutableByteSpan> all_;
  std::vector<ByteSpan> data_;
  std::vector<MutableByteSpan> parity_;
};

Stripe StripeOf(const benchmark::State& state) {
  return Stripe(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)),
                static_cast<std::size_t>(state.range(2)));
}

void EncodeParity(benchmark::State& state) {
  Stripe stripe = StripeOf(state);
  for ([[maybe_unused]] auto _ : state) {
    stripe.Encode();
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * stripe.data_bytes());
}
BENCHMARK(EncodeParity)
    ->ArgNames({"k", "m", "column"})
    ->ArgsProduct({{4, 8}, {2}, {64 << 10, 1 << 20}});

void ReconstructColumns(benchmark::State& state) {
  Stripe stripe = StripeOf(state);
  const auto lost = static_cast<std::size_t>(state.range(3));
  const ByteVector first = stripe.column(0);
  for (std::size_t i = 0; i < lost; ++i) stripe.Wipe(i);
  for ([[maybe_unused]] auto _ : state) {
    const Status status = stripe.Reconstruct((ErasureMask{1} << lost) - 1);
    if (!status.ok()) return state.SkipWithError(status.error().message().c_str());
    benchmark::ClobberMemory();
  }
  if (stripe.column(0) != first) state.SkipWithError("it does not come back as it was");
  state.SetBytesProcessed(state.iterations() * stripe.data_bytes());
}
BENCHMARK(ReconstructColumns)
    ->ArgNames({"k", "m", "column", "lost"})
    ->ArgsProduct({{4, 8}, {2}, {64 << 10, 1 << 20}, {1, 2}});

}  // namespace
}  // namespace varve
