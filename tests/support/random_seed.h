// The seed of a random test: from the environment (VARVE_SEED) or fresh, and always told, so that a
// failure can be replayed.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

namespace varve {

inline std::uint64_t RandomSeed() {
  const char* given = std::getenv("VARVE_SEED");
  std::random_device device;
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::uint64_t{device()};
  std::cout << "VARVE_SEED=" << seed << std::endl;
  testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

}  // namespace varve
