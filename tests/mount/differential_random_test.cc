// Random calls to Varve and to ext4, by three users, on few names, few descriptors and small
// offsets, so that they meet. VARVE_SEED repeats a run, VARVE_DIFFERENTIAL_CALLS sets its length.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "tests/mount/differential_fixture.h"
#include "tests/mount/differential_random_world.h"
#include "tests/support/random_seed.h"

namespace varve {
namespace {

using Calls = std::vector<RandomCall>;

constexpr std::size_t kCallsBetweenLooks = 500;
constexpr std::size_t kMaxNodes = 300;
constexpr std::chrono::seconds kShorteningTime{60};
constexpr std::size_t kMaxToldCalls = 40;

std::size_t CallCount() {
  if (const char* given = std::getenv("VARVE_DIFFERENTIAL_CALLS"))
    return std::strtoull(given, nullptr, 10);
  return std::getenv("VARVE_LONG") != nullptr ? 500'000 : 50'000;
}

class RandomDifferentialTest : public DifferentialTest {
 protected:
  RandomDifferentialTest() : DifferentialTest("random", Ext4Reference::Atime::kNever) {}

  struct Mismatch {
    std::size_t call = 0;  // its number in the list
    std::string text;
  };

  struct Worlds {
    RandomWorld varve;
    RandomWorld ext4;
  };

  Worlds MakeWorlds(const std::string& name) {
    return {RandomWorld(sides_[0].root, name), RandomWorld(sides_[1].root, name)};
  }

  std::optional<std::string> DoBoth(Worlds& worlds, const RandomCall& call) {
    const auto times = times_are_fine_ ? RandomWorld::Times::kTell : RandomWorld::Times::kKeepQuiet;
    const std::string varve = worlds.varve.Do(call, times);
    const std::string ext4 = worlds.ext4.Do(call, times);
    if (varve != ext4) return "\n    varve: " + varve + "\n    ext4:  " + ext4;
    const char first = varve.empty() ? 'E' : varve[0];
    if (first != 'E') ++succeeded_;  // errnos begin with an E, and nothing else does
    return std::nullopt;
  }

  // Whole trees and what is open; `*nodes` is how many there are.
  static std::optional<std::string> CompareWorlds(const Worlds& worlds, std::size_t* nodes) {
    const TreeView view = worlds.varve.View();
    *nodes = view.size();
    const std::string trees = DescribeDisagreement(view, worlds.ext4.View());
    if (!trees.empty()) return "the trees:" + trees;
    const std::string excess = DescribeExcessOfBlocks(worlds.varve.top(), worlds.ext4.top(), view);
    if (!excess.empty()) return "room taken:" + excess;
    const std::string varve = worlds.varve.DescribeSlots();
    const std::string ext4 = worlds.ext4.DescribeSlots();
    if (varve == ext4) return std::nullopt;
    return "what is open:\n  varve:" + varve + "\n  ext4:" + ext4;
  }

  // Makes the calls until the sides differ.
  std::optional<Mismatch> Run(Worlds& worlds, const Calls& calls) {
    std::size_t nodes = 0;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (const auto text = DoBoth(worlds, calls[i])) return Mismatch{i, *text};
      if (i % kCallsBetweenLooks + 1 != kCallsBetweenLooks && i + 1 != calls.size()) continue;
      if (const auto text = CompareWorlds(worlds, &nodes)) return Mismatch{i, *text};
      if (nodes < kMaxNodes) continue;
      worlds.varve.Clear();
      worlds.ext4.Clear();
    }
    return std::nullopt;
  }

  std::optional<Mismatch> RunAnew(const Calls& calls) {
    Worlds worlds = MakeWorlds(fmt::format("again-{}", ++repetitions_));
    const auto mismatch = Run(worlds, calls);
    worlds.varve.Clear();
    worlds.ext4.Clear();
    return mismatch;
  }

  // Fewer calls that end in a difference too; all of them if none are found in time. They need not
  // end in the same one.
  Calls Shorten(Calls calls) {
    const auto deadline = std::chrono::steady_clock::now() + kShorteningTime;
    const auto shorter = [&](const Calls& candidate) {
      const auto mismatch = RunAnew(candidate);
      if (!mismatch) return false;
      calls.assign(candidate.begin(),
                   candidate.begin() + static_cast<std::ptrdiff_t>(mismatch->call) + 1);
      return true;
    };
    for (std::size_t tail = 100; tail < calls.size(); tail *= 4) {
      if (std::chrono::steady_clock::now() > deadline) return calls;
      if (shorter(Calls(calls.end() - static_cast<std::ptrdiff_t>(tail), calls.end()))) break;
    }
    for (std::size_t part = calls.size() / 2; part > 0; part /= 2) {
      for (std::size_t from = 0; from < calls.size();) {
        if (std::chrono::steady_clock::now() > deadline) return calls;
        Calls candidate = calls;
        const std::size_t to = std::min(from + part, calls.size());
        candidate.erase(candidate.begin() + static_cast<std::ptrdiff_t>(from),
                        candidate.begin() + static_cast<std::ptrdiff_t>(to));
        if (!shorter(candidate)) from += part;
      }
    }
    return calls;
  }

  void Tell(const Calls& calls, const Mismatch& mismatch) {
    const Calls until(calls.begin(),
                      calls.begin() + static_cast<std::ptrdiff_t>(mismatch.call) + 1);
    std::string text =
        fmt::format("call {}: {}: {}\n", mismatch.call, Describe(until.back()), mismatch.text);
    const Calls shortened = Shorten(until);
    if (shortened.size() <= kMaxToldCalls) {
      text += "these calls in an empty directory are enough:\n";
      for (const RandomCall& call : shortened) text += "  " + Describe(call) + "\n";
      if (const auto again = RunAnew(shortened)) text += "and differ in " + again->text;
    } else {
      text += fmt::format("not shortened below {} calls", shortened.size());
    }
    ADD_FAILURE() << text;
  }

  int repetitions_ = 0;
  std::size_t succeeded_ = 0;
};

TEST_F(RandomDifferentialTest, NothingTellsVarveFromExt4) {
  const std::uint64_t seed = RandomSeed();
  std::mt19937_64 random(seed);
  const std::size_t count = CallCount();
  constexpr std::size_t kParts = 4;  // after each of which Varve is mounted anew
  for (std::size_t part = 0; part < kParts; ++part) {
    Calls calls;
    for (std::size_t i = 0; i < count / kParts; ++i) calls.push_back(RollCall(random));
    {
      Worlds worlds = MakeWorlds("random");
      if (const auto mismatch = Run(worlds, calls)) return Tell(calls, *mismatch);
    }
    Leave();
    ASSERT_NO_FATAL_FAILURE(Remount());
    Enter();
    const Worlds worlds = MakeWorlds("random");
    std::size_t nodes = 0;
    const auto text = CompareWorlds(worlds, &nodes);
    ASSERT_FALSE(text) << "after mounting anew: " << *text;
  }
  std::cout << count << " calls, of which " << succeeded_ << " succeeded" << std::endl;
  // Calls that all fail alike would say little; small names and few descriptors cost many a call.
  EXPECT_GT(succeeded_, count / 8);
  Leave();
  ASSERT_EQ(volume_.Unmount().status, 0);
  const RunResult checked = volume_.Run({"fsck", "-n", volume_.disk(0)});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
}

}  // namespace
}  // namespace varve
