#include "tests/mount/differential_random_call.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <string_view>

#include "tests/mount/differential_users.h"

namespace varve {
namespace {

class Dice {
 public:
  explicit Dice(std::mt19937_64& random) : random_(random) {}

  std::uint64_t Roll(std::uint64_t sides) { return random_() % sides; }
  template <typename T, std::size_t kCount>
  const T& OneOf(const T (&choices)[kCount]) {
    return choices[Roll(kCount)];
  }

 private:
  std::mt19937_64& random_;
};

std::string RollName(Dice& dice) {
  switch (dice.Roll(200)) {
    case 0:
      return ".";
    case 1:
      return "..";
    case 2:
      return std::string(255, 'n');
    case 3:
      return std::string(256, 'n');
    default:
      return std::string(1, static_cast<char>('a' + dice.Roll(4)));
  }
}

std::string RollPath(Dice& dice) {
  static constexpr int kDepths[] = {1, 1, 1, 1, 2, 2, 2, 3};
  std::string path;
  for (int depth = dice.OneOf(kDepths); depth > 0; --depth) {
    path += (path.empty() ? "" : "/") + RollName(dice);
  }
  if (dice.Roll(40) == 0) path += "/";
  if (dice.Roll(60) == 0) path = "/" + path;
  return path;
}

off_t RollOffset(Dice& dice) {
  switch (dice.Roll(12)) {
    case 0:
      return 65536 - static_cast<off_t>(dice.Roll(3));
    case 1:
      return static_cast<off_t>(4096 * dice.Roll(40));
    case 2:
      return static_cast<off_t>(dice.Roll(200'000));
    case 3:
      return (off_t{1} << 33) + static_cast<off_t>(dice.Roll(10));
    default:
      return static_cast<off_t>(dice.Roll(300));
  }
}

std::size_t RollLength(Dice& dice) {
  switch (dice.Roll(10)) {
    case 0:
      return 0;
    case 1:
      return 60'000 + dice.Roll(80'000);
    case 2:
      return 4096 * (1 + dice.Roll(4));
    default:
      return 1 + dice.Roll(400);
  }
}

timespec RollTime(Dice& dice) {
  static constexpr timespec kTimes[] = {
      {0, UTIME_NOW},        {0, UTIME_OMIT},    {0, 0},
      {-1, 999'999'999},     {1'000'000'000, 1}, {1'234'567'890, 123'456'789},
      {4'000'000'000, 5000}, {0, 1'000'000'000}};
  return dice.OneOf(kTimes);
}

int RollOpenFlags(Dice& dice) {
  static constexpr int kAccess[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR};
  static constexpr int kMore[] = {0,
                                  0,
                                  0,
                                  0,
                                  O_CREAT,
                                  O_CREAT,
                                  O_CREAT,
                                  O_CREAT,
                                  O_TRUNC,
                                  O_CREAT | O_TRUNC,
                                  O_EXCL,
                                  O_APPEND,
                                  O_CREAT | O_EXCL,
                                  O_CREAT | O_APPEND,
                                  O_NOFOLLOW,
                                  O_DIRECTORY,
                                  O_PATH,
                                  O_CREAT | O_NOFOLLOW,
                                  O_DSYNC};
  static constexpr int kDirectories = O_RDONLY | O_DIRECTORY;
  if (dice.Roll(6) == 0) return kDirectories;
  return dice.OneOf(kAccess) | dice.OneOf(kMore);
}

// Setgid comes with the group's right to run or not at all: what else happens to it differs, as is
// known.
mode_t RollMode(Dice& dice) {
  static constexpr mode_t kModes[] = {0644,  0755,  0777,  0777,  0666, 0777, 0700, 01777,
                                      02777, 02775, 04755, 06777, 0750, 0222, 0400, 0};
  return dice.OneOf(kModes);
}

std::size_t RollKind(Dice& dice) {
  static const int total = [] {
    int sum = 0;
    for (const RandomKind& kind : RandomKinds()) sum += kind.weight;
    return sum;
  }();
  int left = static_cast<int>(dice.Roll(static_cast<std::uint64_t>(total)));
  std::size_t kind = 0;
  while (left >= RandomKinds()[kind].weight) left -= RandomKinds()[kind++].weight;
  return kind;
}

}  // namespace

RandomCall RollCall(std::mt19937_64& random) {
  static constexpr std::size_t kUsers[] = {0, 0, 0, 1, 1, 2};
  static constexpr mode_t kUmasks[] = {0, 0, 022, 077};
  static constexpr auto kSame = static_cast<uid_t>(-1);
  static constexpr uid_t kUids[] = {0, 60001, 60002, kSame, kSame};
  static constexpr gid_t kGids[] = {0, 60001, 60002, kSharedGroup, kSame, kSame};
  static const std::string kKeys[] = {"user.a",    "user.b",     "user.c",
                                      "trusted.a", "security.a", "other.a"};
  Dice dice(random);
  RandomCall call;
  call.kind = RollKind(dice);
  call.user = dice.OneOf(kUsers);
  call.umask = dice.OneOf(kUmasks);
  call.looks_before = dice.Roll(4) != 0;
  call.path = RollPath(dice);
  call.other_path = RollPath(dice);
  call.slot = dice.Roll(kSlots);
  call.other_slot = dice.Roll(kSlots);
  call.variant = dice.Roll(1000);
  call.open_flags = RollOpenFlags(dice);
  call.mode = RollMode(dice);
  call.offset = RollOffset(dice);
  call.other_offset = RollOffset(dice);
  call.length = RollLength(dice);
  call.uid = dice.OneOf(kUids);
  call.gid = dice.OneOf(kGids);
  call.times = {RollTime(dice), RollTime(dice)};
  call.key = dice.OneOf(kKeys);
  call.value = std::string(dice.Roll(100), static_cast<char>('A' + dice.Roll(26)));
  return call;
}

std::string Describe(const RandomCall& call) {
  const RandomKind& kind = RandomKinds()[call.kind];
  const auto path = [](const std::string& text) {
    return text.size() > 100 ? fmt::format("'{}...' ({} bytes)", text.substr(0, 40), text.size())
                             : "'" + text + "'";
  };
  std::string text = kind.name;
  for (const char argument : kind.arguments) {
    switch (argument) {
      case 'p':
        text += " " + path(call.path);
        break;
      case 'q':
        text += " " + path(call.other_path);
        break;
      case 's':
        text += fmt::format(" slot {}", call.slot);
        break;
      case 't':
        text += fmt::format(" slot {}", call.other_slot);
        break;
      case 'v':
        text += fmt::format(" variant {}", call.variant);
        break;
      case 'f':
        text += fmt::format(" flags {:#o}", call.open_flags);
        break;
      case 'm':
        text += fmt::format(" mode {:o}", call.mode);
        break;
      case 'o':
        text += fmt::format(" at {}", call.offset);
        break;
      case 'O':
        text += fmt::format(" to {}", call.other_offset);
        break;
      case 'l':
        text += fmt::format(" length {}", call.length);
        break;
      case 'u':
        text += fmt::format(" {}:{}", static_cast<int>(call.uid), static_cast<int>(call.gid));
        break;
      case 'T':
        for (const timespec& time : call.times) {
          text += fmt::format(" {}.{}", time.tv_sec, time.tv_nsec);
        }
        break;
      default:
        text += fmt::format(" {} of {} bytes", call.key, call.value.size());
        break;
    }
  }
  return fmt::format("{} as {} umask {:o}{}", text, AllUsers()[call.user].name, call.umask,
                     call.looks_before ? "" : ", unlooked");
}

}  // namespace varve
