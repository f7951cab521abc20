// A DiskFile over a file descriptor. Private to store/disk.
#pragma once

#include <atomic>
#include <string>

#include "store/base/unique_fd.h"
#include "store/disk/disk.h"

namespace varve {

enum class FileAccess { kReadOnly, kReadWrite };

class PosixFile : public DiskFile {
 public:
  // `direct`, if open, is the same file with O_DIRECT, for what is aligned for it: reads if that is
  // all that `access` allows, else writes.
  // `description` is the path, for messages.
  PosixFile(UniqueFd fd, UniqueFd direct, std::string description, FileAccess access)
      : fd_(std::move(fd)),
        direct_(std::move(direct)),
        description_(std::move(description)),
        access_(access) {}

  Result<std::size_t> Read(std::uint64_t offset, MutableByteSpan out) override;
  Status Write(std::uint64_t offset, ByteSpan bytes) override;
  Status Sync() override;
  Status WriteSynced(std::uint64_t offset, ByteSpan bytes) override;
  Result<std::uint64_t> Size() override;
  Status Truncate(std::uint64_t size_bytes) override;

 private:
  Status CheckWritable() const;
  // The descriptor that such a read or write goes through.
  int DescriptorFor(std::uint64_t offset, ByteSpan bytes) const;

  const UniqueFd fd_;
  const UniqueFd direct_;
  const std::string description_;
  const FileAccess access_;
  // Writes what one pwritev2(2) after the other can write durably: all, or less where that is not
  // to be had.
  Result<std::size_t> WriteDurably(std::uint64_t offset, ByteSpan bytes);
  // This handle never succeeds in syncing again.
  Error FailSync(int os_errno, const char* what);

  // The errno of the first failed Sync or WriteSynced. The kernel reports a lost write once and
  // then forgets it, so that a second fdatasync would succeed over a hole: this handle never does.
  std::atomic<int> sync_errno_{0};
  // The filesystem took O_DIRECT at open(2) and refused it at read(2) or write(2).
  std::atomic<bool> direct_refused_{false};
  std::atomic<bool> synced_writes_refused_{false};
};

}  // namespace varve
