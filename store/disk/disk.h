// The seam at the operating system: everything Varve keeps goes through a Disk.
//
// A Disk holds named objects ("journal/000000000000002a"), flat but for one '/' that groups them.
// Implementations: PosixDisk (a directory), and in tests MemoryDisk, FaultyDisk; OverlayDisk reads
// through to another and keeps writes in memory. All pass one contract suite
// (tests/support/disk_contract.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/result.h"

namespace varve {

// One open object. Calls for different ranges may come from several threads at once. An object
// removed while open stays readable and writable through its handle, as in POSIX.
class DiskFile {
 public:
  virtual ~DiskFile() = default;

  // Reads up to out.size() bytes at `offset`; fewer only at the end of the object; 0 past it.
  virtual Result<std::size_t> Read(std::uint64_t offset, MutableByteSpan out) = 0;
  // Writes all bytes, growing the object; a gap reads as zeros. After an error any part of the
  // range may have been written. Durable only after Sync.
  virtual Status Write(std::uint64_t offset, ByteSpan bytes) = 0;
  // Makes every Write and Truncate so far that returned durable (fdatasync). After an error
  // nothing may be assumed about any write since the last success, and calling again proves
  // nothing: the disk must be treated as failed.
  virtual Status Sync() = 0;
  // Write, and makes these bytes durable: one step where the disk has one for it. It says nothing
  // about earlier writes. After an error as after one of Sync.
  virtual Status WriteSynced(std::uint64_t offset, ByteSpan bytes);
  virtual Result<std::uint64_t> Size() = 0;
  virtual Status Truncate(std::uint64_t size_bytes) = 0;
};

enum class OpenMode {
  kRead,       // must exist; Write fails
  kReadWrite,  // must exist
  kCreate,     // created if absent, read-write
  kCreateNew,  // kExists if it is there
  // As kCreateNew, as kRead and as kCreate, for what is not worth a place in the operating system's
  // page cache: writes, or if only for reading reads, whose offset, length and address are
  // multiples of kDirectAlign go past it, where the disk can do that. All else is as ever.
  kCreateStream,
  kReadStream,
  kCreateOrOpenStream,
};
inline constexpr std::size_t kDirectAlign = 4096;

constexpr bool ForReading(OpenMode mode) {
  return mode == OpenMode::kRead || mode == OpenMode::kReadStream;
}
constexpr bool Creates(OpenMode mode) { return !ForReading(mode) && mode != OpenMode::kReadWrite; }
constexpr bool MustBeNew(OpenMode mode) {
  return mode == OpenMode::kCreateNew || mode == OpenMode::kCreateStream;
}
constexpr bool IsStream(OpenMode mode) {
  return mode == OpenMode::kCreateStream || mode == OpenMode::kReadStream ||
         mode == OpenMode::kCreateOrOpenStream;
}

struct DiskSpace {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;  // what this process may still write
  // Two disks with the same non-zero value share one device: they are not independent.
  std::uint64_t device = 0;
};

// Thread-safe. Names are 1 to 200 bytes of [A-Za-z0-9._-] with at most one '/' inside; anything
// else is kInvalidArgument, so that no name read from somewhere can leave the disk.
class Disk {
 public:
  virtual ~Disk() = default;

  // Open creates the group before '/' if needed. kNotFound names the object.
  virtual Result<std::unique_ptr<DiskFile>> Open(std::string_view name, OpenMode mode) = 0;
  // kNotFound if absent. Durable after SyncNames.
  virtual Status Remove(std::string_view name) = 0;
  // Atomic; replaces `to` if it exists. Durable after SyncNames.
  virtual Status Rename(std::string_view from, std::string_view to) = 0;
  // Names that start with `prefix` ("journal/"), sorted. Empty when there are none.
  virtual Result<std::vector<std::string>> List(std::string_view prefix) = 0;
  // Makes creations, removals and renames of objects so far durable, in every group.
  virtual Status SyncNames() = 0;
  virtual Result<DiskSpace> Space() = 0;
  // Where it is, for people: a path.
  virtual std::string Describe() const = 0;
  // Cheap proof that the disk is still the one that was opened (its root has not been removed,
  // unmounted or replaced). Called about once a second.
  virtual Status Probe() = 0;
};

// Reads a whole object of at most `limit_bytes`; kTooLarge beyond it.
Result<ByteVector> ReadWhole(Disk& disk, std::string_view name, std::uint64_t limit_bytes);
// Writes an object so that after a crash the old or the new content is there, whole: a temporary
// object (`name` with ".tmp" after it), Sync, Rename, SyncNames. Calls for one name must not
// overlap.
Status WriteAtomically(Disk& disk, std::string_view name, ByteSpan bytes);
// kInvalidArgument unless `name` is as Disk wants it.
Status CheckObjectName(std::string_view name);

}  // namespace varve
