// A directory with one of everything, and the paths into it that calls are tried with.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace varve {

// Fills the current directory. Owners, sticky and setgid bits, all types, links that lead nowhere,
// names at the limit. Failures are failures of the test.
void BuildScene();
// Makes those of its entries anew, and removes those that do not belong to it.
void RestoreScene(const std::set<std::string>& names);

struct Condition {
  std::string name;  // what is special about the path
  std::string path;
};
// Every way in which a path can be awkward.
const std::vector<Condition>& AllConditions();
// Those that matter to calls with two paths, where there is one of each pair.
const std::vector<Condition>& PairConditions();

}  // namespace varve
