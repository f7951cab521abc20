#include "fs/fuse/read_ahead.h"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace varve {

namespace {

// The table writes some characters, '#' among them, as a backslash and three octal digits.
std::string Unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped =
        text[i] == '\\' && i + 3 < text.size() && text.find_first_not_of("01234567", i + 1) > i + 3;
    out += escaped ? static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)) : text[i];
    if (escaped) i += 3;
  }
  return out;
}

}  // namespace

Result<std::string> DeviceOfMount(const std::string& mountpoint, const std::string& source) {
  std::ifstream table("/proc/self/mountinfo");
  std::string found;
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, point, word;
    words >> id >> parent >> device >> root >> point;
    while (words >> word && word != "-") {
    }
    std::string type, from;
    words >> type >> from;
    if (type == "fuse.varve" && Unescape(from) == source && Unescape(point) == mountpoint) {
      found = device;  // of several on one place the last is on top
    }
  }
  if (found.empty()) {
    return Error(ErrorCode::kNotFound, mountpoint + " is not in /proc/self/mountinfo");
  }
  return found;
}

Status SetReadAhead(const std::string& device, std::uint32_t kib) {
  const std::string name = "/sys/class/bdi/" + device + "/read_ahead_kb";
  std::ofstream file(name);
  file << kib << '\n';
  file.flush();
  if (!file) return Error(ErrorCode::kUnsupported, "cannot write " + name);
  return {};
}

}  // namespace varve
