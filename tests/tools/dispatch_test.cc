#include "tools/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/tools/run_verb.h"

namespace varve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::vector<std::string>& AllVerbs() {
  static const std::vector<std::string> verbs{"mkfs",    "mount",    "umount",   "status",
                                              "log",     "ls",       "cat",      "stat",
                                              "restore", "rollback", "snapshot", "fsck"};
  return verbs;
}

TEST(Dispatch, HelpNamesEveryVerb) {
  const VerbResult result = RunVerb({"--help"});
  EXPECT_EQ(result.status, kExitOk);
  for (const std::string& verb : AllVerbs())
    EXPECT_THAT(result.out, HasSubstr("\n  " + verb + " "));
}

TEST(Dispatch, EveryVerbHasHelpOnStandardOutput) {
  for (const std::string& verb : AllVerbs()) {
    const VerbResult result = RunVerb({verb, "--help"});
    EXPECT_EQ(result.status, kExitOk) << verb;
    EXPECT_THAT(result.out, HasSubstr("varve " + verb)) << verb;
    EXPECT_EQ(result.err, "") << verb;
  }
}

TEST(Dispatch, SaysItsVersion) {
  for (const char* word : {"--version", "-V"}) {
    const VerbResult result = RunVerb({word});
    EXPECT_EQ(result.status, kExitOk);
    EXPECT_THAT(result.out, testing::MatchesRegex("varve [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  }
}

TEST(Dispatch, WithoutAVerbItIsAUsageError) {
  const VerbResult result = RunVerb({});
  EXPECT_EQ(result.status, kExitUsage);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("usage: varve VERB"));
}

TEST(Dispatch, AnUnknownVerbIsNamed) {
  const VerbResult result = RunVerb({"frobnicate"});
  EXPECT_EQ(result.status, kExitUsage);
  EXPECT_THAT(result.err, HasSubstr("\"frobnicate\""));
}

TEST(Dispatch, UsageErrorsAreOneLineThatNamesTheVerbAndItsHelp) {
  for (const std::string& verb : AllVerbs()) {
    if (verb == "status" || verb == "fsck")
      continue;  // one needs no words, one has its own statuses
    const VerbResult result = RunVerb({verb});
    EXPECT_EQ(result.status, kExitUsage) << verb;
    EXPECT_THAT(result.err, StartsWith("varve " + verb + ": "));
    EXPECT_THAT(result.err, HasSubstr("varve " + verb + " --help"));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST(Dispatch, APathOutsideAnyVolumeIsAnErrorThatSaysSo) {
  for (const Args& words : std::vector<Args>{{"log", "/proc"},
                                             {"ls", "/proc", "--at", "now"},
                                             {"cat", "/proc/version", "--at", "now"},
                                             {"stat", "/proc", "--at", "now"},
                                             {"restore", "/proc", "--at", "now"},
                                             {"rollback", "/proc", "--to", "now"},
                                             {"snapshot", "list", "--on", "/proc"}}) {
    const VerbResult result = RunVerb(words);
    EXPECT_EQ(result.status, kExitError) << words[0];
    EXPECT_THAT(result.err, StartsWith("varve " + words[0] + ": /proc"));
    EXPECT_THAT(result.err, HasSubstr("not in a mounted Varve volume")) << words[0];
  }
}

TEST(Dispatch, UmountOfWhatIsNotAMountpointIsAnError) {
  const VerbResult result = RunVerb({"umount", "/proc"});
  EXPECT_EQ(result.status, kExitError);
  EXPECT_THAT(result.err, HasSubstr("not the mountpoint of a Varve volume"));
}

TEST(Dispatch, TheProgramsNameChoosesTheVerb) {
  EXPECT_THAT(RunVerb({"--help"}, "/sbin/mkfs.varve").out, HasSubstr("varve mkfs"));
  EXPECT_THAT(RunVerb({"--help"}, "mount.fuse.varve").out, HasSubstr("varve mount"));
  EXPECT_THAT(RunVerb({"--help"}, "/usr/sbin/fsck.varve").out, HasSubstr("varve fsck"));
}

Args Translated(const Args& args) {
  auto result = TranslateMountHelperArgs(args);
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(result.ok() && result->has_value());
  return result.ok() && result->has_value() ? **result : Args{};
}

TEST(Dispatch, KnowsWhatStartsADaemon) {
  EXPECT_TRUE(StartsDaemon({"varve", "mount", "disk", "place"}));
  EXPECT_TRUE(StartsDaemon({"/sbin/mount.fuse.varve", "disk", "place"}));
  EXPECT_FALSE(StartsDaemon({"/opt/mount.d/varve", "status"}));
  EXPECT_FALSE(StartsDaemon({"fsck.varve", "disk"}));
  EXPECT_FALSE(StartsDaemon({"varve"}));
  EXPECT_FALSE(StartsDaemon({}));
}

TEST(MountHelper, TakesWhatMountGivesIt) {
  EXPECT_EQ(Translated({"/disk", "/mnt", "-o", "rw,noauto,snapdir=visible"}),
            (Args{"-o", "rw,noauto,snapdir=visible", "--", "/disk", "/mnt"}));
  EXPECT_EQ(Translated({"/disk", "/mnt", "-sn", "-t", "fuse.varve", "-oro", "-v"}),
            (Args{"-o", "ro", "--", "/disk", "/mnt"}));
}

TEST(MountHelper, ARehearsalDoesNothing) {
  const auto result = TranslateMountHelperArgs({"/disk", "/mnt", "-f"});
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->has_value());
}

TEST(MountHelper, RefusesWhatMountNeverSays) {
  EXPECT_FALSE(TranslateMountHelperArgs({"/disk", "/mnt", "-x"}).ok());
  EXPECT_FALSE(TranslateMountHelperArgs({"/disk"}).ok());
  EXPECT_FALSE(TranslateMountHelperArgs({"/disk", "/mnt", "-o"}).ok());
}

}  // namespace
}  // namespace varve
