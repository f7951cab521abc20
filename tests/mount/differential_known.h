// Where Varve differs from ext4 and is meant to, or cannot do otherwise. docs/TESTING.md tells the
// same to people.
#pragma once

#include <string>
#include <vector>

namespace varve {

struct KnownDifference {
  std::string part;  // the test it belongs to
  // Patterns as of fnmatch(3): the call, and what the two sides answer.
  std::string call;
  std::string varve;
  std::string ext4;
  std::string reason;
  // Seen with every kernel and libfuse? If so, that it is gone is a failure of the test as well, so
  // that the table stays true.
  enum class Seen { kAlways, kSometimes } seen = Seen::kAlways;
};

const std::vector<KnownDifference>& KnownDifferences();

}  // namespace varve
