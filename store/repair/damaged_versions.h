// Which versions of which files are touched by damage, by name.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "store/catalog/catalog.h"

namespace varve {

// One version of one file, as people name it.
struct DamagedVersion {
  InodeId inode;
  Lsn lsn;
  TimeNs time_ns = 0;
  std::string path;  // where the file was at that moment
  auto operator<=>(const DamagedVersion&) const = default;
  // "/a/b@2026-11-23T15:02:25.123456789Z"
  std::string ToString() const;
};

// "2026-11-23T15:02:25.123456789Z": UTC, sorts as text.
std::string FormatUtc(TimeNs time_ns);

// Where an inode was in the tree: "/a/b" as of `at`; "inode 42" for what had no name then.
Result<std::string> FindPath(Catalog& catalog, InodeId inode, Lsn at);

// Where an extent begins: enough to tell extents apart.
using ExtentKey = std::tuple<StripeId, std::uint8_t, std::uint32_t>;
inline ExtentKey KeyOf(const ExtentRef& extent) {
  return {extent.stripe, extent.column, extent.fragment_offset};
}

// The damage within one body: the chunks that have had such an extent, and the extents.
struct BodyDamage {
  std::map<ChunkIndex, std::set<Lsn>> chunks;  // with the moments from which on they had it
  std::set<ExtentKey> extents;
};

// Appends every version of every file in which one of the extents was to be seen. Exact: each
// version is looked at by itself.
Status AppendVersionsHurt(Catalog& catalog, BodyId body, const BodyDamage& damage,
                          std::vector<DamagedVersion>& out);

}  // namespace varve
