#include "tests/mount/differential_fixture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>
#include <regex>
#include <thread>
#include <utility>

#include "tests/mount/differential_scene.h"

namespace varve {
namespace {

constexpr int kCallsBetweenWholeLooks = 200;

UniqueFd OpenDirectory(int parent, const std::string& name) {
  UniqueFd fd(::openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(fd) << name << ": " << std::strerror(errno);
  return fd;
}

UniqueFd MakeDirectory(int parent, const std::string& name) {
  EXPECT_EQ(::mkdirat(parent, name.c_str(), 0755), 0) << name << ": " << std::strerror(errno);
  return OpenDirectory(parent, name);
}

void Go(int directory) { EXPECT_EQ(::fchdir(directory), 0) << std::strerror(errno); }

// Newer kernels give every change that can be told from the one before a time of its own; with
// older ones those of one tick of the clock look the same.
bool TimesAreFine(int directory) {
  TreeView before;
  for (int i = 0; i < 200; ++i) {
    if (::fchmodat(directory, ".", i % 2 == 0 ? 0755 : 0700, 0) != 0) return false;
    TreeView after;
    after["."] = ViewNode(directory, ".");
    if (i > 0 && after["."].ctime_ns == before["."].ctime_ns) return false;
    before = std::move(after);
  }
  return true;
}

bool IsSame(const TreeView& view, const std::string& path, const NodeView& node) {
  const auto there = view.find(path);
  return there != view.end() && there->second.text == node.text &&
         there->second.inode == node.inode && there->second.mtime_ns == node.mtime_ns &&
         there->second.ctime_ns == node.ctime_ns;
}

// What a call has done, but for which times it has moved.
std::string WithoutMoves(const std::string& told) {
  static const std::regex moves(" [acm]time moved");
  static const std::regex nothing_else("[^;]*:;");
  return std::regex_replace(std::regex_replace(told, moves, ""), nothing_else, "");
}

// Whose entry of the scene a path below the directory around it is.
std::string EntryOf(const std::string& path) {
  const std::string below = path.substr(std::string_view("scene/").size());
  return below.substr(0, below.find('/'));
}

// False if more than entries of the scene has changed, but that they came and went.
bool FindChangedEntries(const TreeView& before, const TreeView& after,
                        std::set<std::string>& entries) {
  for (const auto& [one, two] : {std::pair(&before, &after), std::pair(&after, &before)}) {
    for (const auto& [path, node] : *one) {
      if (IsSame(*two, path, node)) continue;
      if (path.starts_with("scene/")) {
        entries.insert(EntryOf(path));
      } else if (path != "scene" || !two->contains(path) || two->at(path).text != node.text) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

void DifferentialTest::SetUp() {
  if (const auto why = Ext4Reference::WhyCannotMount()) GTEST_SKIP() << *why;
  MountedTest::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  const Status mounted = ext4_.Mount(atime_);
  ASSERT_TRUE(mounted.ok()) << mounted.error().message();
  Enter();
  const UniqueFd probe = MakeDirectory(ext4_.root(), "probe");
  times_are_fine_ = TimesAreFine(probe.get());
}

void DifferentialTest::Enter() {
  varve_root_ = OpenDirectory(AT_FDCWD, volume_.mountpoint());
  sides_[0].root = varve_root_.get();
  sides_[1].root = ext4_.root();
}

void DifferentialTest::Leave() {
  EXPECT_EQ(::chdir("/"), 0);
  for (Side& side : sides_) side = Side();
  varve_root_.Reset();
}

void DifferentialTest::TearDown() {
  Leave();
  MountedTest::TearDown();
  if (IsSkipped() || HasFailure()) return;
  for (const KnownDifference& difference : KnownDifferences()) {
    if (!asked_.contains(&difference)) continue;
    EXPECT_TRUE(seen_.contains(&difference))
        << "no longer different, so to be struck off the list: " << difference.call << " ("
        << difference.reason << ")";
  }
  std::cout << compared_ << " comparisons" << std::endl;
}

bool DifferentialTest::IsKnown(const std::string& call, const std::string& varve,
                               const std::string& ext4) {
  const auto matches = [](const std::string& pattern, const std::string& text) {
    return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
  };
  bool known = false;
  for (const KnownDifference& difference : KnownDifferences()) {
    if (difference.part != part_ || !matches(difference.call, call)) continue;
    if (difference.seen == KnownDifference::Seen::kAlways) asked_.insert(&difference);
    if (matches(difference.varve, varve) && matches(difference.ext4, ext4)) {
      seen_.insert(&difference);
      known = true;
    }
  }
  return known;
}

void DifferentialTest::Judge(const std::string& call, const std::string& varve,
                             const std::string& ext4) {
  ++compared_;
  const bool known = IsKnown(call, varve, ext4);
  if (varve == ext4 || known) return;
  ADD_FAILURE() << call << "\n  varve: " << varve << "\n  ext4:  " << ext4;
}

void DifferentialTest::CompareStory(const std::string& name, const Story& story) {
  std::array<Transcript, 2> told;
  std::array<TreeView, 2> views;
  std::array<UniqueFd, 2> places;
  const std::string directory = fmt::format("story-{}", ++stories_);
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    places[i] = MakeDirectory(sides_[i].root, directory);
    Go(places[i].get());
    story(told[i]);
    Go(places[i].get());
    views[i] = ViewTree(places[i].get());
  }
  EXPECT_EQ(::chdir("/"), 0);
  const std::vector<Transcript::Line>& varve = told[0].lines();
  const std::vector<Transcript::Line>& ext4 = told[1].lines();
  EXPECT_EQ(varve.size(), ext4.size()) << name << " went another way";
  for (std::size_t i = 0; i < std::min(varve.size(), ext4.size()); ++i) {
    EXPECT_EQ(varve[i].first, ext4[i].first) << name << " went another way";
    Judge(name + ": " + varve[i].first, varve[i].second, ext4[i].second);
  }
  const std::string disagreement = DescribeDisagreement(views[0], views[1]);
  if (!disagreement.empty()) Judge(name + ": afterwards", disagreement, "");
  const std::string excess = DescribeExcessOfBlocks(places[0].get(), places[1].get(), views[0]);
  if (!excess.empty()) Judge(name + ": blocks", excess, "");
}

void DifferentialTest::WaitUntilTimesMove() const {
  // A tick is 10 ms at most.
  if (!times_are_fine_) std::this_thread::sleep_for(std::chrono::milliseconds(12));
}

void DifferentialTest::BuildSceneAnew(Side& side) {
  EXPECT_EQ(::chdir("/"), 0);
  side.scene.Reset();
  side.scene_top.Reset();
  boost::filesystem::remove_all(fmt::format("/proc/self/fd/{}/scenes", side.root));
  side.scene_top = MakeDirectory(side.root, "scenes");
  side.scene = MakeDirectory(side.scene_top.get(), "scene");
  Go(side.scene.get());
  BuildScene();
  side.before = ViewTree(side.scene_top.get());
  WaitUntilTimesMove();
}

void DifferentialTest::PrepareScene(Side& side) {
  if (!side.scene) return BuildSceneAnew(side);
  Go(side.scene.get());
  if (side.to_restore.empty()) return;
  RestoreScene(side.to_restore);
  side.to_restore.clear();
  side.before = ViewTreeAgain(side.scene_top.get(), side.before);
  WaitUntilTimesMove();
}

std::string DifferentialTest::RunInScene(Side& side, const User& user, const Call& call) {
  PrepareScene(side);
  std::string answer;
  {
    const ActingAs acting(user);
    answer = call();
  }
  const bool whole = ++side.calls % kCallsBetweenWholeLooks == 0;
  const TreeView after =
      whole ? ViewTree(side.scene_top.get()) : ViewTreeAgain(side.scene_top.get(), side.before);
  const std::string change = DescribeChange(side.before, after);
  if (change.empty()) return answer;
  if (!FindChangedEntries(side.before, after, side.to_restore)) side.scene.Reset();
  return answer + "; " + change;
}

void DifferentialTest::CompareInScene(const std::string& name, const User& user, const Call& call) {
  std::string varve = RunInScene(sides_[0], user, call);
  std::string ext4 = RunInScene(sides_[1], user, call);
  if (varve != ext4 && WithoutMoves(varve) == WithoutMoves(ext4)) {
    // ext4 moves a time that nobody has looked at by the clock's tick only. Once more, a tick
    // later.
    const bool fine = std::exchange(times_are_fine_, false);
    varve = RunInScene(sides_[0], user, call);
    ext4 = RunInScene(sides_[1], user, call);
    times_are_fine_ = fine;
  }
  Judge(fmt::format("{} as {}", name, user.name), varve, ext4);
}

}  // namespace varve
