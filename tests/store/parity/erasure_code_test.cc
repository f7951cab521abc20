#include "store/parity/erasure_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <random>

namespace varve {
namespace {

std::uint64_t Seed() {
  const char* given = std::getenv("VARVE_SEED");
  return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

ErasureMask Bit(int column) { return ErasureMask{1} << column; }

// A stripe in memory: the true columns, and a copy to damage.
struct Stripe {
  std::vector<ByteVector> truth;
  std::vector<ByteVector> copy;

  std::vector<MutableByteSpan> Columns() { return {copy.begin(), copy.end()}; }
};

class Erasure : public testing::Test {
 protected:
  Stripe Make(int data, int parity, std::size_t length_bytes) {
    Stripe stripe;
    stripe.truth.resize(static_cast<std::size_t>(data + parity), ByteVector(length_bytes));
    std::vector<ByteSpan> sources;
    std::vector<MutableByteSpan> targets;
    for (std::size_t c = 0; c < stripe.truth.size(); ++c) {
      if (c < static_cast<std::size_t>(data)) {
        for (auto& byte : stripe.truth[c]) byte = static_cast<std::byte>(random_());
        sources.emplace_back(stripe.truth[c]);
      } else {
        targets.emplace_back(stripe.truth[c]);
      }
    }
    ErasureCodeFor(data, parity).Encode(sources, targets);
    stripe.copy = stripe.truth;
    return stripe;
  }

  // Overwrites `lost` with noise, wants it back; then everything must be as it was.
  void ExpectRestored(int data, int parity, Stripe& stripe, ErasureMask lost) {
    for (std::size_t c = 0; c < stripe.copy.size(); ++c) {
      if (lost & Bit(static_cast<int>(c))) std::ranges::fill(stripe.copy[c], std::byte{0xEE});
    }
    const Status status = ErasureCodeFor(data, parity).Reconstruct(stripe.Columns(), lost, 0);
    ASSERT_TRUE(status.ok()) << status.error().message();
    ASSERT_EQ(stripe.copy, stripe.truth) << data << "+" << parity << " lost " << lost;
  }

  const std::uint64_t seed_ = Seed();
  testing::ScopedTrace trace_{__FILE__, __LINE__, "VARVE_SEED=" + std::to_string(seed_)};
  std::mt19937_64 random_{seed_};
};

TEST_F(Erasure, RestoresEveryLossOfUpToParityColumns) {
  for (int data = 1; data <= 8; ++data) {
    for (int parity = 0; parity <= 4; ++parity) {
      Stripe stripe = Make(data, parity, 67);
      for (ErasureMask lost = 0; lost < Bit(data + parity); ++lost) {
        if (std::popcount(lost) > parity) continue;
        ExpectRestored(data, parity, stripe, lost);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(Erasure, RestoresSampledLossesOfEveryGeometry) {
  for (int data = 1; data <= 32; ++data) {
    for (int parity = 0; parity <= 8; ++parity) {
      Stripe stripe = Make(data, parity, 33 + random_() % 100);
      for (int i = 0; i < 12; ++i) {
        ErasureMask lost = 0;
        while (std::popcount(lost) < parity) {
          lost |= Bit(static_cast<int>(random_() % static_cast<std::uint64_t>(data + parity)));
        }
        ExpectRestored(data, parity, stripe, lost);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(Erasure, TakesAnyLength) {
  for (const std::size_t length : {0u, 1u, 2u, 15u, 16u, 31u, 32u, 33u, 63u, 64u, 65u, 127u, 129u,
                                   4095u, 4096u, 4097u, 100'001u}) {
    Stripe stripe = Make(4, 2, length);
    for (const ErasureMask lost : {0b000011u, 0b110000u, 0b010001u, 0b101000u}) {
      ExpectRestored(4, 2, stripe, lost);
    }
  }
}

TEST_F(Erasure, MirrorsWithOneDataColumn) {
  Stripe stripe = Make(1, 1, 1000);
  EXPECT_EQ(stripe.truth[0], stripe.truth[1]);
}

TEST_F(Erasure, LeavesUnusedColumnsAlone) {
  Stripe stripe = Make(4, 3, 500);
  // Column 1 is wanted; 0 and 5 are absent and not wanted: noise that must neither be read nor
  // written.
  std::ranges::fill(stripe.copy[0], std::byte{1});
  std::ranges::fill(stripe.copy[5], std::byte{2});
  std::ranges::fill(stripe.copy[1], std::byte{3});
  const auto noise0 = stripe.copy[0];
  const auto noise5 = stripe.copy[5];
  ASSERT_TRUE(ErasureCodeFor(4, 3).Reconstruct(stripe.Columns(), Bit(1), Bit(0) | Bit(5)).ok());
  EXPECT_EQ(stripe.copy[1], stripe.truth[1]);
  EXPECT_EQ(stripe.copy[0], noise0);
  EXPECT_EQ(stripe.copy[5], noise5);
}

TEST_F(Erasure, SaysSoWhenTooFewColumnsAreLeft) {
  Stripe stripe = Make(4, 2, 100);
  const Status status = ErasureCodeFor(4, 2).Reconstruct(stripe.Columns(), Bit(0) | Bit(1), Bit(4));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kDataLost);
  EXPECT_EQ(stripe.copy, stripe.truth) << "nothing was written";
  Stripe bare = Make(3, 0, 100);
  EXPECT_EQ(ErasureCodeFor(3, 0).Reconstruct(bare.Columns(), Bit(2), 0).error().code(),
            ErrorCode::kDataLost);
}

TEST_F(Erasure, AnswersTheSameAfterTheDecodeCacheHasOverflowed) {
  Stripe stripe = Make(20, 4, 64);
  for (int i = 0; i < 600; ++i) {
    ErasureMask lost = 0;
    while (std::popcount(lost) < 4) lost |= Bit(static_cast<int>(random_() % 24));
    ExpectRestored(20, 4, stripe, lost);
    if (HasFatalFailure()) return;
  }
}

// The parity on existing disks rests on these bytes.
TEST_F(Erasure, NeverChangesItsParity) {
  const ByteVector a = {std::byte{1}, std::byte{2}};
  const ByteVector b = {std::byte{3}, std::byte{0}};
  ByteVector p(2);
  ByteVector q(2);
  const std::vector<ByteSpan> data = {a, b};
  const std::vector<MutableByteSpan> parity = {p, q};
  ErasureCodeFor(2, 2).Encode(data, parity);
  // Row i, column j of the matrix is 1 / (i xor j), in GF(2^8) with the polynomial 0x11D; worked
  // out apart from the library.
  EXPECT_EQ(p, (ByteVector{std::byte{0x8F}, std::byte{0x01}}));
  EXPECT_EQ(q, (ByteVector{std::byte{0x7B}, std::byte{0xF5}}));
}

}  // namespace
}  // namespace varve
