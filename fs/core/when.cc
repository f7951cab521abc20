#include "fs/core/when.h"

#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>

namespace varve {
namespace {

constexpr std::string_view kAcceptedForms =
    "a time like 2026-11-23T15:02:25Z, 2026-11-23_15-02 or 2026-11-23, 2h-ago, yesterday, now, "
    "@GMT-2026.11.23-15.02.25, @<lsn>, or a snapshot's name";
// TimeNs reaches from 1677 to 2262; whole years inside it.
constexpr int kFirstYear = 1678;
constexpr int kLastYear = 2261;
constexpr int kFractionDigits = 9;

Error Bad(std::string_view text, std::string_view why) {
  return Error(ErrorCode::kInvalidArgument, "'" + std::string(text) + "': " + std::string(why) +
                                                "; wanted " + std::string(kAcceptedForms));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Walks over the text; every Take answers nothing and stays where it is when it does not match.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }
  char Peek(std::size_t ahead = 0) const { return ahead < rest_.size() ? rest_[ahead] : '\0'; }
  std::string_view rest() const { return rest_; }

  bool Take(char c) {
    if (Peek() != c || AtEnd()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  char TakeAny(std::string_view characters) {
    if (AtEnd() || characters.find(Peek()) == std::string_view::npos) return '\0';
    const char c = Peek();
    rest_.remove_prefix(1);
    return c;
  }
  std::optional<int> Digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!IsDigit(Peek(i))) return std::nullopt;
      value = value * 10 + (Peek(i) - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }

 private:
  std::string_view rest_;
};

struct CivilTime {
  int year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0;
  std::int64_t fraction_ns = 0;
  std::optional<int> offset_seconds;  // nothing: local time
};

// Why the fields are no moment; empty if they are one.
std::string_view WhyNotCivil(const CivilTime& t) {
  if (t.year < kFirstYear || t.year > kLastYear) return "the year must be 1678 to 2261";
  if (t.month < 1 || t.month > 12) return "there is no such month";
  const std::chrono::year_month_day date{std::chrono::year(t.year),
                                         std::chrono::month(static_cast<unsigned>(t.month)),
                                         std::chrono::day(static_cast<unsigned>(t.day))};
  if (!date.ok()) return "there is no such day in that month";
  if (t.hour > 23) return "there is no such hour";
  if (t.minute > 59) return "there is no such minute";
  if (t.second > 60) return "there is no such second";  // 60: a leap second
  return {};
}

TimeNs ToTimeNs(const CivilTime& t) {
  if (!t.offset_seconds) {
    std::tm local{};
    local.tm_year = t.year - 1900;
    local.tm_mon = t.month - 1;
    local.tm_mday = t.day;
    local.tm_hour = t.hour;
    local.tm_min = t.minute;
    local.tm_sec = t.second;
    local.tm_isdst = -1;
    return static_cast<TimeNs>(std::mktime(&local)) * kNsPerSecond + t.fraction_ns;
  }
  const std::chrono::year_month_day date{std::chrono::year(t.year),
                                         std::chrono::month(static_cast<unsigned>(t.month)),
                                         std::chrono::day(static_cast<unsigned>(t.day))};
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds =
      days * 86400 + t.hour * 3600 + t.minute * 60 + t.second - *t.offset_seconds;
  return seconds * kNsPerSecond + t.fraction_ns;
}

// "Z", "+01:00", "-0530", "+02"; nothing taken when there is no offset. False: malformed.
bool TakeOffset(Cursor& in, CivilTime& out) {
  if (in.TakeAny("Zz") != '\0') {
    out.offset_seconds = 0;
    return true;
  }
  const char sign = in.TakeAny("+-");
  if (sign == '\0') return true;
  const std::optional<int> hours = in.Digits(2);
  if (!hours || *hours > 23) return false;
  int minutes = 0;
  if (!in.AtEnd()) {
    in.TakeAny(":-");
    const std::optional<int> digits = in.Digits(2);
    if (!digits || *digits > 59) return false;
    minutes = *digits;
  }
  const int seconds = *hours * 3600 + minutes * 60;
  out.offset_seconds = sign == '-' ? -seconds : seconds;
  return true;
}

void TakeFraction(Cursor& in, CivilTime& out) {
  std::int64_t unit = kNsPerSecond / 10;
  while (IsDigit(in.Peek())) {  // digits beyond nanoseconds are dropped
    out.fraction_ns += unit * *in.Digits(1);
    unit /= 10;
  }
}

// "15:02", "15-02-25.5"; false: malformed.
bool TakeTimeOfDay(Cursor& in, CivilTime& out) {
  const std::optional<int> hour = in.Digits(2);
  if (!hour) return false;
  const char separator = in.TakeAny(":-");
  const std::optional<int> minute = separator == '\0' ? std::nullopt : in.Digits(2);
  if (!minute) return false;
  out.hour = *hour;
  out.minute = *minute;
  if (in.Peek() != separator || !IsDigit(in.Peek(1))) return true;
  in.Take(separator);
  const std::optional<int> second = in.Digits(2);
  if (!second) return false;
  out.second = *second;
  if (in.Peek() == '.' && IsDigit(in.Peek(1))) {
    in.Take('.');
    TakeFraction(in, out);
  }
  return true;
}

// Ten characters like 2026-11-23, then nothing or something that begins a time of day.
bool LooksLikeDate(std::string_view text) {
  if (text.size() < 10) return false;
  for (std::size_t i = 0; i < 10; ++i) {
    const bool dash = i == 4 || i == 7;
    if (dash ? text[i] != '-' : !IsDigit(text[i])) return false;
  }
  if (text.size() == 10) return true;
  if (std::string_view("Zz+").find(text[10]) != std::string_view::npos) return true;
  if (std::string_view("Tt_ ").find(text[10]) == std::string_view::npos) return false;
  return text.size() == 11 || IsDigit(text[11]);
}

Result<TimeNs> ParseDate(std::string_view text) {
  Cursor in(text);
  CivilTime t;
  t.year = in.Digits(4).value_or(0);
  in.Take('-');
  t.month = in.Digits(2).value_or(0);
  in.Take('-');
  t.day = in.Digits(2).value_or(0);
  if (in.TakeAny("Tt_ ") != '\0') {
    if (!TakeTimeOfDay(in, t)) return Bad(text, "the time of day is not HH:MM or HH:MM:SS");
    if (in.Peek() == ' ') in.Take(' ');
  }
  if (!TakeOffset(in, t)) return Bad(text, "the offset is not Z or +HH:MM");
  if (!in.AtEnd()) return Bad(text, "'" + std::string(in.rest()) + "' is not understood");
  if (const std::string_view why = WhyNotCivil(t); !why.empty()) return Bad(text, why);
  return ToTimeNs(t);
}

// Samba's Previous Versions: always UTC.
Result<When> ParseGmt(std::string_view text) {
  Cursor in(text);
  CivilTime t;
  t.offset_seconds = 0;
  struct Field {
    int* value;
    std::size_t digits;
    char before;
  };
  const Field fields[] = {{&t.year, 4, '-'}, {&t.month, 2, '.'},  {&t.day, 2, '.'},
                          {&t.hour, 2, '-'}, {&t.minute, 2, '.'}, {&t.second, 2, '.'}};
  in.Take("@GMT");
  for (const Field& field : fields) {
    const std::optional<int> value = in.Take(field.before) ? in.Digits(field.digits) : std::nullopt;
    if (!value) return Bad(text, "it is not @GMT-YYYY.MM.DD-HH.MM.SS");
    *field.value = *value;
  }
  if (!in.AtEnd()) return Bad(text, "it is not @GMT-YYYY.MM.DD-HH.MM.SS");
  if (const std::string_view why = WhyNotCivil(t); !why.empty()) return Bad(text, why);
  return When(ToTimeNs(t));
}

Result<When> ParseLsn(std::string_view text) {
  const std::string_view digits = text.substr(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range) return Bad(text, "the number is too large");
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return Bad(text, "after '@' comes a number or GMT-");
  }
  if (value == 0 || Lsn(value) == kLsnNow) return Bad(text, "there is no such position in history");
  return When(Lsn(value));
}

// Nanoseconds of a unit; nothing if it is none.
std::optional<std::int64_t> UnitNs(std::string_view unit) {
  struct Unit {
    std::string_view name;
    std::int64_t ns;
  };
  constexpr std::int64_t kMinute = 60 * kNsPerSecond;
  constexpr std::int64_t kHour = 60 * kMinute;
  constexpr std::int64_t kDay = 24 * kHour;
  static constexpr Unit kUnits[] = {{"ns", 1},
                                    {"us", 1000},
                                    {"ms", 1000000},
                                    {"s", kNsPerSecond},
                                    {"m", kMinute},
                                    {"h", kHour},
                                    {"d", kDay},
                                    {"w", 7 * kDay},
                                    {"sec", kNsPerSecond},
                                    {"second", kNsPerSecond},
                                    {"min", kMinute},
                                    {"minute", kMinute},
                                    {"hour", kHour},
                                    {"day", kDay},
                                    {"week", 7 * kDay}};
  if (unit.size() > 2 && unit.back() == 's') unit.remove_suffix(1);
  for (const Unit& known : kUnits) {
    if (unit == known.name) return known.ns;
  }
  return std::nullopt;
}

// "2h-ago", "90s", "2 hours ago", "1h30m-ago": how long ago. Nothing when the text is not of that
// form; an error when it is and reaches too far.
Result<std::optional<std::int64_t>> ParseAgo(std::string_view text) {
  std::string_view rest = text;
  for (std::string_view ending : {"-ago", " ago"}) {
    if (rest.ends_with(ending)) {
      rest.remove_suffix(ending.size());
      break;
    }
  }
  std::int64_t total = 0;
  if (rest.empty()) return std::optional<std::int64_t>();
  while (!rest.empty()) {
    std::int64_t count = 0;
    if (!IsDigit(rest.front())) return std::optional<std::int64_t>();
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    std::size_t letters = 0;
    while (letters < rest.size() && rest[letters] >= 'a' && rest[letters] <= 'z') ++letters;
    const std::optional<std::int64_t> unit = UnitNs(rest.substr(0, letters));
    if (!unit) return std::optional<std::int64_t>();
    std::int64_t span = 0;
    if (error != std::errc() || __builtin_mul_overflow(count, *unit, &span) ||
        __builtin_add_overflow(total, span, &total)) {
      return Bad(text, "that is too long ago");
    }
    rest.remove_prefix(letters);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  return std::optional<std::int64_t>(total);
}

std::string Format(TimeNs time_ns, const char* format) {
  std::int64_t seconds = time_ns / kNsPerSecond;
  std::int64_t fraction = time_ns % kNsPerSecond;
  if (fraction < 0) {
    fraction += kNsPerSecond;
    --seconds;
  }
  const auto clock_seconds = static_cast<std::time_t>(seconds);
  std::tm utc{};
  gmtime_r(&clock_seconds, &utc);
  char date[40];
  const std::size_t length = std::strftime(date, sizeof date, format, &utc);
  char digits[24];
  std::snprintf(digits, sizeof digits, ".%0*lldZ", kFractionDigits,
                static_cast<long long>(fraction));
  return std::string(date, length) + digits;
}

}  // namespace

Result<When> ParseWhen(std::string_view text, TimeNs now_ns) {
  constexpr std::int64_t kDayNs = 86400 * kNsPerSecond;
  if (text.empty()) return Bad(text, "no moment is named");
  if (text == "now") return When(now_ns);
  if (text == "yesterday") return When(now_ns - kDayNs);
  if (text.starts_with("@GMT")) return ParseGmt(text);
  if (text.front() == '@') return ParseLsn(text);
  if (LooksLikeDate(text)) {
    ASSIGN_OR_RETURN(const TimeNs time_ns, ParseDate(text));
    return When(time_ns);
  }
  ASSIGN_OR_RETURN(const std::optional<std::int64_t> ago, ParseAgo(text));
  if (ago) {
    TimeNs time_ns = 0;
    if (__builtin_sub_overflow(now_ns, *ago, &time_ns)) return Bad(text, "that is too long ago");
    return When(time_ns);
  }
  return When(std::string(text));
}

std::string FormatTime(TimeNs time_ns) { return Format(time_ns, "%Y-%m-%dT%H:%M:%S"); }

std::string FormatTimeForName(TimeNs time_ns) { return Format(time_ns, "%Y-%m-%d_%H-%M-%S"); }

Status CheckSnapshotName(std::string_view name) {
  const auto refuse = [name](std::string_view why) {
    return Error(ErrorCode::kInvalidArgument,
                 "snapshot name '" + std::string(name) + "': " + std::string(why));
  };
  constexpr std::size_t kMaxLength = 200;
  if (name.empty()) return refuse("it is empty");
  if (name.size() > kMaxLength) {
    return Error(ErrorCode::kNameTooLong, "snapshot name: more than 200 bytes");
  }
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '/' || byte < 0x20 || byte == 0x7f) return refuse("'/' and control characters");
  }
  if (name.front() == '.' || name.front() == '@') return refuse("it starts with '.' or '@'");
  if (name == "versions") return refuse("that name is taken by the versions of files");
  const Result<When> when = ParseWhen(name, 0);
  if (!when.ok() || !std::holds_alternative<std::string>(*when)) {
    return refuse("it reads as a time");
  }
  return {};
}

}  // namespace varve
