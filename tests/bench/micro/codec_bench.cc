// Compression and checksums. Bytes are those of the data as it is before compression.
#include <benchmark/benchmark.h>

#include "store/codec/checksum.h"
#include "store/codec/compression.h"
#include "store/log/extent.h"
#include "tests/bench/micro/sample_bytes.h"

namespace varve {
namespace {

void SetBytes(benchmark::State& state, std::size_t bytes_each) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes_each));
}

void CompressChunk(benchmark::State& state, Sample kind) {
  const ByteVector raw = MakeSample(kind, kChunkBytes);
  ByteVector stored;
  Codec codec = Codec::kNone;
  for ([[maybe_unused]] auto _ : state) {
    codec = Compress(raw, stored);
    benchmark::DoNotOptimize(stored.data());
  }
  SetBytes(state, raw.size());
  const std::size_t stored_bytes = codec == Codec::kNone ? raw.size() : stored.size();
  state.counters["stored"] = static_cast<double>(stored_bytes) / static_cast<double>(raw.size());
}
BENCHMARK_CAPTURE(CompressChunk, text, Sample::kText);
BENCHMARK_CAPTURE(CompressChunk, random, Sample::kRandom);
BENCHMARK_CAPTURE(CompressChunk, half, Sample::kHalf);

void DecompressChunk(benchmark::State& state, Sample kind) {
  const ByteVector raw = MakeSample(kind, kChunkBytes);
  ByteVector compressed;
  const Codec codec = Compress(raw, compressed);
  const ByteVector& stored = codec == Codec::kNone ? raw : compressed;
  ByteVector back(raw.size());
  for ([[maybe_unused]] auto _ : state) {
    const Status status = Decompress(codec, stored, back);
    if (!status.ok()) return state.SkipWithError(status.error().message().c_str());
    benchmark::DoNotOptimize(back.data());
  }
  if (back != raw) state.SkipWithError("it does not come back as it was");
  SetBytes(state, raw.size());
}
BENCHMARK_CAPTURE(DecompressChunk, text, Sample::kText);
BENCHMARK_CAPTURE(DecompressChunk, random, Sample::kRandom);  // stored as it is: a copy
BENCHMARK_CAPTURE(DecompressChunk, half, Sample::kHalf);

void ChecksumBytes(benchmark::State& state) {
  const ByteVector bytes = RandomSample(static_cast<std::size_t>(state.range(0)));
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(Checksum(bytes));
  SetBytes(state, bytes.size());
}
BENCHMARK(ChecksumBytes)->ArgName("bytes")->Arg(4 << 10)->Arg(64 << 10)->Arg(1 << 20);

}  // namespace
}  // namespace varve
