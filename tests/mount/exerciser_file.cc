#include "tests/mount/exerciser_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace varve {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kChunk = 65536;

// What each descriptor of a file is open for; the last two are for their own purposes.
constexpr std::array<int, 5> kOpenFlags{O_RDWR, O_RDWR, O_WRONLY, O_RDWR | O_DIRECT,
                                        O_RDWR | O_APPEND};
constexpr std::size_t kFirstReaders = 2;
constexpr std::size_t kFirstWriters = 3;
constexpr std::size_t kDirect = 3;
constexpr std::size_t kAppending = 4;
// Mapped whole, and beyond: pages behind the end are never touched.
constexpr std::size_t kMappedBytes = 2 * 1024 * 1024;

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using PageMemory = std::unique_ptr<char, FreeMemory>;

PageMemory Pages(std::uint64_t length) {
  const std::uint64_t rounded = (length + kPageBytes - 1) / kPageBytes * kPageBytes;
  return PageMemory(static_cast<char*>(
      std::aligned_alloc(kPageBytes, std::max<std::size_t>(rounded, kPageBytes))));
}

void Expect(bool succeeded, const std::string& what) {
  if (!succeeded) ADD_FAILURE() << what << ": " << std::strerror(errno);
}

}  // namespace

std::uint64_t ExerciserRandom::Offset(std::uint64_t end) {
  const std::uint64_t anywhere = Below(end + 1);
  const std::uint64_t nudge = Below(5);
  const auto near = [&](std::uint64_t place) {
    return std::min(end, place + nudge >= 2 ? place + nudge - 2 : place);
  };
  switch (Below(6)) {
    case 0:
      return near(anywhere / kPageBytes * kPageBytes);
    case 1:
      return near(anywhere / kChunk * kChunk);
    case 2:
      return near(end);
    case 3:
      return anywhere / kPageBytes * kPageBytes;
    default:
      return anywhere;
  }
}

std::uint64_t ExerciserRandom::Length() {
  switch (Below(6)) {
    case 0:
      return 1 + Below(16);
    case 1:
      return kPageBytes;
    case 2:
      return kChunk;
    case 3:
      return 1 + Below(300'000);
    default:
      return 1 + Below(3 * kPageBytes);
  }
}

std::string ExerciserRandom::Bytes(std::uint64_t length) {
  std::string bytes(static_cast<std::size_t>(length), static_cast<char>('a' + Below(26)));
  if (OneIn(2)) return bytes;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = engine_();
    std::memcpy(bytes.data() + at, &word, std::min(sizeof(word), bytes.size() - at));
  }
  return bytes;
}

void ExpectSameBytes(const std::string& what, const std::string& expected,
                     const std::string& found) {
  if (expected == found) return;
  const auto differ = std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
  const auto at = static_cast<std::size_t>(differ.first - expected.begin());
  const auto some = [&](const std::string& bytes) {
    std::string text;
    for (std::size_t i = at; i < std::min(bytes.size(), at + 16); ++i) {
      text += fmt::format("{:02x} ", static_cast<unsigned char>(bytes[i]));
    }
    return text + (bytes.size() <= at ? "(end)" : "");
  };
  ADD_FAILURE() << what << ": differs at " << at << "\n  expected (" << expected.size()
                << " bytes): " << some(expected) << "\n  found    (" << found.size()
                << " bytes): " << some(found);
}

ExerciserFile::ExerciserFile(std::string path, ExerciserRandom& random, Blocks blocks)
    : path_(std::move(path)), random_(random), blocks_(blocks), fds_(kOpenFlags.size()) {
  const UniqueFd made(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  Expect(static_cast<bool>(made), "creating " + path_);
  Open();
}

void ExerciserFile::OpenOne(std::size_t index) {
  fds_[index] = UniqueFd(::open(path_.c_str(), kOpenFlags[index] | O_CLOEXEC));
  Expect(static_cast<bool>(fds_[index]), "opening " + path_);
}

void ExerciserFile::Open() {
  for (std::size_t i = 0; i < fds_.size(); ++i) OpenOne(i);
  void* mapped =
      ::mmap(nullptr, kMappedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds_[0].get(), 0);
  Expect(mapped != MAP_FAILED, "mapping " + path_);
  mapping_ = mapped == MAP_FAILED ? nullptr : static_cast<char*>(mapped);
}

void ExerciserFile::Close() {
  if (mapping_ != nullptr) ::munmap(mapping_, kMappedBytes);
  mapping_ = nullptr;
  for (UniqueFd& fd : fds_) fd.Reset();
}

int ExerciserFile::AnyReader() { return fds_[random_.Below(kFirstReaders)].get(); }
int ExerciserFile::AnyWriter() { return fds_[random_.Below(kFirstWriters)].get(); }

void ExerciserFile::Put(std::uint64_t offset, const std::string& bytes) {
  if (model_.size() < offset + bytes.size()) model_.resize(offset + bytes.size());
  model_.replace(offset, bytes.size(), bytes);
}

void ExerciserFile::CheckBytes(const std::string& how, std::uint64_t offset, const char* bytes,
                               std::uint64_t length) const {
  ExpectSameBytes(fmt::format("{} of {} at {}", how, path_, offset), model_.substr(offset, length),
                  std::string(bytes, length));
}

std::string ExerciserFile::Write() {
  const std::uint64_t offset = random_.Offset(kMostBytes - 1);
  const std::string bytes = random_.Bytes(std::min(random_.Length(), kMostBytes - offset));
  const ssize_t count =
      ::pwrite(AnyWriter(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
  Expect(count == std::ssize(bytes), "write");
  Put(offset, bytes);
  return fmt::format("write {}+{}", offset, bytes.size());
}

std::string ExerciserFile::Append() {
  const std::uint64_t offset = model_.size();
  const std::string bytes = random_.Bytes(std::min(random_.Length(), kMostBytes - offset));
  if (bytes.empty()) return Truncate();
  const ssize_t count = ::write(fds_[kAppending].get(), bytes.data(), bytes.size());
  Expect(count == std::ssize(bytes), "append");
  Put(offset, bytes);
  return fmt::format("append {}+{}", offset, bytes.size());
}

std::string ExerciserFile::Read() {
  const std::uint64_t offset = random_.Offset(model_.size());
  std::string bytes(static_cast<std::size_t>(random_.Length()), '?');
  const ssize_t count =
      ::pread(AnyReader(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
  Expect(count >= 0, "read");
  bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  ExpectSameBytes(fmt::format("read of {} at {}", path_, offset),
                  model_.substr(offset, std::max<std::size_t>(bytes.size(), 1)), bytes);
  return fmt::format("read {}+{}", offset, bytes.size());
}

std::string ExerciserFile::WriteDirect() {
  const std::uint64_t offset = random_.Offset(kMostBytes - kPageBytes) / kPageBytes * kPageBytes;
  const std::uint64_t most = (kMostBytes - offset) / kPageBytes;
  const std::uint64_t length = (1 + random_.Below(std::min<std::uint64_t>(most, 40))) * kPageBytes;
  const std::string bytes = random_.Bytes(length);
  const PageMemory pages = Pages(length);
  std::memcpy(pages.get(), bytes.data(), length);
  const ssize_t count =
      ::pwrite(fds_[kDirect].get(), pages.get(), length, static_cast<off_t>(offset));
  Expect(count == static_cast<ssize_t>(length), "direct write");
  Put(offset, bytes);
  return fmt::format("direct write {}+{}", offset, length);
}

std::string ExerciserFile::ReadDirect() {
  const std::uint64_t offset = random_.Offset(model_.size()) / kPageBytes * kPageBytes;
  const std::uint64_t length = (1 + random_.Below(40)) * kPageBytes;
  const PageMemory pages = Pages(length);
  const ssize_t count =
      ::pread(fds_[kDirect].get(), pages.get(), length, static_cast<off_t>(offset));
  Expect(count >= 0, "direct read");
  const std::uint64_t wanted = std::min<std::uint64_t>(length, model_.size() - offset);
  ExpectSameBytes(fmt::format("direct read of {} at {}", path_, offset),
                  model_.substr(offset, wanted),
                  std::string(pages.get(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))));
  return fmt::format("direct read {}+{}", offset, count);
}

std::string ExerciserFile::Truncate() {
  const std::uint64_t size = random_.OneIn(8) ? 0 : random_.Offset(kMostBytes);
  const bool by_name = random_.OneIn(2);
  const int result = by_name ? ::truncate(path_.c_str(), static_cast<off_t>(size))
                             : ::ftruncate(AnyWriter(), static_cast<off_t>(size));
  Expect(result == 0, "truncate");
  const std::uint64_t before = model_.size();
  model_.resize(size);
  return fmt::format("truncate {} to {}", before, size);
}

std::string ExerciserFile::WriteMapped() {
  if (model_.empty()) return Write();
  const std::uint64_t offset = random_.Offset(model_.size() - 1);
  const std::string bytes =
      random_.Bytes(std::min<std::uint64_t>(random_.Length(), model_.size() - offset));
  std::memcpy(mapping_ + offset, bytes.data(), bytes.size());
  Put(offset, bytes);
  const std::uint64_t page = offset / kPageBytes * kPageBytes;
  std::string how = "mapped write";
  if (random_.OneIn(2)) {
    const int flags = random_.OneIn(4) ? MS_ASYNC : MS_SYNC;
    Expect(::msync(mapping_ + page, offset + bytes.size() - page, flags) == 0, "msync");
    how += " and msync";
  }
  return fmt::format("{} {}+{}", how, offset, bytes.size());
}

std::string ExerciserFile::ReadMapped() {
  if (model_.empty()) return Read();
  const std::uint64_t offset = random_.Offset(model_.size() - 1);
  const std::uint64_t length = std::min<std::uint64_t>(random_.Length(), model_.size() - offset);
  CheckBytes("mapped read", offset, mapping_ + offset, length);
  return fmt::format("mapped read {}+{}", offset, length);
}

std::string ExerciserFile::Allocate() {
  const std::uint64_t offset = random_.Offset(kMostBytes - 1);
  const std::uint64_t length = std::min(random_.Length(), kMostBytes - offset);
  const int mode = random_.OneIn(2) ? FALLOC_FL_KEEP_SIZE : 0;
  Expect(
      ::fallocate(AnyWriter(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0,
      "fallocate");
  if (mode == 0) model_.resize(std::max<std::size_t>(model_.size(), offset + length));
  return fmt::format("fallocate {} {}+{}", mode, offset, length);
}

std::string ExerciserFile::PunchOrZero() {
  constexpr std::array<int, 3> kModes{FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                      FALLOC_FL_ZERO_RANGE,
                                      FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
  const int mode = kModes[random_.Below(kModes.size())];
  const std::uint64_t offset = random_.Offset(kMostBytes - 1);
  const std::uint64_t length = std::min(random_.Length(), kMostBytes - offset);
  Expect(
      ::fallocate(AnyWriter(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0,
      "fallocate");
  const std::uint64_t end = offset + length;
  if (mode == FALLOC_FL_ZERO_RANGE && end > model_.size()) model_.resize(end);
  const std::uint64_t inside = std::min<std::uint64_t>(end, model_.size());
  if (offset < inside)
    std::fill(model_.begin() + static_cast<std::ptrdiff_t>(offset),
              model_.begin() + static_cast<std::ptrdiff_t>(inside), '\0');
  return fmt::format("fallocate {} {}+{}", mode, offset, length);
}

std::string ExerciserFile::CopyRange(int source, std::uint64_t from, const std::string& bytes,
                                     std::uint64_t to, const std::string& name) {
  auto in = static_cast<off_t>(from);
  auto out = static_cast<off_t>(to);
  std::uint64_t left = bytes.size();
  while (left > 0) {
    const ssize_t count = ::copy_file_range(source, &in, AnyWriter(), &out, left, 0);
    Expect(count > 0, "copy_file_range");
    if (count <= 0) break;
    left -= static_cast<std::uint64_t>(count);
  }
  Put(to, bytes);
  return fmt::format("copy from {} {}+{} to {}", name, from, bytes.size(), to);
}

std::string ExerciserFile::CopyWithin() {
  std::uint64_t from = random_.Offset(model_.size());
  std::uint64_t to = random_.Offset(kMostBytes - 1);
  if (random_.OneIn(2)) {
    from -= from % kChunk;
    to -= to % kChunk;
  }
  std::uint64_t length = std::min<std::uint64_t>(2 * random_.Length(), model_.size() - from);
  length = std::min({length, kMostBytes - to, from > to ? from - to : to - from});
  if (length == 0) return Read();
  return CopyRange(AnyReader(), from, model_.substr(from, length), to, "itself");
}

std::string ExerciserFile::CopyFrom(int source, const std::string& source_bytes,
                                    const std::string& source_name) {
  std::uint64_t from = random_.Offset(source_bytes.size());
  std::uint64_t to = random_.Offset(kMostBytes - 1);
  if (random_.OneIn(2)) {
    from -= from % kChunk;
    to -= to % kChunk;
  }
  const std::uint64_t wanted = random_.OneIn(3) ? kMostBytes : 2 * random_.Length();
  const std::uint64_t length = std::min({wanted, source_bytes.size() - from, kMostBytes - to});
  if (length == 0) return Read();
  return CopyRange(source, from, source_bytes.substr(from, length), to, source_name);
}

// Holes must be zeros, and what is not zero must be data; st_blocks counts the data.
std::string ExerciserFile::SeekThrough() {
  const int fd = AnyReader();
  // The kernel's FUSE does not write its dirty pages back before it asks where the data are.
  Expect(::fdatasync(fd) == 0, "fdatasync");
  const auto size = static_cast<off_t>(model_.size());
  off_t at = 0;
  off_t data_bytes = 0;
  int segments = 0;
  while (at < size) {
    off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) data = size;
    EXPECT_TRUE(data >= at && data <= size) << path_ << ": SEEK_DATA from " << at << ": " << data;
    if (data < at || data > size) break;
    const auto hole_bytes = static_cast<std::size_t>(data - at);
    ExpectSameBytes(fmt::format("a hole of {} at {}", path_, at),
                    model_.substr(static_cast<std::size_t>(at), hole_bytes),
                    std::string(hole_bytes, '\0'));
    if (data == size) break;
    at = ::lseek(fd, data, SEEK_HOLE);
    EXPECT_TRUE(at > data && at <= size) << path_ << ": SEEK_HOLE from " << data << ": " << at;
    if (at <= data) break;
    data_bytes += at - data;
    ++segments;
  }
  const std::string told = fmt::format("seek through {} segments", segments);
  if (blocks_ == Blocks::kPassOver) return told;
  struct stat stat{};
  Expect(::fstat(fd, &stat) == 0, "fstat");
  constexpr off_t kBlock = 512;
  EXPECT_GE(stat.st_blocks * kBlock, data_bytes) << path_;
  EXPECT_LE(stat.st_blocks * kBlock, data_bytes + static_cast<off_t>(kPageBytes) - 1) << path_;
  return told;
}

std::string ExerciserFile::Look() {
  struct stat stat{};
  Expect(::stat(path_.c_str(), &stat) == 0, "stat");
  EXPECT_EQ(static_cast<std::uint64_t>(stat.st_size), model_.size()) << path_;
  EXPECT_LE(stat.st_blocks * 512,
            static_cast<off_t>((model_.size() + kPageBytes - 1) / kPageBytes * kPageBytes))
      << path_;
  return "stat";
}

std::string ExerciserFile::Sync() {
  const int fd = fds_[random_.Below(fds_.size())].get();
  const bool data = random_.OneIn(2);
  Expect((data ? ::fdatasync(fd) : ::fsync(fd)) == 0, "fsync");
  return data ? "fdatasync" : "fsync";
}

std::string ExerciserFile::Reopen() {
  const std::size_t index = random_.Below(fds_.size());
  Expect(::close(fds_[index].Release()) == 0, "close");
  OpenOne(index);
  return fmt::format("close and open {}", index);
}

std::string ExerciserFile::ForgetPages() {
  Expect(::fdatasync(fds_[0].get()) == 0, "fdatasync");
  ::posix_fadvise(fds_[0].get(), 0, 0, POSIX_FADV_DONTNEED);
  return "forget pages";
}

void ExerciserFile::CheckAll() {
  std::string bytes(model_.size() + 1, '?');
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t count =
        ::pread(fds_[0].get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    Expect(count >= 0, "read");
    if (count <= 0) break;
    at += static_cast<std::size_t>(count);
  }
  bytes.resize(at);
  ExpectSameBytes("all of " + path_, model_, bytes);
}

}  // namespace varve
