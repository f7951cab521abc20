// Bytes of three kinds, the same in every run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "store/base/bytes.h"

namespace varve {

enum class Sample {
  kText,    // words, frequent and rare ones, as in a log or a source file
  kRandom,  // does not compress: video, archives, encrypted data
  kHalf,    // of each 4 KiB one half random and one half the same word, as scripts/bench writes it
};

inline ByteVector RandomSample(std::size_t length_bytes, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  ByteVector bytes(length_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

inline ByteVector TextSample(std::size_t length_bytes) {
  std::mt19937_64 random(1);
  std::vector<std::string> words(4000);
  for (std::string& word : words) {
    for (std::uint64_t i = 2 + random() % 9; i > 0; --i) {
      word += static_cast<char>('a' + random() % 26);
    }
    word += random() % 12 == 0 ? '\n' : ' ';
  }
  std::string text;
  while (text.size() < length_bytes) {
    // The smaller of several throws: the first words come often, the last hardly ever.
    std::uint64_t word = random() % words.size();
    for (int i = 0; i < 3; ++i) word = std::min(word, random() % words.size());
    text += words[word];
  }
  const ByteSpan bytes = AsBytes(text).first(length_bytes);
  return {bytes.begin(), bytes.end()};
}

inline ByteVector MakeSample(Sample kind, std::size_t length_bytes) {
  if (kind == Sample::kText) return TextSample(length_bytes);
  ByteVector bytes = RandomSample(length_bytes);
  if (kind == Sample::kRandom) return bytes;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (at % 4096 >= 2048) bytes[at] = static_cast<std::byte>("repeated"[at % 8]);
  }
  return bytes;
}

}  // namespace varve
