#include "tests/mount/full_volume_fixture.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "store/base/unique_fd.h"
#include "tests/support/loop_ext4.h"

namespace varve {
namespace {

constexpr std::uint64_t kGrainBytes = 4096;

// The bytes of one grain; every grain of every file is another.
void FillGrain(std::uint64_t number, std::uint64_t grain, char* out) {
  std::mt19937_64 random(number * 1'000'003 + grain);
  for (std::uint64_t at = 0; at < kGrainBytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(out + at, &word, sizeof(word));
  }
}

// Keeps the first call that did not succeed.
class Refusal {
 public:
  bool Note(const char* call, bool succeeded) {
    if (succeeded || !text_.empty()) return succeeded;
    text_ = std::string(call) + ": " + std::strerror(errno);
    EXPECT_EQ(errno, ENOSPC) << text_;
    return false;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

void FullVolumeTest::SetUp() {
  if (const auto why = MountFixture::WhyCannotMount()) GTEST_SKIP() << *why;
  if (const auto why = WhyNoLoopExt4()) GTEST_SKIP() << *why;
  const Status left = SmallDisks::LeaveMountNamespace();
  ASSERT_TRUE(left.ok()) << left.error().message();
}

void FullVolumeTest::Begin(const std::vector<std::uint64_t>& disk_bytes,
                           const std::string& options) {
  for (std::size_t i = 0; i < disk_bytes.size(); ++i) {
    const Status added = disks_.Add(volume_.Outside("disk" + std::to_string(i)), disk_bytes[i]);
    ASSERT_TRUE(added.ok()) << added.error().message();
  }
  const RunResult formatted =
      volume_.Format(static_cast<int>(disk_bytes.size()), {"--data", "4", "--parity", "2"});
  ASSERT_EQ(formatted.status, 0) << formatted.err;
  mount_options_ = options;
  MountIt();
}

void FullVolumeTest::LoseDisk(int index) {
  const Status lost = disks_.Lose(volume_.disk(index));
  ASSERT_TRUE(lost.ok()) << lost.error().message();
}

std::string FullVolumeTest::BytesOf(std::uint64_t number, std::uint64_t offset,
                                    std::uint64_t length) {
  const std::uint64_t first = offset / kGrainBytes;
  const std::uint64_t last = (offset + length + kGrainBytes - 1) / kGrainBytes;
  std::string bytes(static_cast<std::size_t>((last - first) * kGrainBytes), '\0');
  for (std::uint64_t grain = first; grain < last; ++grain) {
    FillGrain(number, grain, bytes.data() + (grain - first) * kGrainBytes);
  }
  return bytes.substr(static_cast<std::size_t>(offset % kGrainBytes),
                      static_cast<std::size_t>(length));
}

FilledFile FullVolumeTest::WriteOne(const std::string& name, std::uint64_t bytes,
                                    std::uint64_t write_bytes, bool sync) {
  FilledFile file;
  file.name = name;
  file.number = files_.size() + 1;
  Refusal refusal;
  const int fd = ::open((volume_ / name).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (refusal.Note("open", fd >= 0)) {
    while (file.written_bytes < bytes) {
      const std::string part = BytesOf(file.number, file.written_bytes,
                                       std::min(write_bytes, bytes - file.written_bytes));
      const ssize_t count = ::write(fd, part.data(), part.size());
      if (!refusal.Note("write", count > 0)) break;
      file.written_bytes += static_cast<std::uint64_t>(count);
    }
    if (sync) file.synced = refusal.Note("fsync", ::fsync(fd) == 0);
    refusal.Note("close", ::close(fd) == 0);
  }
  file.refused = refusal.text();
  file.closed = file.refused.empty();
  return file;
}

void FullVolumeTest::Fill(const Filling& filling) {
  int refused = 0;
  for (int i = 0; i < filling.most_files && (filling.refusals == 0 || refused < filling.refusals);
       ++i) {
    const bool sync =
        filling.sync == Sync::kEach || (filling.sync == Sync::kEveryOther && i % 2 == 0);
    files_.push_back(WriteOne(filling.prefix + std::to_string(i), filling.file_bytes,
                              filling.write_bytes, sync));
    refused = files_.back().closed ? 0 : refused + 1;
    if (HasFailure()) return;
  }
  EXPECT_EQ(refused, filling.refusals) << "the volume has no end";
}

void FullVolumeTest::CheckFiles(const std::string& directory) {
  for (const FilledFile& file : files_) {
    if (!file.closed && !file.synced) continue;
    const std::string path = directory + "/" + file.name;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(fd) << path << ": " << std::strerror(errno);
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    std::string bytes(static_cast<std::size_t>(kMiB), '\0');
    for (std::uint64_t at = 0; at < file.written_bytes; at += kMiB) {
      const std::uint64_t length = std::min(kMiB, file.written_bytes - at);
      ASSERT_EQ(
          ::pread(fd.get(), bytes.data(), static_cast<std::size_t>(length), static_cast<off_t>(at)),
          static_cast<ssize_t>(length))
          << path << " at " << at << ": " << std::strerror(errno);
      ASSERT_TRUE(
          bytes.compare(0, static_cast<std::size_t>(length), BytesOf(file.number, at, length)) == 0)
          << path << " at " << at;
    }
  }
}

std::uint64_t FullVolumeTest::AvailableBytes() const {
  struct statvfs space{};
  EXPECT_EQ(::statvfs(volume_.mountpoint().c_str(), &space), 0) << std::strerror(errno);
  return std::uint64_t{space.f_bavail} * space.f_frsize;
}

std::uint64_t FullVolumeTest::AcceptedBytes() const {
  std::uint64_t bytes = 0;
  for (const FilledFile& file : files_) {
    if (file.closed || file.synced) bytes += file.written_bytes;
  }
  return bytes;
}

}  // namespace varve
