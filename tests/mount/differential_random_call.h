// One call of the random differential test: which, by whom, with what. It means something in any
// state of the world, so that a list of calls can be repeated and shortened.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <ctime>
#include <random>
#include <string>
#include <vector>

namespace varve {

class RandomWorld;

struct RandomCall {
  std::size_t kind = 0;  // index into RandomKinds()
  std::size_t user = 0;  // index into AllUsers()
  mode_t umask = 0;
  // Whether to look at what it is about beforehand as well, so as to see which times move. The look
  // fills the kernel's caches, so it is not always good.
  bool looks_before = true;

  // Arguments; each kind takes those that it has a use for. Few different ones, so that calls meet.
  std::string path, other_path;
  std::size_t slot = 0, other_slot = 0;  // open descriptors
  std::size_t variant = 0;               // of the kind
  int open_flags = 0;
  mode_t mode = 0;
  off_t offset = 0, other_offset = 0;
  std::size_t length = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::array<timespec, 2> times{};
  std::string key, value;  // of an extended attribute
};

struct RandomKind {
  std::string name;
  int weight;
  // Which arguments it takes: p, q paths; s, t slots; v variant; f open flags; m mode; o, O
  // offsets; l length; u owners; T times; x extended attribute.
  std::string arguments;
  std::string (*run)(RandomWorld& world, const RandomCall& call);
};
const std::vector<RandomKind>& RandomKinds();

constexpr std::size_t kSlots = 6;

RandomCall RollCall(std::mt19937_64& random);
std::string Describe(const RandomCall& call);

}  // namespace varve
