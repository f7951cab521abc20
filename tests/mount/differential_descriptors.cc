#include "tests/mount/differential_descriptors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace varve {
namespace {

struct Descriptor {
  std::string name;
  std::function<int()> open;
};

Descriptor OpenAs(const std::string& path, const std::string& how, int flags) {
  return {path + " " + how,
          [=] { return ::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC, 0600); }};
}

// The name goes before the call comes.
Descriptor Removed(const std::string& path, const std::string& how, int flags) {
  return {"removed " + path + " " + how, [=] {
            const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
            const bool directory = (flags & O_DIRECTORY) != 0;
            EXPECT_EQ(directory ? ::rmdir(path.c_str()) : ::unlink(path.c_str()), 0) << path;
            return fd;
          }};
}

const std::vector<Descriptor>& Descriptors() {
  static const std::vector<Descriptor> descriptors{
      OpenAs("file", "O_RDONLY", O_RDONLY),
      OpenAs("file", "O_WRONLY", O_WRONLY),
      OpenAs("file", "O_RDWR", O_RDWR),
      OpenAs("file", "O_RDWR|O_APPEND", O_RDWR | O_APPEND),
      OpenAs("file", "O_PATH", O_PATH),
      OpenAs("file-xattrs", "O_RDWR", O_RDWR),
      OpenAs("file-linked", "O_RDWR", O_RDWR),
      OpenAs("dir", "O_RDONLY", O_RDONLY | O_DIRECTORY),
      OpenAs("dir", "O_PATH", O_PATH | O_DIRECTORY),
      OpenAs("link-file", "O_PATH", O_PATH | O_NOFOLLOW),
      OpenAs("fifo", "O_RDWR", O_RDWR),
      OpenAs("char", "O_RDWR", O_RDWR),
      Removed("file", "O_RDWR", O_RDWR),
      Removed("file", "O_RDONLY", O_RDONLY),
      Removed("file-linked", "O_RDWR", O_RDWR),
      Removed("dir-empty", "O_RDONLY", O_RDONLY | O_DIRECTORY),
  };
  return descriptors;
}

}  // namespace

void DescriptorsDifferentialTest::CompareAll(const std::vector<DescriptorCall>& calls) {
  for (const DescriptorCall& call : calls) {
    for (const Descriptor& descriptor : Descriptors()) {
      CompareInScene(fmt::format("{}({})", call.name, descriptor.name), Root(), [&] {
        const UniqueFd fd(descriptor.open());
        if (!fd) return "not opened: " + Answer(-1);
        const std::string answer = call.run(fd.get());
        struct stat stat{};
        if (::fstat(fd.get(), &stat) != 0) return answer + ", fstat " + Answer(-1);
        return answer + ", then " + ViewStat(stat).text;
      });
    }
  }
}

std::string Read(int fd, std::size_t length, off_t offset) {
  std::string bytes(length, '\0');
  const ssize_t count = ::pread(fd, bytes.data(), length, offset);
  if (count < 0) return Answer(count);
  bytes.resize(static_cast<std::size_t>(count));
  return Describe(bytes);
}

}  // namespace varve
