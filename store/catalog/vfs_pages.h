// The verified ways to read and write SQLite's files: pages of the database by the checksum that
// they carry, frames of the log by sums kept in memory.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/result.h"
#include "store/disk/disk.h"

namespace varve {

inline constexpr std::size_t kLogHeaderBytes = 32;  // of SQLite's log

// Reads as SQLite asks of a VFS: the whole of `out` is filled, with zeros past the end. False: it
// was past the end.
Result<bool> ReadRaw(DiskFile& file, std::uint64_t offset, MutableByteSpan out);

// The database. A read of less than a page's smallest size is a look at the header, which a power
// cut may have torn while the log still has the whole of it: not verified, and SQLite takes nothing
// from it but the page size. Everything else is verified. kCorrupt names the page.
Result<bool> ReadPages(DiskFile& file, std::uint64_t offset, MutableByteSpan out);
// One whole page, with its checksum put in.
Status WritePage(DiskFile& file, std::uint64_t offset, ByteSpan page);

// Sums of the pages in SQLite's log. SQLite checks the log's own checksums only when it recovers
// it; without this a bit that flips afterwards would be folded into the database as truth.
// Thread-safe.
class LogGuard {
 public:
  Result<bool> Read(DiskFile& file, std::uint64_t offset, MutableByteSpan out);
  Status Write(DiskFile& file, std::uint64_t offset, ByteSpan bytes);
  Status Truncate(DiskFile& file, std::uint64_t size_bytes);
  void Forget();
  std::uint64_t size_bytes() const;
  void NoteSize(std::uint64_t size_bytes);

 private:
  void Keep(std::uint64_t frame, std::optional<std::uint64_t> sum);

  mutable std::mutex mutex_;
  std::vector<std::optional<std::uint64_t>> sums_;  // by frame; guarded by mutex_
  std::uint64_t size_bytes_ = 0;                    // guarded by mutex_
};

}  // namespace varve
