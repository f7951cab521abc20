#include "store/repair/damaged_versions.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace varve {
namespace {

// Deeper than any path that the kernel can name; a cycle made of damage ends here.
constexpr int kMaxDepth = 4096;

// True when one of `damage.extents` gives bytes of the first `size` of the file as of `at`.
Result<bool> ShowsDamage(Catalog& catalog, BodyId body, const BodyDamage& damage,
                         std::uint64_t size, Lsn at) {
  for (const auto& [chunk, moments] : damage.chunks) {
    if (chunk > size / kChunkBytes) break;
    ASSIGN_OR_RETURN(const auto states, catalog.Chunks(body, chunk, chunk, at));
    for (const auto& [index, pieces] : states) {
      for (const Piece& piece : pieces) {
        const bool visible = index * kChunkBytes + piece.chunk_offset < size;
        if (visible && !piece.IsHole() && damage.extents.contains(KeyOf(piece.extent))) return true;
      }
    }
  }
  return false;
}

// The moments at which a version of the file may begin: those of its inode, and those at which
// one of the chunks changed.
Result<std::set<Lsn>> MomentsOf(Catalog& catalog, InodeId inode, const BodyDamage& damage) {
  std::set<Lsn> moments;
  ASSIGN_OR_RETURN(const auto history, catalog.InodeHistory(inode));
  for (const InodeVersion& version : history) moments.insert(version.from);
  for (const auto& [chunk, changed] : damage.chunks) moments.insert(changed.begin(), changed.end());
  return moments;
}

}  // namespace

std::string FormatUtc(TimeNs time_ns) {
  TimeNs seconds = time_ns / kNsPerSecond;
  TimeNs rest = time_ns % kNsPerSecond;
  if (rest < 0) {
    rest += kNsPerSecond;
    --seconds;
  }
  const std::time_t whole = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&whole, &parts);
  std::array<char, 80> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ",
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                parts.tm_sec, static_cast<int>(rest));
  return text.data();
}

std::string DamagedVersion::ToString() const { return path + "@" + FormatUtc(time_ns); }

Result<std::string> FindPath(Catalog& catalog, InodeId inode, Lsn at) {
  const std::string unnamed = "inode " + std::to_string(inode.value);
  std::vector<std::string> names;  // from the file upwards
  for (int depth = 0; inode != kRootInode; ++depth) {
    if (depth == kMaxDepth) return unnamed;
    ASSIGN_OR_RETURN(const auto attributes, catalog.GetInode(inode, at));
    if (!attributes.has_value()) return unnamed;
    ASSIGN_OR_RETURN(auto link, catalog.LinkOf(inode, attributes->parent, at));
    if (!link.has_value()) return unnamed;
    names.push_back(std::move(link->name));
    inode = link->parent;
  }
  if (names.empty()) return std::string("/");
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) path += "/" + *name;
  return path;
}

Status AppendVersionsHurt(Catalog& catalog, BodyId body, const BodyDamage& damage,
                          std::vector<DamagedVersion>& out) {
  ASSIGN_OR_RETURN(const auto owners, catalog.InodesOfBody(body));
  std::set<InodeId> done;
  for (const auto& [inode, since] : owners) {
    if (!done.insert(inode).second) continue;
    ASSIGN_OR_RETURN(const std::set<Lsn> moments, MomentsOf(catalog, inode, damage));
    for (const Lsn at : moments) {
      ASSIGN_OR_RETURN(const auto attributes, catalog.GetInode(inode, at));
      if (!attributes.has_value() || attributes->body != body) continue;
      ASSIGN_OR_RETURN(const bool shows, ShowsDamage(catalog, body, damage, attributes->size, at));
      if (!shows) continue;
      ASSIGN_OR_RETURN(const auto time, catalog.TimeOf(at));
      ASSIGN_OR_RETURN(std::string path, FindPath(catalog, inode, at));
      out.push_back(
          {.inode = inode, .lsn = at, .time_ns = time.value_or(0), .path = std::move(path)});
    }
  }
  return {};
}

}  // namespace varve
