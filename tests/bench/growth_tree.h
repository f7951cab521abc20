// The tree that scripts/bench --growth measures in: how its files are called and how much happens
// to each. The program that makes the history and the one that measures agree on it here.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace varve {

inline constexpr std::uint64_t kFilesOfADirectory = 100;
// Changes of the volume to each file on average, its creation and first bytes included.
inline constexpr std::uint64_t kVersionsOfAFile = 10;
inline constexpr std::uint64_t kVersionsOfADirectory = kFilesOfADirectory * kVersionsOfAFile;
inline constexpr std::size_t kGrowthFileBytes = 4096;

// Directory `index`, in the root.
inline std::string GrowthDirectory(std::uint64_t index) { return "d" + std::to_string(index); }
// File `index`, in any directory: names of the length that people's files have.
inline std::string GrowthFile(std::uint64_t index) {
  char name[32];
  std::snprintf(name, sizeof(name), "measured-%04u.dat", static_cast<unsigned>(index));
  return name;
}

}  // namespace varve
