// Small changes for the volume's tests, made without the filesystem above it.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "store/volume/volume.h"

namespace varve {

inline InodeAttributes FileAttributes(std::uint64_t size, BodyId body, TimeNs mtime_ns = 1) {
  InodeAttributes attributes;
  attributes.mode = S_IFREG | 0644;
  attributes.nlink = 1;
  attributes.size = size;
  attributes.body = body;
  attributes.parent = kRootInode;
  attributes.mtime_ns = mtime_ns;
  return attributes;
}

struct TestFile {
  InodeId inode;
  BodyId body;
  Cookie cookie = 0;
};

// Creates an empty file in the root.
inline Result<TestFile> CreateFile(Volume& volume, std::string_view name) {
  TestFile file{InodeId{volume.AllocateId()}, BodyId{volume.AllocateId()}, volume.AllocateId()};
  Change change;
  change.kind = ChangeKind::kCreate;
  change.operations.emplace_back(PutInode{file.inode, FileAttributes(0, file.body)});
  change.operations.emplace_back(
      PutEntry{kRootInode, Entry{std::string(name), file.inode, S_IFREG, file.cookie}});
  ASSIGN_OR_RETURN([[maybe_unused]] Lsn lsn, volume.Commit(std::move(change)));
  return file;
}

// Replaces the content's first bytes and sets the size to its length.
inline Result<Lsn> WriteFile(Volume& volume, const TestFile& file, std::string_view content) {
  Change change;
  change.kind = ChangeKind::kWrite;
  for (std::size_t at = 0; at < content.size(); at += kChunkBytes) {
    const std::string_view part = content.substr(at, kChunkBytes);
    Piece piece;
    piece.length = static_cast<std::uint32_t>(part.size());
    const ByteSpan bytes = AsBytes(part);
    piece.pending = std::make_shared<PendingExtent>(ByteVector(bytes.begin(), bytes.end()));
    change.operations.emplace_back(WriteChunk{file.body, at / kChunkBytes, {std::move(piece)}});
  }
  change.operations.emplace_back(
      PutInode{file.inode, FileAttributes(content.size(), file.body, volume.NextTime())});
  return volume.Commit(std::move(change));
}

inline Result<Lsn> RemoveFile(Volume& volume, const TestFile& file, std::string_view name) {
  Change change;
  change.kind = ChangeKind::kUnlink;
  change.operations.emplace_back(RemoveEntry{kRootInode, std::string(name)});
  change.operations.emplace_back(RemoveInode{file.inode});
  return volume.Commit(std::move(change));
}

// The content of a name in the root at a moment; an error's message in brackets if it has none.
inline std::string ContentOf(const View& view, std::string_view name) {
  auto entry = view.Lookup(kRootInode, name);
  if (!entry.ok()) return "[" + entry.error().message() + "]";
  if (!entry->has_value()) return "[absent]";
  auto attributes = view.GetInode((*entry)->inode);
  if (!attributes.ok()) return "[" + attributes.error().message() + "]";
  if (!attributes->has_value()) return "[no inode]";
  std::string content((*attributes)->size, '?');
  Status read = view.Read((*attributes)->body, 0,
                          std::as_writable_bytes(std::span<char>(content.data(), content.size())));
  return read.ok() ? content : "[" + read.error().message() + "]";
}

}  // namespace varve
