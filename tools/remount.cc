#include "tools/remount.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>
#include <string_view>

#include "fs/control/mounts.h"
#include "tools/paths.h"

namespace varve {
namespace {

struct FlagWord {
  std::string_view word;
  unsigned long flag;
  enum class Effect { kSet, kClear } effect;
};

constexpr std::array kFlagWords{
    FlagWord{"ro", MS_RDONLY, FlagWord::Effect::kSet},
    FlagWord{"rw", MS_RDONLY, FlagWord::Effect::kClear},
    FlagWord{"nosuid", MS_NOSUID, FlagWord::Effect::kSet},
    FlagWord{"suid", MS_NOSUID, FlagWord::Effect::kClear},
    FlagWord{"nodev", MS_NODEV, FlagWord::Effect::kSet},
    FlagWord{"dev", MS_NODEV, FlagWord::Effect::kClear},
    FlagWord{"noexec", MS_NOEXEC, FlagWord::Effect::kSet},
    FlagWord{"exec", MS_NOEXEC, FlagWord::Effect::kClear},
    FlagWord{"noatime", MS_NOATIME, FlagWord::Effect::kSet},
    FlagWord{"atime", MS_NOATIME, FlagWord::Effect::kClear},
    FlagWord{"relatime", MS_RELATIME, FlagWord::Effect::kSet},
    FlagWord{"norelatime", MS_RELATIME, FlagWord::Effect::kClear},
    FlagWord{"nodiratime", MS_NODIRATIME, FlagWord::Effect::kSet},
    FlagWord{"diratime", MS_NODIRATIME, FlagWord::Effect::kClear},
    FlagWord{"sync", MS_SYNCHRONOUS, FlagWord::Effect::kSet},
    FlagWord{"async", MS_SYNCHRONOUS, FlagWord::Effect::kClear},
    FlagWord{"dirsync", MS_DIRSYNC, FlagWord::Effect::kSet},
};

}  // namespace

std::optional<unsigned long> RemountFlags(const std::vector<std::string>& texts) {
  bool remounts = false;
  unsigned long flags = 0;
  for (const std::string& text : texts) {
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) {
      remounts |= word == "remount";
      const auto* known = std::ranges::find(kFlagWords, word, &FlagWord::word);
      if (known == kFlagWords.end()) continue;
      flags = known->effect == FlagWord::Effect::kSet ? flags | known->flag : flags & ~known->flag;
    }
  }
  if (!remounts) return std::nullopt;
  return flags;
}

Status Remount(const std::string& mountpoint, unsigned long flags) {
  ASSIGN_OR_RETURN(const std::string canonical, CanonicalPath(mountpoint));
  ASSIGN_OR_RETURN(const auto mounts, ListVarveMounts());
  const bool known = std::ranges::any_of(
      mounts, [&](const VarveMount& mount) { return mount.mountpoint == canonical; });
  if (!known) {
    return Error(ErrorCode::kNotFound, mountpoint + " is not the mountpoint of a Varve volume");
  }
  if (::mount(nullptr, canonical.c_str(), nullptr, MS_REMOUNT | flags, nullptr) != 0) {
    return Error::FromErrno(errno, "remounting " + canonical);
  }
  return {};
}

}  // namespace varve
