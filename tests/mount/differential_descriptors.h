// Descriptors of every kind, also of what has been removed, for calls that take one.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "tests/mount/differential_fixture.h"

namespace varve {

struct DescriptorCall {
  std::string name;
  std::function<std::string(int fd)> run;
};

class DescriptorsDifferentialTest : public DifferentialTest {
 protected:
  DescriptorsDifferentialTest() : DifferentialTest("descriptors") {}

  // Every call on a descriptor of every kind, each in a scene of its own.
  void CompareAll(const std::vector<DescriptorCall>& calls);
};

// What pread answers.
std::string Read(int fd, std::size_t length, off_t offset);

}  // namespace varve
