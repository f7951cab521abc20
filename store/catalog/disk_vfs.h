// A SQLite VFS over one Disk, so that SQLite's I/O takes the way of everything else: the in-memory
// and the faulty disk see it, and errors keep the disk's words.
//
// Pages of the database carry a checksum in their last bytes, seeded with the page number, so that
// flipped, stale-elsewhere and misdirected pages are seen; frames of SQLite's log are checked
// against sums kept in memory since they were written or recovered. Shared memory and locks live in
// this process: nobody else may open the file (the disk is locked by its owner).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "store/disk/disk.h"

namespace varve {

inline constexpr std::uint32_t kCatalogPageBytes = 8192;
// At the end of each page; SQLite is told to leave them alone (byte 20 of the database header).
inline constexpr std::uint32_t kPageChecksumBytes = 8;

// Thread-safe. Every connection through it must be closed before it is destroyed.
class DiskVfs {
  struct Impl;

 public:
  explicit DiskVfs(std::unique_ptr<Impl> impl);
  // Registers under a name of its own; `object` is the database, "-wal" and "-journal" are added to
  // it for SQLite's logs.
  static Result<std::unique_ptr<DiskVfs>> Register(std::shared_ptr<Disk> disk,
                                                   std::string_view object);
  ~DiskVfs();
  DiskVfs(const DiskVfs&) = delete;
  DiskVfs& operator=(const DiskVfs&) = delete;

  const std::string& name() const;
  // Length of SQLite's log as last written, 0 when it is not open.
  std::uint64_t log_bytes() const;

  // The last error that a DiskVfs handed to SQLite in this thread, once.
  static std::optional<Error> TakeError();

 private:
  std::unique_ptr<Impl> impl_;
};

// The checksum of page `number` (from 1), over all but its last kPageChecksumBytes.
std::uint64_t ComputePageChecksum(ByteSpan page, std::uint64_t number);
// True if the page's last bytes say that.
bool PageChecksumFits(ByteSpan page, std::uint64_t number);

}  // namespace varve
