#include "fs/core/file_state.h"

#include <utility>

namespace varve {

FileState* FileStates::Find(InodeId inode) {
  auto& shard = shards_[InodeLocks::ShardOf(inode)];
  const auto found = shard.find(inode);
  return found == shard.end() ? nullptr : found->second.get();
}

std::optional<std::optional<std::string>> FileStates::KeptXattr(InodeId inode,
                                                                std::string_view name) {
  const FileState* state = Find(inode);
  if (state == nullptr || !state->removed) return std::nullopt;
  const auto kept = state->kept_xattrs.find(std::string(name));
  if (kept == state->kept_xattrs.end()) return std::nullopt;
  return kept->second;
}

FileState& FileStates::Make(InodeId inode, InodeAttributes attributes, Lsn last_change) {
  auto state = std::make_unique<FileState>();
  state->inode = inode;
  state->attributes = std::move(attributes);
  state->last_change = last_change;
  auto& shard = shards_[InodeLocks::ShardOf(inode)];
  const auto [at, made] = shard.emplace(inode, std::move(state));
  CHECK(made, "an inode has one state");
  return *at->second;
}

void FileStates::DropIfIdle(FileState& state) {
  if (state.handles != 0 || state.IsDirty() || (state.removed && !state.forgotten)) return;
  shards_[InodeLocks::ShardOf(state.inode)].erase(state.inode);
}

}  // namespace varve
