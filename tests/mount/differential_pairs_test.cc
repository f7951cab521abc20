// Every call that takes two paths, under every pair of conditions.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "tests/mount/differential_fixture.h"
#include "tests/mount/differential_scene.h"

namespace varve {
namespace {

class PairsDifferentialTest : public DifferentialTest {
 protected:
  PairsDifferentialTest() : DifferentialTest("pairs") {}

  using PairCall = std::function<long(const char* from, const char* to)>;

  void CompareAll(const std::string& name, const User& user, const PairCall& call) {
    for (const Condition& from : PairConditions()) {
      for (const Condition& to : PairConditions()) {
        CompareInScene(fmt::format("{}({}, {})", name, from.name, to.name), user,
                       [&] { return Answer(call(from.path.c_str(), to.path.c_str())); });
      }
    }
  }

  static PairCall RenameWith(unsigned flags) {
    return [=](const char* from, const char* to) {
      return ::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
    };
  }
};

TEST_F(PairsDifferentialTest, RenamingByRoot) { CompareAll("rename", Root(), RenameWith(0)); }
TEST_F(PairsDifferentialTest, RenamingByAnOwner) { CompareAll("rename", Owner(), RenameWith(0)); }
TEST_F(PairsDifferentialTest, RenamingByAnother) { CompareAll("rename", Other(), RenameWith(0)); }

TEST_F(PairsDifferentialTest, RenamingWithoutReplacing) {
  CompareAll("rename NOREPLACE", Root(), RenameWith(RENAME_NOREPLACE));
}

TEST_F(PairsDifferentialTest, ExchangingByRoot) {
  CompareAll("rename EXCHANGE", Root(), RenameWith(RENAME_EXCHANGE));
}

TEST_F(PairsDifferentialTest, ExchangingByAnOwner) {
  CompareAll("rename EXCHANGE", Owner(), RenameWith(RENAME_EXCHANGE));
}

TEST_F(PairsDifferentialTest, FlagsThatContradictEachOther) {
  for (const unsigned flags :
       {RENAME_NOREPLACE | RENAME_EXCHANGE, RENAME_WHITEOUT | RENAME_EXCHANGE, 8, 128}) {
    CompareInScene(fmt::format("rename {}(file, missing)", flags), Root(),
                   [&] { return Answer(RenameWith(flags)("file", "missing")); });
  }
  for (const User& user : {Root(), Owner()}) {
    CompareInScene("rename WHITEOUT(dir-owner/subdir, dir-owner/missing)", user, [&] {
      return Answer(RenameWith(RENAME_WHITEOUT)("dir-owner/subdir", "dir-owner/missing"));
    });
  }
}

TEST_F(PairsDifferentialTest, LinkingByRoot) {
  CompareAll("link", Root(), [](const char* from, const char* to) { return ::link(from, to); });
}

TEST_F(PairsDifferentialTest, LinkingByAnOwner) {
  CompareAll("link", Owner(), [](const char* from, const char* to) { return ::link(from, to); });
}

TEST_F(PairsDifferentialTest, LinkingWhatALinkLeadsTo) {
  CompareAll("link FOLLOW", Root(), [](const char* from, const char* to) {
    return ::linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
  });
}

}  // namespace
}  // namespace varve
