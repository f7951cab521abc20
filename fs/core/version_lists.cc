#include "fs/core/version_lists.h"

#include <algorithm>
#include <utility>

namespace varve {
namespace {

// Few programs list the versions of many files at once, and a list is found by looking at all.
constexpr std::size_t kMostLists = 16;

}  // namespace

VersionLists::Lists::const_iterator VersionLists::FindList(const Lists& lists, InodeId directory,
                                                           std::string_view name) {
  return std::find_if(lists.begin(), lists.end(), [&](const Kept& kept) {
    return kept.directory == directory && kept.name == name;
  });
}

std::optional<VersionLists::Version> VersionLists::Find(InodeId directory, std::string_view name,
                                                        std::string_view version) const {
  auto lists = lists_.Lock();
  const auto list = FindList(*lists, directory, name);
  if (list == lists->end()) return std::nullopt;
  const auto found = list->versions.find(version);
  if (found == list->versions.end()) return std::nullopt;
  return found->second;
}

bool VersionLists::HasListOf(InodeId directory, std::string_view name) const {
  auto lists = lists_.Lock();
  return FindList(*lists, directory, name) != lists->end();
}

void VersionLists::Keep(InodeId directory, std::string_view name, List versions) {
  auto lists = lists_.Lock();
  if (const auto old = FindList(*lists, directory, name); old != lists->end()) lists->erase(old);
  if (versions.empty() || versions.size() > kMostVersions) return;
  lists->push_front({directory, std::string(name), std::move(versions)});
  std::size_t count = 0;
  std::size_t kept = 0;
  for (const Kept& list : *lists) {
    count += list.versions.size();
    if (count > kMostVersions || kept == kMostLists) break;
    ++kept;
  }
  lists->resize(kept);
}

}  // namespace varve
