#include "fs/control/mounts.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace varve {
namespace {

constexpr std::string_view kType = "fuse.varve";
constexpr std::string_view kSourcePrefix = "varve#";

struct MountLine {
  std::string root, mountpoint, type, source, super_options;
};

// The table writes space, tab, newline and backslash as three octal digits.
std::string Unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '7' ? text[at] - '0' : -1;
    };
    if (text[i] == '\\' && digit(i + 1) >= 0 && digit(i + 2) >= 0 && digit(i + 3) >= 0) {
      out += static_cast<char>(digit(i + 1) * 64 + digit(i + 2) * 8 + digit(i + 3));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<MountLine> ParseLines(std::string_view mountinfo) {
  std::vector<MountLine> lines;
  std::istringstream table{std::string(mountinfo)};
  for (std::string text; std::getline(table, text);) {
    std::istringstream words(text);
    std::string id, parent, device, word;
    MountLine line;
    words >> id >> parent >> device >> line.root >> line.mountpoint;
    while (words >> word && word != "-") {
    }
    words >> line.type >> line.source >> line.super_options;
    if (!words) continue;
    line.root = Unescape(line.root);
    line.mountpoint = Unescape(line.mountpoint);
    line.source = Unescape(line.source);
    lines.push_back(std::move(line));
  }
  return lines;
}

VarveMount ToVarveMount(const MountLine& line) {
  VarveMount mount{.mountpoint = line.mountpoint,
                   .root = line.root,
                   .volume_uuid = line.source.substr(kSourcePrefix.size())};
  std::istringstream options(line.super_options);
  for (std::string option; std::getline(options, option, ',');) {
    constexpr std::string_view kUser = "user_id=";
    if (option == "ro") mount.read_only = true;
    if (option.starts_with(kUser)) {
      std::from_chars(option.data() + kUser.size(), option.data() + option.size(), mount.user_id);
    }
  }
  return mount;
}

bool IsVarve(const MountLine& line) {
  return line.type == kType && line.source.starts_with(kSourcePrefix);
}

bool Contains(std::string_view directory, std::string_view path) {
  if (directory == "/") return path.starts_with('/');
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

Result<std::string> ReadTable() {
  std::ifstream file("/proc/self/mountinfo");
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return Error(ErrorCode::kIo, "cannot read /proc/self/mountinfo");
  return text.str();
}

}  // namespace

std::vector<VarveMount> ParseVarveMounts(std::string_view mountinfo) {
  std::vector<MountLine> visible;
  for (MountLine& line : ParseLines(mountinfo)) {
    // Of several mounts on one place the last is on top.
    std::erase_if(visible,
                  [&](const MountLine& other) { return other.mountpoint == line.mountpoint; });
    visible.push_back(std::move(line));
  }
  std::vector<VarveMount> mounts;
  for (const MountLine& line : visible) {
    if (IsVarve(line)) mounts.push_back(ToVarveMount(line));
  }
  return mounts;
}

Result<std::vector<VarveMount>> ListVarveMounts() {
  ASSIGN_OR_RETURN(const std::string table, ReadTable());
  return ParseVarveMounts(table);
}

Result<VarveMount> FindMountOf(std::string_view path, std::string_view mountinfo) {
  const std::vector<MountLine> lines = ParseLines(mountinfo);
  const MountLine* best = nullptr;
  for (const MountLine& line : lines) {
    // The longest prefix, and of equals the last, which is on top.
    if (Contains(line.mountpoint, path) &&
        (best == nullptr || line.mountpoint.size() >= best->mountpoint.size())) {
      best = &line;
    }
  }
  if (best != nullptr && IsVarve(*best)) return ToVarveMount(*best);
  std::string message = std::string(path) + " is not in a mounted Varve volume";
  if (best != nullptr) message += " (it is on " + best->type + " at " + best->mountpoint + ")";
  return Error(ErrorCode::kNotFound, std::move(message));
}

Result<VarveMount> FindMountOf(std::string_view path) {
  ASSIGN_OR_RETURN(const std::string table, ReadTable());
  return FindMountOf(path, table);
}

std::string PathInVolume(const VarveMount& mount, std::string_view path) {
  std::string_view rest = path;
  if (mount.mountpoint != "/") rest.remove_prefix(std::min(rest.size(), mount.mountpoint.size()));
  while (rest.starts_with('/')) rest.remove_prefix(1);
  std::string result = mount.root == "/" ? std::string() : mount.root;
  if (!rest.empty() || result.empty()) result += '/';
  result += rest;
  return result;
}

}  // namespace varve
