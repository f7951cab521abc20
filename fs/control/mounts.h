// Varve's mounts as the kernel lists them, and which of them a path is in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace varve {

struct VarveMount {
  std::string mountpoint;     // absolute
  std::string root;           // what of the volume is mounted there: "/", or below by a bind mount
  std::string volume_uuid;    // as text
  std::uint32_t user_id = 0;  // who runs the daemon
  bool read_only = false;
};

// Reads /proc/self/mountinfo's text. Lines that make no sense are skipped. Mounts that later ones
// hide are left out.
std::vector<VarveMount> ParseVarveMounts(std::string_view mountinfo);
Result<std::vector<VarveMount>> ListVarveMounts();

// The Varve mount that holds `path`, which is absolute and canonical. kNotFound with the filesystem
// it is on otherwise.
Result<VarveMount> FindMountOf(std::string_view path, std::string_view mountinfo);
Result<VarveMount> FindMountOf(std::string_view path);

// `path`, which is in `mount`, as the volume calls it: "/" or "/a/b".
std::string PathInVolume(const VarveMount& mount, std::string_view path);

}  // namespace varve
