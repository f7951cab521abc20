// Mapping a descriptor, and moving bytes from one to another without a buffer of one's own.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <array>

#include "tests/mount/differential_descriptors.h"

namespace varve {
namespace {

std::string MapAndTouch(int fd, int protection, int flags, std::size_t length, off_t offset) {
  void* memory = ::mmap(nullptr, length, protection, flags, fd, offset);
  if (memory == MAP_FAILED) return Answer(-1);
  auto* bytes = static_cast<char*>(memory);
  std::string answer = "mapped " + Describe({bytes, 8});
  if ((protection & PROT_WRITE) != 0) {
    bytes[1] = 'M';
    answer += " msync " + Answer(::msync(memory, length, MS_SYNC));
  }
  ::munmap(memory, length);
  return answer;
}

TEST_F(DescriptorsDifferentialTest, MappingAndCopying) {
  CompareAll({
      {"mmap read private",
       [](int fd) { return MapAndTouch(fd, PROT_READ, MAP_PRIVATE, kPage, 0); }},
      {"mmap read shared", [](int fd) { return MapAndTouch(fd, PROT_READ, MAP_SHARED, kPage, 0); }},
      {"mmap write private",
       [](int fd) { return MapAndTouch(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE, kPage, 0); }},
      {"mmap write shared",
       [](int fd) { return MapAndTouch(fd, PROT_READ | PROT_WRITE, MAP_SHARED, kPage, 0); }},
      {"mmap of nothing", [](int fd) { return MapAndTouch(fd, PROT_READ, MAP_SHARED, 0, 0); }},
      {"mmap unaligned", [](int fd) { return MapAndTouch(fd, PROT_READ, MAP_SHARED, kPage, 100); }},
      {"sendfile to another file",
       [](int fd) {
         const UniqueFd out(::open("file-owner", O_WRONLY | O_CLOEXEC));
         off_t offset = 4;
         return Answer(::sendfile(out.get(), fd, &offset, 10)) + fmt::format(" {}", offset);
       }},
      {"sendfile from another file",
       [](int fd) {
         const UniqueFd in(::open("file-owner", O_RDONLY | O_CLOEXEC));
         return Answer(::sendfile(fd, in.get(), nullptr, 10));
       }},
      {"copy_file_range to another file",
       [](int fd) {
         const UniqueFd out(::open("file-owner", O_WRONLY | O_CLOEXEC));
         return Answer(::copy_file_range(fd, nullptr, out.get(), nullptr, 10, 0));
       }},
      {"copy_file_range from another file",
       [](int fd) {
         const UniqueFd in(::open("file-owner", O_RDONLY | O_CLOEXEC));
         off_t from = 4;
         off_t to = 100'000;
         return Answer(::copy_file_range(in.get(), &from, fd, &to, 1000, 0));
       }},
      {"copy_file_range onto itself",
       [](int fd) {
         off_t from = 0;
         off_t to = 5;
         return Answer(::copy_file_range(fd, &from, fd, &to, 10, 0));
       }},
      {"copy_file_range within itself",
       [](int fd) {
         off_t from = 0;
         off_t to = 50;
         return Answer(::copy_file_range(fd, &from, fd, &to, 10, 0));
       }},
      {"copy_file_range with flags",
       [](int fd) { return Answer(::copy_file_range(fd, nullptr, fd, nullptr, 10, 1)); }},
      {"splice into a pipe",
       [](int fd) {
         std::array<int, 2> ends{};
         if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return Answer(-1);
         const UniqueFd out(ends[0]);
         const UniqueFd in(ends[1]);
         off_t offset = 4;
         const std::string answer = Answer(::splice(fd, &offset, in.get(), nullptr, 8, 0));
         std::array<char, 16> bytes{};
         const ssize_t count = ::read(out.get(), bytes.data(), bytes.size());
         return answer + " " +
                (count < 0 ? Answer(count)
                           : Describe({bytes.data(), static_cast<std::size_t>(count)}));
       }},
      {"splice out of a pipe",
       [](int fd) {
         std::array<int, 2> ends{};
         if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return Answer(-1);
         const UniqueFd out(ends[0]);
         const UniqueFd in(ends[1]);
         if (::write(in.get(), "from the pipe", 13) != 13) return Answer(-1);
         off_t offset = 6;
         return Answer(::splice(out.get(), nullptr, fd, &offset, 13, 0));
       }},
      {"FICLONE",
       [](int fd) {
         const UniqueFd in(::open("file-owner", O_RDONLY | O_CLOEXEC));
         return Answer(::ioctl(fd, FICLONE, in.get()));
       }},
  });
}

}  // namespace
}  // namespace varve
