#include "tools/mount_options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <sstream>

#include "tools/text.h"

namespace varve {
namespace {

// For mount(8), fstab(5) and systemd, not for a filesystem; or what Varve does anyway.
constexpr std::array<std::string_view, 25> kPassedOver{"defaults",
                                                       "rw",
                                                       "auto",
                                                       "noauto",
                                                       "user",
                                                       "nouser",
                                                       "users",
                                                       "owner",
                                                       "group",
                                                       "nofail",
                                                       "async",
                                                       "_netdev",
                                                       "loud",
                                                       "silent",
                                                       "relatime",
                                                       "norelatime",
                                                       "iversion",
                                                       "noiversion",
                                                       "default_permissions",
                                                       "exec",
                                                       "diratime",
                                                       "atime",
                                                       "lazytime",
                                                       "nolazytime",
                                                       "fsc"};
constexpr std::array<std::string_view, 8> kForTheKernel{"nosuid", "nodev",   "noexec", "noatime",
                                                        "sync",   "dirsync", "suid",   "dev"};

template <typename Words>
bool Contains(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

Error Bad(std::string_view word, std::string_view wanted) {
  return Error(ErrorCode::kInvalidArgument,
               "option " + std::string(word) + ": " + std::string(wanted));
}

Result<std::uint64_t> Number(std::string_view word, std::string_view value, std::uint64_t least,
                             std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failed != std::errc() || end != value.data() + value.size() || number < least ||
      number > most) {
    return Bad(word, "a number from " + std::to_string(least) + " to " + std::to_string(most) +
                         " is wanted");
  }
  return number;
}

Result<SnapshotDirectory> ParseSnapdir(std::string_view word, std::string_view value) {
  if (value == "hidden") return SnapshotDirectory::kHidden;
  if (value == "visible") return SnapshotDirectory::kVisible;
  if (value == "owner") return SnapshotDirectory::kOwner;
  if (value == "off") return SnapshotDirectory::kOff;
  return Bad(word, "hidden, visible, owner or off is wanted");
}

Status SetValue(MountOptions& options, std::string_view word, std::string_view key,
                std::string_view value) {
  if (key == "snapdir") {
    ASSIGN_OR_RETURN(options.snapdir, ParseSnapdir(word, value));
  } else if (key == "memory") {
    ASSIGN_OR_RETURN(options.memory_bytes, ParseBytes(value));
    if (options.memory_bytes < kMinMemoryBytes) {
      return Bad(word, "at least " + FormatBytes(kMinMemoryBytes) + " is wanted");
    }
  } else if (key == "commit") {
    ASSIGN_OR_RETURN(const std::uint64_t ms, Number(word, value, 1, 60'000));
    options.commit_interval = std::chrono::milliseconds(ms);
  } else if (key == "threads") {
    ASSIGN_OR_RETURN(const std::uint64_t threads, Number(word, value, 2, 256));
    options.threads = static_cast<std::uint32_t>(threads);
  } else if (key == "log") {
    if (value.empty()) return Bad(word, "a file is wanted");
    options.log_file = value;
  } else if (key != "comment" && key != "subtype" && key != "fsname") {
    return Bad(word, "unknown; see varve mount --help");
  }
  return {};
}

Status SetWord(MountOptions& options, std::string_view word) {
  if (word == "ro") {
    options.read_only = true;
  } else if (word == "rw") {
    options.read_only = false;
  } else if (word == "allow_other") {
    options.allow_other = true;
  } else if (word == "noallow_other") {
    options.allow_other = false;
  } else if (word == "writeback") {
    options.writeback = true;
  } else if (word == "nodiratime") {
    options.nodiratime = true;
  } else if (word == "nonempty") {
    options.nonempty = true;
  } else if (Contains(kForTheKernel, word)) {
    options.generic.emplace_back(word);
  } else if (!Contains(kPassedOver, word)) {
    return Bad(word, "unknown; see varve mount --help");
  }
  return {};
}

}  // namespace

Result<MountOptions> ParseMountOptions(const std::vector<std::string>& texts) {
  MountOptions options;
  options.allow_other = ::geteuid() == 0;
  for (const std::string& text : texts) {
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) {
      if (word.empty() || word.starts_with("x-") || word.starts_with("X-")) continue;
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) {
        RETURN_IF_ERROR(SetWord(options, word));
      } else {
        RETURN_IF_ERROR(SetValue(options, word, std::string_view(word).substr(0, equals),
                                 std::string_view(word).substr(equals + 1)));
      }
    }
  }
  return options;
}

VolumeOptions ToVolumeOptions(const MountOptions& options) {
  VolumeOptions volume;
  // The interval is shared out: a write is cut into a change when three quarters of it have passed
  // at the latest (fs/core/cutter.cc), and the change is committed within the last quarter.
  volume.commit_interval = std::max(options.commit_interval / 4, std::chrono::milliseconds(1));
  volume.pending_limit_bytes = options.memory_bytes / 4;
  volume.batch_bytes = std::min<std::uint64_t>(volume.batch_bytes, options.memory_bytes / 16);
  volume.checkpoint_journal_bytes =
      std::min<std::uint64_t>(volume.checkpoint_journal_bytes, options.memory_bytes / 8);
  volume.catalog.cache_bytes = options.memory_bytes / 16;
  return volume;
}

FilesystemOptions ToFilesystemOptions(const MountOptions& options) {
  FilesystemOptions filesystem;
  filesystem.snapdir = options.snapdir;
  if (options.read_only || Contains(options.generic, "noatime")) {
    filesystem.atime = AtimePolicy::kNever;
  } else if (options.nodiratime) {
    filesystem.atime = AtimePolicy::kNotDirectories;
  }
  if (options.writeback) {
    filesystem.kernel_cache = FilesystemOptions::KernelCache::kWriteBack;
  }
  filesystem.write_buffer_bytes = options.memory_bytes / 4;
  filesystem.commit_interval = options.commit_interval;
  return filesystem;
}

}  // namespace varve
