// Does the same to Varve and to an ext4 of this machine's kernel, and compares: what calls answer
// and what can be seen afterwards. Nothing is expected from memory.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/base/unique_fd.h"
#include "tests/mount/differential_known.h"
#include "tests/mount/differential_users.h"
#include "tests/mount/differential_view.h"
#include "tests/mount/mounted_test.h"
#include "tests/support/ext4_reference.h"

namespace varve {

inline constexpr std::size_t kPage = 4096;

// What happened in a story.
class Transcript {
 public:
  void Tell(const std::string& what, const std::string& answer) {
    lines_.emplace_back(what, answer);
  }
  void Tell(const std::string& what, long result) { Tell(what, Answer(result)); }

  using Line = std::pair<std::string, std::string>;
  const std::vector<Line>& lines() const { return lines_; }

 private:
  std::vector<Line> lines_;
};

class DifferentialTest : public MountedTest {
 protected:
  // `part`: whose known differences count.
  explicit DifferentialTest(std::string part,
                            Ext4Reference::Atime atime = Ext4Reference::Atime::kRelative)
      : part_(std::move(part)), atime_(atime) {
    if (atime == Ext4Reference::Atime::kNever) mount_options_ = "noatime";
  }

  void SetUp() override;
  void TearDown() override;

  // Says what happened, for the comparison; runs in the directory that is the same on both sides.
  using Call = std::function<std::string()>;
  using Story = std::function<void(Transcript&)>;

  // Runs a whole story in an empty directory of each side, compares it line by line and then what
  // is there.
  void CompareStory(const std::string& name, const Story& story);

  // Runs one call in a scene (BuildScene) as that user, and compares what it changed as well.
  void CompareInScene(const std::string& name, const User& user, const Call& call);

  // Fails unless the two are the same or are known to differ.
  void Judge(const std::string& call, const std::string& varve, const std::string& ext4);

  // Opens the roots again after a remount; leaves them before one.
  void Enter();
  void Leave();

  struct Side {
    int root = -1;
    UniqueFd scene_top;  // the directory that the scene's is in: what is looked at
    UniqueFd scene;
    TreeView before;
    std::set<std::string> to_restore;  // entries of the scene that the last call has changed
    int calls = 0;
  };
  std::array<Side, 2> sides_;  // Varve, ext4
  // Whether two changes one after the other have two times.
  bool times_are_fine_ = false;

 private:
  std::string RunInScene(Side& side, const User& user, const Call& call);
  void PrepareScene(Side& side);
  void BuildSceneAnew(Side& side);
  void WaitUntilTimesMove() const;
  bool IsKnown(const std::string& call, const std::string& varve, const std::string& ext4);

  const std::string part_;
  const Ext4Reference::Atime atime_;
  Ext4Reference ext4_;
  UniqueFd varve_root_;
  int stories_ = 0;
  int compared_ = 0;
  std::set<const KnownDifference*> asked_;  // about calls that they speak of
  std::set<const KnownDifference*> seen_;
};

}  // namespace varve
