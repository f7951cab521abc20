#include "tests/fs/core/model.h"

namespace varve {

ModelNode& Model::Edit(std::uint64_t inode) {
  auto copy = std::make_shared<ModelNode>(*now_.at(inode));
  ModelNode& node = *copy;
  now_[inode] = copy;
  committed_[inode] = std::move(copy);
  dirty_.erase(inode);
  return node;
}

void Model::Put(std::uint64_t inode, ModelNode node) {
  auto shared = std::make_shared<const ModelNode>(std::move(node));
  now_[inode] = shared;
  committed_[inode] = std::move(shared);
}

void Model::Remove(std::uint64_t inode) {
  now_.erase(inode);
  committed_.erase(inode);
  dirty_.erase(inode);
}

ModelNode& Model::EditDirty(std::uint64_t inode) {
  auto copy = std::make_shared<ModelNode>(*now_.at(inode));
  ModelNode& node = *copy;
  now_[inode] = std::move(copy);
  dirty_[inode] = true;
  return node;
}

void Model::Cut(std::uint64_t inode) {
  if (dirty_.erase(inode) != 0) committed_[inode] = now_.at(inode);
}

void Model::CutAll() {
  while (!dirty_.empty()) Cut(dirty_.begin()->first);
}

void Model::Clear() {
  now_.clear();
  committed_.clear();
  dirty_.clear();
}

}  // namespace varve
