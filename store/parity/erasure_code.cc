#include "store/parity/erasure_code.h"

#include <isa-l/erasure_code.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <mutex>
#include <string>

namespace varve {
namespace {

constexpr int kMaxDataColumns = 32;
constexpr int kMaxParityColumns = 8;
// ISA-L expands each coefficient into a table of this many bytes.
constexpr std::size_t kTableBytes = 32;
// Longest run given to ISA-L at once, whose lengths are int.
constexpr std::size_t kLongestRun = std::size_t{1} << 30;
// Distinct losses seen by one volume are few; the bound is for hostile patterns of corruption.
constexpr std::size_t kCachedDecoders = 128;

using Tables = std::vector<unsigned char>;

ErasureMask Bit(int column) { return ErasureMask{1} << column; }

// ISA-L takes non-const pointers to what it only reads.
unsigned char* Pointer(ByteSpan bytes) {
  return const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
}
unsigned char* Pointer(MutableByteSpan bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

// What it takes to compute some columns from k others.
struct DecodeTables {
  std::vector<int> sources;  // k columns, ascending
  std::vector<int> targets;
  Tables tables;
};

// Multiplies k source columns by a matrix, in runs whose length ISA-L can take.
void Multiply(const Tables& tables, std::span<unsigned char* const> sources,
              std::span<unsigned char* const> targets, std::size_t length_bytes) {
  std::vector<unsigned char*> from(sources.begin(), sources.end());
  std::vector<unsigned char*> to(targets.begin(), targets.end());
  Tables scratch = tables;  // ISA-L's signature is not const
  for (std::size_t done = 0; done < length_bytes;) {
    const std::size_t run = std::min(kLongestRun, length_bytes - done);
    ec_encode_data(static_cast<int>(run), static_cast<int>(from.size()),
                   static_cast<int>(to.size()), scratch.data(), from.data(), to.data());
    for (auto& pointer : from) pointer += run;
    for (auto& pointer : to) pointer += run;
    done += run;
  }
}

}  // namespace

struct ErasureCode::Impl {
  int data;
  int parity;
  std::vector<unsigned char> matrix;  // (k+m) rows of k, the identity on top
  Tables encode_tables;

  std::mutex mutex;
  // By (sources, targets); guarded by mutex.
  std::map<std::pair<ErasureMask, ErasureMask>, std::shared_ptr<const DecodeTables>> decoders;

  std::size_t k() const { return static_cast<std::size_t>(data); }

  Result<std::shared_ptr<const DecodeTables>> MakeDecoder(ErasureMask sources,
                                                          ErasureMask targets) const;
  Result<std::shared_ptr<const DecodeTables>> DecoderFor(ErasureMask sources, ErasureMask targets);
};

// The rows of the sources, inverted, give the data columns; the rows of the targets times that
// inverse give each target straight from the sources.
Result<std::shared_ptr<const DecodeTables>> ErasureCode::Impl::MakeDecoder(
    ErasureMask sources, ErasureMask targets) const {
  auto decoder = std::make_shared<DecodeTables>();
  std::vector<unsigned char> chosen;
  for (int c = 0; c < data + parity; ++c) {
    const auto row = matrix.begin() + c * data;
    if (sources & Bit(c)) {
      decoder->sources.push_back(c);
      chosen.insert(chosen.end(), row, row + data);
    }
    if (targets & Bit(c)) decoder->targets.push_back(c);
  }
  CHECK(decoder->sources.size() == k());
  std::vector<unsigned char> inverse(k() * k());
  if (gf_invert_matrix(chosen.data(), inverse.data(), data) != 0) {
    return Error(ErrorCode::kDataLost, "these columns do not determine the data");
  }
  std::vector<unsigned char> rows;
  for (const int target : decoder->targets) {
    for (std::size_t j = 0; j < k(); ++j) {
      unsigned char sum = 0;
      for (std::size_t i = 0; i < k(); ++i) {
        sum ^= gf_mul(matrix[static_cast<std::size_t>(target) * k() + i], inverse[i * k() + j]);
      }
      rows.push_back(sum);
    }
  }
  decoder->tables.resize(kTableBytes * rows.size());
  ec_init_tables(data, static_cast<int>(decoder->targets.size()), rows.data(),
                 decoder->tables.data());
  return std::shared_ptr<const DecodeTables>(std::move(decoder));
}

Result<std::shared_ptr<const DecodeTables>> ErasureCode::Impl::DecoderFor(ErasureMask sources,
                                                                          ErasureMask targets) {
  const auto key = std::pair(sources, targets);
  {
    std::lock_guard lock(mutex);
    if (const auto it = decoders.find(key); it != decoders.end()) return it->second;
  }
  ASSIGN_OR_RETURN(auto decoder, MakeDecoder(sources, targets));
  std::lock_guard lock(mutex);
  if (decoders.size() >= kCachedDecoders) decoders.clear();
  decoders.emplace(key, decoder);
  return decoder;
}

ErasureCode::ErasureCode(int data, int parity) : impl_(std::make_unique<Impl>()) {
  CHECK(data >= 1 && data <= kMaxDataColumns, "data columns out of range");
  CHECK(parity >= 0 && parity <= kMaxParityColumns, "parity columns out of range");
  impl_->data = data;
  impl_->parity = parity;
  impl_->matrix.resize(static_cast<std::size_t>((data + parity) * data));
  gf_gen_cauchy1_matrix(impl_->matrix.data(), data + parity, data);
  if (parity == 0) return;
  impl_->encode_tables.resize(kTableBytes * static_cast<std::size_t>(data * parity));
  ec_init_tables(data, parity, impl_->matrix.data() + data * data, impl_->encode_tables.data());
}

ErasureCode::~ErasureCode() = default;

int ErasureCode::data() const { return impl_->data; }
int ErasureCode::parity() const { return impl_->parity; }

void ErasureCode::Encode(std::span<const ByteSpan> data,
                         std::span<const MutableByteSpan> parity) const {
  CHECK(data.size() == impl_->k(), "one span for each data column");
  CHECK(parity.size() == static_cast<std::size_t>(impl_->parity), "one span a parity column");
  if (parity.empty()) return;
  const std::size_t length_bytes = data[0].size();
  std::vector<unsigned char*> sources;
  std::vector<unsigned char*> targets;
  for (const ByteSpan column : data) {
    CHECK(column.size() == length_bytes, "columns of one length");
    sources.push_back(Pointer(column));
  }
  for (const MutableByteSpan column : parity) {
    CHECK(column.size() == length_bytes, "columns of one length");
    targets.push_back(Pointer(column));
  }
  Multiply(impl_->encode_tables, sources, targets, length_bytes);
}

Status ErasureCode::Reconstruct(std::span<const MutableByteSpan> columns, ErasureMask missing,
                                ErasureMask unused) const {
  const int total = impl_->data + impl_->parity;
  CHECK(columns.size() == static_cast<std::size_t>(total), "one span a column");
  CHECK((missing & unused) == 0, "a column is wanted or not");
  if (missing == 0) return {};
  // The data columns come first, so a lost parity column costs no inversion worth the name.
  ErasureMask sources = 0;
  for (int c = 0; c < total && std::popcount(sources) < impl_->data; ++c) {
    if (((missing | unused) & Bit(c)) == 0) sources |= Bit(c);
  }
  if (std::popcount(sources) < impl_->data) {
    return Error(ErrorCode::kDataLost, "only " + std::to_string(std::popcount(sources)) + " of " +
                                           std::to_string(total) + " columns are readable, " +
                                           std::to_string(impl_->data) + " are needed");
  }
  CHECK(missing < Bit(total), "no such column");
  ASSIGN_OR_RETURN(const auto decoder, impl_->DecoderFor(sources, missing));
  const std::size_t length_bytes =
      columns[static_cast<std::size_t>(decoder->targets.front())].size();
  std::vector<unsigned char*> from;
  std::vector<unsigned char*> to;
  const auto collect = [&](const std::vector<int>& which, std::vector<unsigned char*>& into) {
    for (const int c : which) {
      const MutableByteSpan column = columns[static_cast<std::size_t>(c)];
      CHECK(column.size() == length_bytes, "columns of one length");
      into.push_back(Pointer(column));
    }
  };
  collect(decoder->sources, from);
  collect(decoder->targets, to);
  Multiply(decoder->tables, from, to, length_bytes);
  return {};
}

const ErasureCode& ErasureCodeFor(int data, int parity) {
  CHECK(data >= 1 && data <= kMaxDataColumns && parity >= 0 && parity <= kMaxParityColumns);
  static std::mutex mutex;
  static std::array<std::unique_ptr<ErasureCode>, (kMaxDataColumns + 1) * (kMaxParityColumns + 1)>
      codes;
  std::lock_guard lock(mutex);
  auto& code = codes[static_cast<std::size_t>(data * (kMaxParityColumns + 1) + parity)];
  if (!code) code = std::make_unique<ErasureCode>(data, parity);
  return *code;
}

}  // namespace varve
