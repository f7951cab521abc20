#include "store/disk/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

namespace varve {
namespace {

constexpr auto kMaxFileOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

// Whether [offset, offset + length_bytes) can be said in off_t at all.
Status CheckRange(std::uint64_t offset, std::uint64_t length_bytes, const std::string& where) {
  if (offset > kMaxFileOffset || length_bytes > kMaxFileOffset - offset) {
    return Error(
        ErrorCode::kInvalidArgument,
        where + ": no such offset: " + std::to_string(offset) + "+" + std::to_string(length_bytes));
  }
  return {};
}

}  // namespace

Result<std::size_t> PosixFile::Read(std::uint64_t offset, MutableByteSpan out) {
  RETURN_IF_ERROR(CheckRange(offset, out.size(), description_));
  std::size_t done = 0;
  while (done < out.size()) {
    const int fd = access_ == FileAccess::kReadOnly
                       ? DescriptorFor(offset + done, out.subspan(done))
                       : fd_.get();
    const ssize_t got =
        ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EINVAL && fd == direct_.get()) {
      direct_refused_ = true;
      continue;
    }
    if (got < 0) return Error::FromErrno(errno, "reading " + description_);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Status PosixFile::Write(std::uint64_t offset, ByteSpan bytes) {
  RETURN_IF_ERROR(CheckWritable());
  RETURN_IF_ERROR(CheckRange(offset, bytes.size(), description_));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const int fd = DescriptorFor(offset + done, bytes.subspan(done));
    const ssize_t put =
        ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EINVAL && fd == direct_.get()) {
      direct_refused_ = true;
      continue;
    }
    if (put < 0) return Error::FromErrno(errno, "writing " + description_);
    if (put == 0) return Error::FromErrno(EIO, "writing " + description_ + " wrote nothing");
    done += static_cast<std::size_t>(put);
  }
  return {};
}

Status PosixFile::Sync() {
  if (const int failed = sync_errno_.load(); failed != 0) return FailSync(failed, "fdatasync of ");
  if (::fdatasync(fd_.get()) != 0) return FailSync(errno, "fdatasync of ");
  return {};
}

Status PosixFile::WriteSynced(std::uint64_t offset, ByteSpan bytes) {
  RETURN_IF_ERROR(CheckWritable());
  RETURN_IF_ERROR(CheckRange(offset, bytes.size(), description_));
  if (const int failed = sync_errno_.load(); failed != 0) return FailSync(failed, "fdatasync of ");
  ASSIGN_OR_RETURN(const std::size_t done, WriteDurably(offset, bytes));
  if (done == bytes.size()) return {};
  RETURN_IF_ERROR(Write(offset + done, bytes.subspan(done)));
  return Sync();
}

Result<std::size_t> PosixFile::WriteDurably(std::uint64_t offset, ByteSpan bytes) {
  std::size_t done = 0;
  while (done < bytes.size() && !synced_writes_refused_) {
    const ByteSpan rest = bytes.subspan(done);
    const int fd = DescriptorFor(offset + done, rest);
    const iovec part{const_cast<std::byte*>(rest.data()), rest.size()};
    const ssize_t put = ::pwritev2(fd, &part, 1, static_cast<off_t>(offset + done), RWF_DSYNC);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EINVAL && fd == direct_.get()) {
      direct_refused_ = true;
    } else if (put < 0 && errno == EOPNOTSUPP) {
      synced_writes_refused_ = true;
    } else if (put <= 0) {
      return FailSync(put < 0 ? errno : EIO, "writing and syncing ");
    } else {
      done += static_cast<std::size_t>(put);
    }
  }
  return done;
}

Error PosixFile::FailSync(int os_errno, const char* what) {
  sync_errno_.store(os_errno);
  return Error::FromErrno(os_errno, what + description_);
}

Result<std::uint64_t> PosixFile::Size() {
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) return Error::FromErrno(errno, "fstat of " + description_);
  return static_cast<std::uint64_t>(info.st_size);
}

Status PosixFile::Truncate(std::uint64_t size_bytes) {
  RETURN_IF_ERROR(CheckWritable());
  RETURN_IF_ERROR(CheckRange(size_bytes, 0, description_));
  while (::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) != 0) {
    if (errno != EINTR) return Error::FromErrno(errno, "truncating " + description_);
  }
  return {};
}

int PosixFile::DescriptorFor(std::uint64_t offset, ByteSpan bytes) const {
  const bool aligned = offset % kDirectAlign == 0 && bytes.size() % kDirectAlign == 0 &&
                       reinterpret_cast<std::uintptr_t>(bytes.data()) % kDirectAlign == 0;
  return direct_ && aligned && !direct_refused_ ? direct_.get() : fd_.get();
}

Status PosixFile::CheckWritable() const {
  if (access_ == FileAccess::kReadWrite) return {};
  return Error(ErrorCode::kReadOnly, description_ + " is open for reading only");
}

}  // namespace varve
