// What the tests of real mounts begin with: a 4+2 volume, mounted.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/mount_fixture.h"

namespace varve {

class MountedTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = MountFixture::WhyCannotMount()) GTEST_SKIP() << *why;
    const RunResult formatted = volume_.Format(6);
    ASSERT_EQ(formatted.status, 0) << formatted.err;
    MountIt();
  }

  void TearDown() override {
    if (!volume_.is_mounted()) return;
    const RunResult unmounted = volume_.Unmount();
    EXPECT_EQ(unmounted.status, 0) << unmounted.err;
  }

  // With the options given, or those of this kind of test.
  void MountIt(const std::string& options = "") {
    const RunResult mounted = volume_.Mount(options.empty() ? mount_options_ : options);
    ASSERT_EQ(mounted.status, 0) << mounted.err;
  }
  void Remount(const std::string& options = "") {
    const RunResult unmounted = volume_.Unmount();
    ASSERT_EQ(unmounted.status, 0) << unmounted.err;
    MountIt(options);
  }

  // The time now, as a WHEN; what happened before this call is before it, what happens later after.
  std::string Now();

  // varve with these words, which must succeed.
  std::string Varve(const std::vector<std::string>& words) {
    const RunResult result = volume_.Run(words);
    EXPECT_EQ(result.status, 0) << result.err;
    return result.out;
  }
  nlohmann::json VarveJson(std::vector<std::string> words) {
    words.emplace_back("--json");
    nlohmann::json parsed = nlohmann::json::parse(Varve(words), nullptr, false);
    EXPECT_FALSE(parsed.is_discarded());
    return parsed;
  }

  std::string mount_options_;
  MountFixture volume_{VARVE_BINARY};
};

}  // namespace varve
