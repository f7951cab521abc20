#include "store/catalog/disk_vfs.h"

#include <sqlite3.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "store/base/check.h"
#include "store/base/synchronized.h"
#include "store/catalog/vfs_locks.h"
#include "store/catalog/vfs_pages.h"

namespace varve {
namespace {

enum class FileKind { kDatabase, kLog, kJournal, kTemporary };

// SQLite's temporary files, should it ever want one: nothing of them need survive.
class TemporaryFile final : public DiskFile {
 public:
  Result<std::size_t> Read(std::uint64_t offset, MutableByteSpan out) override {
    if (offset >= bytes_.size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(out.size(), bytes_.size() - offset);
    std::memcpy(out.data(), bytes_.data() + offset, count);
    return count;
  }
  Status Write(std::uint64_t offset, ByteSpan bytes) override {
    if (bytes_.size() < offset + bytes.size()) bytes_.resize(offset + bytes.size());
    std::memcpy(bytes_.data() + offset, bytes.data(), bytes.size());
    return {};
  }
  Status Sync() override { return {}; }
  Result<std::uint64_t> Size() override { return std::uint64_t{bytes_.size()}; }
  Status Truncate(std::uint64_t size_bytes) override {
    bytes_.resize(size_bytes);
    return {};
  }

 private:
  ByteVector bytes_;
};

thread_local std::optional<Error> last_error;

// Keeps the disk's words for whoever looks at SQLite's answer, and says it in SQLite's.
int Fail(const Error& error, int io_code) {
  last_error = error;
  if (error.code() == ErrorCode::kNoSpace) return SQLITE_FULL;
  if (error.code() == ErrorCode::kCorrupt) return SQLITE_IOERR_DATA;
  return io_code;
}

}  // namespace

struct DiskVfs::Impl {
  struct OpenFile {
    Impl* vfs = nullptr;
    FileKind kind = FileKind::kTemporary;
    std::unique_ptr<DiskFile> file;
    std::string delete_on_close;  // the object, or nothing
    bool names_durable = true;    // false: may have been created and that not yet synced
  };
  // What SQLite allocates for a file; the rest is ours.
  struct Handle {
    sqlite3_file base;
    OpenFile* file;
  };

  std::shared_ptr<Disk> disk;
  std::string object;
  std::string name;
  sqlite3_vfs vfs{};
  sqlite3_vfs* os = nullptr;  // SQLite's own, for time, sleep and randomness
  VfsLocks locks;
  LogGuard log;
  Synchronized<std::map<OpenFile*, std::unique_ptr<OpenFile>>> files;

  static Impl& Of(sqlite3_vfs* vfs) { return *static_cast<Impl*>(vfs->pAppData); }
  static OpenFile& Of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file)->file; }

  FileKind KindOf(int flags) const {
    if ((flags & SQLITE_OPEN_MAIN_DB) != 0) return FileKind::kDatabase;
    if ((flags & SQLITE_OPEN_WAL) != 0) return FileKind::kLog;
    return FileKind::kJournal;
  }

  static int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* out_flags);
  static int Delete(sqlite3_vfs* vfs, const char* path, int sync_names);
  static int Access(sqlite3_vfs* vfs, const char* path, int flags, int* answer);
  static int FullPathname(sqlite3_vfs* vfs, const char* path, int size, char* out);

  static int Close(sqlite3_file* file);
  static int Read(sqlite3_file* file, void* out, int count, sqlite3_int64 offset);
  static int Write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset);
  static int Truncate(sqlite3_file* file, sqlite3_int64 size);
  static int Sync(sqlite3_file* file, int flags);
  static int FileSize(sqlite3_file* file, sqlite3_int64* size);

  static const sqlite3_io_methods kMethods;
};

int DiskVfs::Impl::Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags,
                        int* out_flags) {
  Impl& self = Of(vfs);
  auto* handle = reinterpret_cast<Handle*>(out);
  handle->base.pMethods = nullptr;  // SQLite calls Close only if this is set
  auto opened = std::make_unique<OpenFile>();
  opened->vfs = &self;
  if (path == nullptr) {
    opened->file = std::make_unique<TemporaryFile>();
  } else {
    OpenMode mode = OpenMode::kRead;
    if ((flags & SQLITE_OPEN_READWRITE) != 0) mode = OpenMode::kReadWrite;
    if ((flags & SQLITE_OPEN_CREATE) != 0) {
      mode = (flags & SQLITE_OPEN_EXCLUSIVE) != 0 ? OpenMode::kCreateNew : OpenMode::kCreate;
      opened->names_durable = false;
    }
    auto file = self.disk->Open(path, mode);
    if (!file.ok()) return Fail(file.error(), SQLITE_CANTOPEN);
    opened->kind = self.KindOf(flags);
    opened->file = std::move(file).value();
    if ((flags & SQLITE_OPEN_DELETEONCLOSE) != 0) opened->delete_on_close = path;
  }
  if (opened->kind == FileKind::kLog) {
    auto size = opened->file->Size();
    if (!size.ok()) return Fail(size.error(), SQLITE_CANTOPEN);
    self.log.NoteSize(*size);
  }
  if (opened->kind == FileKind::kDatabase) self.locks.Enter(opened.get());
  handle->file = opened.get();
  handle->base.pMethods = &kMethods;
  self.files.Lock()->emplace(handle->file, std::move(opened));
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int DiskVfs::Impl::Delete(sqlite3_vfs* vfs, const char* path, int sync_names) {
  Impl& self = Of(vfs);
  if (path == self.object + "-wal") self.log.Forget();
  if (auto removed = self.disk->Remove(path); !removed.ok()) {
    if (removed.error().code() == ErrorCode::kNotFound) return SQLITE_IOERR_DELETE_NOENT;
    return Fail(removed.error(), SQLITE_IOERR_DELETE);
  }
  if (sync_names != 0) {
    if (auto synced = self.disk->SyncNames(); !synced.ok()) {
      return Fail(synced.error(), SQLITE_IOERR_DIR_FSYNC);
    }
  }
  return SQLITE_OK;
}

int DiskVfs::Impl::Access(sqlite3_vfs* vfs, const char* path, int, int* answer) {
  auto file = Of(vfs).disk->Open(path, OpenMode::kRead);
  *answer = file.ok() ? 1 : 0;
  if (!file.ok() && file.error().code() != ErrorCode::kNotFound) {
    return Fail(file.error(), SQLITE_IOERR_ACCESS);
  }
  return SQLITE_OK;
}

int DiskVfs::Impl::FullPathname(sqlite3_vfs*, const char* path, int size, char* out) {
  const std::size_t length = std::strlen(path) + 1;
  if (size < 0 || length > static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
  std::memcpy(out, path, length);
  return SQLITE_OK;
}

int DiskVfs::Impl::Close(sqlite3_file* file) {
  OpenFile& open = Of(file);
  Impl& self = *open.vfs;
  if (open.kind == FileKind::kDatabase) self.locks.Leave(&open);
  const std::string object = open.delete_on_close;
  self.files.Lock()->erase(&open);
  if (!object.empty()) {
    if (auto removed = self.disk->Remove(object); !removed.ok()) {
      return Fail(removed.error(), SQLITE_IOERR_DELETE);
    }
  }
  return SQLITE_OK;
}

int DiskVfs::Impl::Read(sqlite3_file* file, void* out, int count, sqlite3_int64 offset) {
  OpenFile& open = Of(file);
  const MutableByteSpan span(static_cast<std::byte*>(out), static_cast<std::size_t>(count));
  const auto at = static_cast<std::uint64_t>(offset);
  const Result<bool> complete = open.kind == FileKind::kDatabase ? ReadPages(*open.file, at, span)
                                : open.kind == FileKind::kLog
                                    ? open.vfs->log.Read(*open.file, at, span)
                                    : ReadRaw(*open.file, at, span);
  if (!complete.ok()) return Fail(complete.error(), SQLITE_IOERR_READ);
  return *complete ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

int DiskVfs::Impl::Write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
  OpenFile& open = Of(file);
  const ByteSpan span(static_cast<const std::byte*>(bytes), static_cast<std::size_t>(count));
  const auto at = static_cast<std::uint64_t>(offset);
  const Status done = open.kind == FileKind::kDatabase ? WritePage(*open.file, at, span)
                      : open.kind == FileKind::kLog    ? open.vfs->log.Write(*open.file, at, span)
                                                       : open.file->Write(at, span);
  return done.ok() ? SQLITE_OK : Fail(done.error(), SQLITE_IOERR_WRITE);
}

int DiskVfs::Impl::Truncate(sqlite3_file* file, sqlite3_int64 size) {
  OpenFile& open = Of(file);
  const auto size_bytes = static_cast<std::uint64_t>(size);
  const Status done = open.kind == FileKind::kLog ? open.vfs->log.Truncate(*open.file, size_bytes)
                                                  : open.file->Truncate(size_bytes);
  return done.ok() ? SQLITE_OK : Fail(done.error(), SQLITE_IOERR_TRUNCATE);
}

int DiskVfs::Impl::Sync(sqlite3_file* file, int) {
  OpenFile& open = Of(file);
  if (auto synced = open.file->Sync(); !synced.ok()) {
    return Fail(synced.error(), SQLITE_IOERR_FSYNC);
  }
  if (open.names_durable) return SQLITE_OK;
  if (auto synced = open.vfs->disk->SyncNames(); !synced.ok()) {
    return Fail(synced.error(), SQLITE_IOERR_DIR_FSYNC);
  }
  open.names_durable = true;
  return SQLITE_OK;
}

int DiskVfs::Impl::FileSize(sqlite3_file* file, sqlite3_int64* size) {
  auto size_bytes = Of(file).file->Size();
  if (!size_bytes.ok()) return Fail(size_bytes.error(), SQLITE_IOERR_FSTAT);
  *size = static_cast<sqlite3_int64>(*size_bytes);
  return SQLITE_OK;
}

const sqlite3_io_methods DiskVfs::Impl::kMethods = {
    .iVersion = 2,  // shared memory, but no memory-mapped reads: those could not be verified
    .xClose = Close,
    .xRead = Read,
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = FileSize,
    .xLock = [](sqlite3_file* f, int level) { return Of(f).vfs->locks.Lock(&Of(f), level); },
    .xUnlock = [](sqlite3_file* f, int level) { return Of(f).vfs->locks.Unlock(&Of(f), level); },
    .xCheckReservedLock =
        [](sqlite3_file* f, int* answer) {
          *answer = Of(f).vfs->locks.IsReserved() ? 1 : 0;
          return SQLITE_OK;
        },
    .xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; },
    .xSectorSize = [](sqlite3_file*) { return 4096; },
    .xDeviceCharacteristics = [](sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; },
    .xShmMap =
        [](sqlite3_file* f, int region, int bytes, int extend, void volatile** address) {
          return Of(f).vfs->locks.MapShared(&Of(f), region, bytes, extend != 0, address);
        },
    .xShmLock = [](sqlite3_file* f, int offset, int count,
                   int flags) { return Of(f).vfs->locks.LockShared(&Of(f), offset, count, flags); },
    .xShmBarrier = [](sqlite3_file* f) { Of(f).vfs->locks.Barrier(); },
    .xShmUnmap =
        [](sqlite3_file* f, int) {
          Of(f).vfs->locks.UnmapShared(&Of(f));
          return SQLITE_OK;
        },
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

DiskVfs::DiskVfs(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<DiskVfs>> DiskVfs::Register(std::shared_ptr<Disk> disk,
                                                   std::string_view object) {
  static std::atomic<std::uint64_t> count{0};
  // SQLite's own count of the memory it uses costs a process-wide mutex at each allocation, and
  // nobody asks for it. Refused, and no harm done, if the process has used SQLite before.
  static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(uncounted);
  auto made = std::make_unique<Impl>();
  Impl& impl = *made;
  impl.os = sqlite3_vfs_find(nullptr);
  if (impl.os == nullptr) return Error(ErrorCode::kUnsupported, "SQLite has no VFS of its own");
  impl.disk = std::move(disk);
  impl.object = object;
  impl.name = "varve-disk-" + std::to_string(++count);
  sqlite3_vfs& vfs = impl.vfs;
  vfs.iVersion = 1;
  vfs.szOsFile = sizeof(Impl::Handle);
  vfs.mxPathname = 256;
  vfs.zName = impl.name.c_str();
  vfs.pAppData = &impl;
  vfs.xOpen = Impl::Open;
  vfs.xDelete = Impl::Delete;
  vfs.xAccess = Impl::Access;
  vfs.xFullPathname = Impl::FullPathname;
  vfs.xRandomness = [](sqlite3_vfs* v, int count_bytes, char* out) {
    sqlite3_vfs* os = Impl::Of(v).os;
    return os->xRandomness(os, count_bytes, out);
  };
  vfs.xSleep = [](sqlite3_vfs* v, int microseconds) {
    sqlite3_vfs* os = Impl::Of(v).os;
    return os->xSleep(os, microseconds);
  };
  vfs.xCurrentTime = [](sqlite3_vfs* v, double* out) {
    sqlite3_vfs* os = Impl::Of(v).os;
    return os->xCurrentTime(os, out);
  };
  vfs.xGetLastError = [](sqlite3_vfs*, int, char*) { return 0; };
  if (const int rc = sqlite3_vfs_register(&vfs, 0); rc != SQLITE_OK) {
    return Error(ErrorCode::kIo, std::string("registering SQLite's VFS: ") + sqlite3_errstr(rc));
  }
  return std::make_unique<DiskVfs>(std::move(made));
}

DiskVfs::~DiskVfs() {
  CHECK(impl_->files.Lock()->empty(), "a catalog connection outlives its VFS");
  sqlite3_vfs_unregister(&impl_->vfs);
}

const std::string& DiskVfs::name() const { return impl_->name; }

std::uint64_t DiskVfs::log_bytes() const { return impl_->log.size_bytes(); }

std::optional<Error> DiskVfs::TakeError() { return std::exchange(last_error, std::nullopt); }

}  // namespace varve
