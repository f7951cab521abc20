#include "fs/core/when.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <random>

namespace varve {
namespace {

// 2026-11-23T15:02:25Z
constexpr TimeNs kMoment = 1795446145LL * kNsPerSecond;
constexpr TimeNs kHour = 3600 * kNsPerSecond;
constexpr TimeNs kNow = kMoment + 500 * kHour;

TimeNs Time(std::string_view text) {
  const Result<When> when = ParseWhen(text, kNow);
  EXPECT_TRUE(when.ok()) << text << ": " << (when.ok() ? "" : when.error().message());
  if (!when.ok() || !std::holds_alternative<TimeNs>(*when)) {
    ADD_FAILURE() << text << " is no time";
    return -1;
  }
  return std::get<TimeNs>(*when);
}

std::string Refusal(std::string_view text) {
  const Result<When> when = ParseWhen(text, kNow);
  if (when.ok()) {
    ADD_FAILURE() << text << " was accepted";
    return "";
  }
  EXPECT_EQ(when.error().code(), ErrorCode::kInvalidArgument) << text;
  return when.error().message();
}

bool IsName(std::string_view text) {
  const Result<When> when = ParseWhen(text, kNow);
  return when.ok() && std::holds_alternative<std::string>(*when) &&
         std::get<std::string>(*when) == text;
}

class TimeZone {
 public:
  explicit TimeZone(const char* name) {
    if (const char* old = std::getenv("TZ")) old_ = old;
    setenv("TZ", name, 1);
    tzset();
  }
  ~TimeZone() {
    if (old_.empty()) {
      unsetenv("TZ");
    } else {
      setenv("TZ", old_.c_str(), 1);
    }
    tzset();
  }
  TimeZone(const TimeZone&) = delete;
  TimeZone& operator=(const TimeZone&) = delete;

 private:
  std::string old_;
};

TEST(When, ReadsRfc3339) {
  EXPECT_EQ(Time("2026-11-23T15:02:25Z"), kMoment);
  EXPECT_EQ(Time("2026-11-23t15:02:25z"), kMoment);
  EXPECT_EQ(Time("2026-11-23T16:02:25+01:00"), kMoment);
  EXPECT_EQ(Time("2026-11-23T16:02:25+0100"), kMoment);
  EXPECT_EQ(Time("2026-11-23T16:02:25+01"), kMoment);
  EXPECT_EQ(Time("2026-11-23T09:32:25-05:30"), kMoment);
  EXPECT_EQ(Time("2026-11-23T15:02:25.5Z"), kMoment + kNsPerSecond / 2);
  EXPECT_EQ(Time("2026-11-23T15:02:25.123456789Z"), kMoment + 123456789);
  EXPECT_EQ(Time("2026-11-23T15:02:25.1234567899Z"), kMoment + 123456789);
  EXPECT_EQ(Time("2026-11-23T15:02Z"), kMoment - 25 * kNsPerSecond);
}

TEST(When, ReadsTheFormsThatFitIntoFileNames) {
  EXPECT_EQ(Time("2026-11-23_15:02:25Z"), kMoment);
  EXPECT_EQ(Time("2026-11-23_15-02-25Z"), kMoment);
  EXPECT_EQ(Time("2026-11-23 15-02-25 +01:00"), kMoment - kHour);
  EXPECT_EQ(Time("2026-11-23T15-02Z"), kMoment - 25 * kNsPerSecond);
  EXPECT_EQ(Time("2026-11-23_15-02-25.000000001Z"), kMoment + 1);
}

TEST(When, TakesLocalTimeWithoutAnOffset) {
  const TimeZone zone("XYZ-2");  // two hours east, no summer time
  EXPECT_EQ(Time("2026-11-23T17:02:25"), kMoment);
  EXPECT_EQ(Time("2026-11-23 17-02-25.25"), kMoment + kNsPerSecond / 4);
  EXPECT_EQ(Time("2026-11-23"), Time("2026-11-22T22:00:00Z"));
}

TEST(When, ReadsSambasPreviousVersions) {
  EXPECT_EQ(Time("@GMT-2026.11.23-15.02.25"), kMoment);
  const TimeZone zone("XYZ-2");
  EXPECT_EQ(Time("@GMT-2026.11.23-15.02.25"), kMoment);
  EXPECT_NE(Refusal("@GMT-2026.11.23").find("@GMT-YYYY.MM.DD-HH.MM.SS"), std::string::npos);
  EXPECT_NE(Refusal("@GMT-2026.13.23-15.02.25").find("month"), std::string::npos);
  Refusal("@GMT-2026.11.23-15.02.25x");
  Refusal("@GMT");
}

TEST(When, ReadsRelativeMoments) {
  EXPECT_EQ(Time("now"), kNow);
  EXPECT_EQ(Time("yesterday"), kNow - 24 * kHour);
  EXPECT_EQ(Time("2h-ago"), kNow - 2 * kHour);
  EXPECT_EQ(Time("2h"), kNow - 2 * kHour);
  EXPECT_EQ(Time("2 hours ago"), kNow - 2 * kHour);
  EXPECT_EQ(Time("1 hour ago"), kNow - kHour);
  EXPECT_EQ(Time("90s-ago"), kNow - 90 * kNsPerSecond);
  EXPECT_EQ(Time("3d-ago"), kNow - 72 * kHour);
  EXPECT_EQ(Time("1w"), kNow - 168 * kHour);
  EXPECT_EQ(Time("5m-ago"), kNow - 300 * kNsPerSecond);
  EXPECT_EQ(Time("250ms-ago"), kNow - 250'000'000);
  EXPECT_EQ(Time("7us"), kNow - 7000);
  EXPECT_EQ(Time("9ns-ago"), kNow - 9);
  EXPECT_EQ(Time("1h30m-ago"), kNow - 90 * 60 * kNsPerSecond);
}

TEST(When, ReadsPositionsInHistory) {
  const Result<When> when = ParseWhen("@123", kNow);
  ASSERT_TRUE(when.ok());
  EXPECT_EQ(std::get<Lsn>(*when), Lsn(123));
  Refusal("@");
  Refusal("@0");
  Refusal("@12x");
  Refusal("@-1");
  Refusal("@18446744073709551615");
  EXPECT_NE(Refusal("@99999999999999999999").find("too large"), std::string::npos);
}

TEST(When, TakesTheRestForSnapshotNames) {
  for (std::string_view name :
       {"before-upgrade", "2h-agoo", "5x", "2026", "2026-release", "2026-11-23-before", "h",
        "2026-11-23_nightly", "yesterdays", "Now", "-ago", "versions"}) {
    EXPECT_TRUE(IsName(name)) << name;
  }
}

TEST(When, RefusesWhatLooksLikeATimeAndIsNone) {
  EXPECT_NE(Refusal("2026-13-01").find("month"), std::string::npos);
  EXPECT_NE(Refusal("2026-02-29").find("day"), std::string::npos);
  EXPECT_NE(Refusal("2026-00-01").find("month"), std::string::npos);
  EXPECT_NE(Refusal("2026-11-23T24:00:00Z").find("hour"), std::string::npos);
  EXPECT_NE(Refusal("2026-11-23T15:60:00Z").find("minute"), std::string::npos);
  EXPECT_NE(Refusal("2026-11-23T15:02:61Z").find("second"), std::string::npos);
  EXPECT_NE(Refusal("1600-01-01").find("year"), std::string::npos);
  EXPECT_NE(Refusal("9999-01-01").find("year"), std::string::npos);
  Refusal("2026-11-23T15");
  Refusal("2026-11-23T");
  Refusal("2026-11-23T15:02:25+1");
  Refusal("2026-11-23T15:02:25+99:00");
  Refusal("2026-11-23T15:02:25Zulu");
  Refusal("2026-11-23T15:02:25 or so");
  Refusal("");
  EXPECT_NE(Refusal("99999999999999999999h-ago").find("too long ago"), std::string::npos);
  EXPECT_NE(Refusal("9999999999w").find("too long ago"), std::string::npos);
}

TEST(When, SaysWhatItAccepts) {
  const std::string message = Refusal("2026-13-01");
  EXPECT_NE(message.find("2026-13-01"), std::string::npos);
  EXPECT_NE(message.find("2h-ago"), std::string::npos);
  EXPECT_NE(message.find("@GMT-"), std::string::npos);
}

TEST(When, FormatsSoThatTextSortsAsTime) {
  EXPECT_EQ(FormatTime(kMoment + 123456789), "2026-11-23T15:02:25.123456789Z");
  EXPECT_EQ(FormatTimeForName(kMoment + 1), "2026-11-23_15-02-25.000000001Z");
  EXPECT_EQ(FormatTime(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(FormatTime(-1), "1969-12-31T23:59:59.999999999Z");
}

TEST(When, EveryFormattedTimeReadsBackAsTheSameMoment) {
  std::uint64_t seed = std::random_device{}();
  if (const char* given = std::getenv("VARVE_SEED")) seed = std::strtoull(given, nullptr, 0);
  SCOPED_TRACE("VARVE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const TimeZone zone("XYZ+7");
  std::uniform_int_distribution<TimeNs> times(-9'000'000'000'000'000'000,
                                              9'000'000'000'000'000'000);
  TimeNs last = 0;
  for (int i = 0; i < 2000; ++i) {
    const TimeNs time = times(random);
    EXPECT_EQ(Time(FormatTime(time)), time);
    EXPECT_EQ(Time(FormatTimeForName(time)), time);
    EXPECT_EQ(FormatTime(time) < FormatTime(last), time < last);
    last = time;
  }
}

TEST(When, NeverCrashesOnNoise) {
  std::uint64_t seed = std::random_device{}();
  if (const char* given = std::getenv("VARVE_SEED")) seed = std::strtoull(given, nullptr, 0);
  SCOPED_TRACE("VARVE_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string_view alphabet = "0123456789-:._ TZ+@GMTago hmsdw";
  for (int i = 0; i < 20000; ++i) {
    std::string text = random() % 2 ? "2026-11-2" : "";
    const std::size_t length = random() % 20;
    for (std::size_t c = 0; c < length; ++c) text += alphabet[random() % alphabet.size()];
    const Result<When> when = ParseWhen(text, kNow);
    if (!when.ok()) {
      EXPECT_EQ(when.error().code(), ErrorCode::kInvalidArgument) << text;
    }
  }
}

TEST(When, SnapshotNamesCannotBeMistakenForMoments) {
  for (std::string_view name : {"before-upgrade", "x", "2026-release", "nightly 7", "\xC3\xA4"}) {
    EXPECT_TRUE(CheckSnapshotName(name).ok()) << name;
  }
  for (std::string_view name :
       {"", ".hidden", "@5", "@home", "versions", "now", "yesterday", "2h-ago", "3d", "2026-11-23",
        "2026-13-01", "a/b", "a\nb", "2026-11-23_15-02-25Z"}) {
    const Status status = CheckSnapshotName(name);
    ASSERT_FALSE(status.ok()) << name;
    EXPECT_EQ(status.error().code(), ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_FALSE(CheckSnapshotName(std::string_view("a\0b", 3)).ok());
  EXPECT_TRUE(CheckSnapshotName(std::string(200, 'x')).ok());
  EXPECT_FALSE(CheckSnapshotName(std::string(201, 'x')).ok());
}

}  // namespace
}  // namespace varve
