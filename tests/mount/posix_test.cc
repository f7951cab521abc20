// What programs expect of a filesystem, through the kernel.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"

namespace varve {
namespace {

using testing::ElementsAre;

class PosixTest : public MountedTest {
 protected:
  UniqueFd Open(const std::string& name, int flags, mode_t mode = 0644) {
    UniqueFd fd(::open((volume_ / name).c_str(), flags | O_CLOEXEC, mode));
    EXPECT_TRUE(fd) << name << ": " << std::strerror(errno);
    return fd;
  }
  struct stat Stat(const std::string& name) {
    struct stat stat{};
    EXPECT_EQ(::lstat((volume_ / name).c_str(), &stat), 0) << name << ": " << std::strerror(errno);
    return stat;
  }
  int RenameFlags(const std::string& from, const std::string& to, unsigned flags) {
    return ::renameat2(AT_FDCWD, (volume_ / from).c_str(), AT_FDCWD, (volume_ / to).c_str(), flags);
  }
};

TEST_F(PosixTest, FilesReadBackAlsoAfterARemount) {
  std::string contents;
  for (int i = 0; i < 300'000; ++i) contents += std::to_string(i) + '\n';
  WriteFile(volume_ / "file", contents);
  EXPECT_EQ(ReadFile(volume_ / "file"), contents);
  Remount();
  EXPECT_EQ(ReadFile(volume_ / "file"), contents);
  EXPECT_EQ(Stat("file").st_size, static_cast<off_t>(contents.size()));
}

TEST_F(PosixTest, OpenFlagsAreHonoured) {
  WriteFile(volume_ / "file", "first");
  EXPECT_LT(::open((volume_ / "file").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644), 0);
  EXPECT_EQ(errno, EEXIST);
  {
    const UniqueFd fd = Open("file", O_WRONLY | O_APPEND);
    ASSERT_EQ(::write(fd.get(), "+second", 7), 7);
  }
  EXPECT_EQ(ReadFile(volume_ / "file"), "first+second");
  {
    const UniqueFd fd = Open("file", O_WRONLY | O_TRUNC);
  }
  EXPECT_EQ(ReadFile(volume_ / "file"), "");
}

TEST_F(PosixTest, WritesInTheMiddleAndTruncationsAreSeen) {
  const UniqueFd fd = Open("file", O_RDWR | O_CREAT);
  ASSERT_EQ(::pwrite(fd.get(), "aaaaaaaaaa", 10, 0), 10);
  ASSERT_EQ(::pwrite(fd.get(), "bb", 2, 4), 2);
  ASSERT_EQ(::pwrite(fd.get(), "end", 3, 100'000), 3);
  EXPECT_EQ(Stat("file").st_size, 100'003);
  const std::string contents = ReadFile(volume_ / "file");
  EXPECT_EQ(contents.substr(0, 10), "aaaabbaaaa");
  EXPECT_EQ(contents.substr(10, 99'990), std::string(99'990, '\0'));
  ASSERT_EQ(::ftruncate(fd.get(), 5), 0);
  EXPECT_EQ(ReadFile(volume_ / "file"), "aaaab");
  ASSERT_EQ(::ftruncate(fd.get(), 8), 0);
  EXPECT_EQ(ReadFile(volume_ / "file"), std::string("aaaab\0\0\0", 8));
}

TEST_F(PosixTest, MappedMemoryIsTheFile) {
  const std::size_t length = 1 << 20;
  UniqueFd fd = Open("mapped", O_RDWR | O_CREAT);
  ASSERT_EQ(::ftruncate(fd.get(), static_cast<off_t>(length)), 0);
  void* memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(memory, MAP_FAILED) << std::strerror(errno);
  std::memset(memory, 'm', length);
  ASSERT_EQ(::msync(memory, length, MS_SYNC), 0);
  ASSERT_EQ(::munmap(memory, length), 0);
  EXPECT_EQ(ReadFile(volume_ / "mapped"), std::string(length, 'm'));
  fd.Reset();
  Remount();
  EXPECT_EQ(ReadFile(volume_ / "mapped"), std::string(length, 'm'));
}

TEST_F(PosixTest, SparseFilesHaveHolesThatCanBeFound) {
  const UniqueFd fd = Open("sparse", O_RDWR | O_CREAT);
  const off_t far = off_t{1} << 36;
  ASSERT_EQ(::pwrite(fd.get(), "x", 1, far), 1);
  EXPECT_EQ(Stat("sparse").st_size, far + 1);
  const off_t data = ::lseek(fd.get(), 0, SEEK_DATA);
  EXPECT_GT(data, far - (1 << 20));
  EXPECT_LE(data, far);
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_HOLE), 0);
  EXPECT_EQ(::lseek(fd.get(), far, SEEK_HOLE), far + 1);
  EXPECT_LT(::lseek(fd.get(), far + 1, SEEK_DATA), 0);
  EXPECT_EQ(errno, ENXIO);
}

TEST_F(PosixTest, SpaceCanBeAllocatedAndPunched) {
  const UniqueFd fd = Open("file", O_RDWR | O_CREAT);
  ASSERT_EQ(::fallocate(fd.get(), 0, 0, 1 << 20), 0) << std::strerror(errno);
  EXPECT_EQ(Stat("file").st_size, 1 << 20);
  ASSERT_EQ(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 1 << 20, 1 << 20), 0);
  EXPECT_EQ(Stat("file").st_size, 1 << 20);
  const std::string data(1 << 20, 'd');
  ASSERT_EQ(::pwrite(fd.get(), data.data(), data.size(), 0), 1 << 20);
  ASSERT_EQ(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 131072), 0);
  const std::string contents = ReadFile(volume_ / "file");
  EXPECT_EQ(contents.substr(65536, 131072), std::string(131072, '\0'));
  EXPECT_EQ(contents[65535], 'd');
  EXPECT_EQ(contents[65536 + 131072], 'd');
}

TEST_F(PosixTest, HardLinksShareAFile) {
  WriteFile(volume_ / "a", "shared");
  ASSERT_EQ(::link((volume_ / "a").c_str(), (volume_ / "b").c_str()), 0);
  EXPECT_EQ(Stat("a").st_nlink, 2u);
  EXPECT_EQ(Stat("a").st_ino, Stat("b").st_ino);
  WriteFile(volume_ / "b", "changed");
  EXPECT_EQ(ReadFile(volume_ / "a"), "changed");
  ASSERT_EQ(::unlink((volume_ / "a").c_str()), 0);
  EXPECT_EQ(Stat("b").st_nlink, 1u);
  EXPECT_EQ(ReadFile(volume_ / "b"), "changed");
}

TEST_F(PosixTest, AnUnlinkedFileLivesWhileItIsOpen) {
  const UniqueFd fd = Open("temporary", O_RDWR | O_CREAT);
  ASSERT_EQ(::write(fd.get(), "still here", 10), 10);
  ASSERT_EQ(::unlink((volume_ / "temporary").c_str()), 0);
  ASSERT_EQ(::pwrite(fd.get(), "STILL", 5, 0), 5);
  char bytes[16] = {};
  EXPECT_EQ(::pread(fd.get(), bytes, sizeof(bytes), 0), 10);
  EXPECT_STREQ(bytes, "STILL here");
  struct stat stat{};
  ASSERT_EQ(::fstat(fd.get(), &stat), 0);
  EXPECT_EQ(stat.st_nlink, 0u);
}

TEST_F(PosixTest, RenameReplacesExchangesAndRefuses) {
  WriteFile(volume_ / "a", "A");
  WriteFile(volume_ / "b", "B");
  EXPECT_NE(RenameFlags("a", "b", RENAME_NOREPLACE), 0);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(RenameFlags("a", "c", RENAME_NOREPLACE), 0);
  EXPECT_EQ(RenameFlags("b", "c", RENAME_EXCHANGE), 0);
  EXPECT_EQ(ReadFile(volume_ / "b"), "A");
  EXPECT_EQ(ReadFile(volume_ / "c"), "B");
  EXPECT_EQ(RenameFlags("b", "c", 0), 0);
  EXPECT_EQ(ReadFile(volume_ / "c"), "A");
  EXPECT_FALSE(PathExists(volume_ / "b"));
}

TEST_F(PosixTest, DirectoriesAreMadeRenamedAndRemoved) {
  ASSERT_EQ(::mkdir((volume_ / "d").c_str(), 0750), 0);
  EXPECT_EQ(Stat("d").st_mode & 07777, 0750u);
  EXPECT_EQ(Stat("").st_nlink, 3u);
  WriteFile(volume_ / "d/file", "x");
  EXPECT_NE(::rmdir((volume_ / "d").c_str()), 0);
  EXPECT_EQ(errno, ENOTEMPTY);
  ASSERT_EQ(::mkdir((volume_ / "e").c_str(), 0755), 0);
  ASSERT_EQ(RenameFlags("d", "e/d", 0), 0);
  EXPECT_NE(RenameFlags("e", "e/d/e", 0), 0);
  EXPECT_EQ(ReadFile(volume_ / "e/d/file"), "x");
  ASSERT_EQ(::unlink((volume_ / "e/d/file").c_str()), 0);
  ASSERT_EQ(::rmdir((volume_ / "e/d").c_str()), 0);
  EXPECT_TRUE(ListNames(volume_ / "e").empty());
}

TEST_F(PosixTest, SymbolicLinksAndNodes) {
  ASSERT_EQ(::symlink("target/of/link", (volume_ / "link").c_str()), 0);
  char target[64] = {};
  EXPECT_EQ(::readlink((volume_ / "link").c_str(), target, sizeof(target)), 14);
  EXPECT_STREQ(target, "target/of/link");
  EXPECT_EQ(Stat("link").st_size, 14);
  ASSERT_EQ(::mkfifo((volume_ / "fifo").c_str(), 0600), 0);
  EXPECT_TRUE(S_ISFIFO(Stat("fifo").st_mode));
  if (::geteuid() == 0) {
    ASSERT_EQ(::mknod((volume_ / "null").c_str(), S_IFCHR | 0666, 0x103), 0);
    EXPECT_TRUE(Open("null", O_WRONLY));  // mounted by root: devices work
  }
}

TEST_F(PosixTest, AttributesAreKept) {
  WriteFile(volume_ / "file", "x");
  ASSERT_EQ(::chmod((volume_ / "file").c_str(), 0604), 0);
  const timespec times[2] = {{1'000'000'000, 111}, {1'200'000'000, 999'999'999}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (volume_ / "file").c_str(), times, 0), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown((volume_ / "file").c_str(), 1234, 5678), 0);
  }
  Remount();
  EXPECT_EQ(Stat("file").st_mode, static_cast<mode_t>(S_IFREG | 0604));
  EXPECT_EQ(Stat("file").st_atim.tv_nsec, 111);
  EXPECT_EQ(Stat("file").st_mtim.tv_sec, 1'200'000'000);
  EXPECT_EQ(Stat("file").st_mtim.tv_nsec, 999'999'999);
  if (::geteuid() == 0) {
    EXPECT_EQ(Stat("file").st_uid, 1234u);
  }
}

TEST_F(PosixTest, TheUmaskCounts) {
  const mode_t before = ::umask(027);
  {
    const UniqueFd fd = Open("file", O_WRONLY | O_CREAT, 0666);
  }
  ::mkdir((volume_ / "dir").c_str(), 0777);
  ::umask(before);
  EXPECT_EQ(Stat("file").st_mode & 0777, 0640u);
  EXPECT_EQ(Stat("dir").st_mode & 0777, 0750u);
}

TEST_F(PosixTest, WritingTakesSetuidAway) {
  WriteFile(volume_ / "program", "x");
  ASSERT_EQ(::chmod((volume_ / "program").c_str(), 04755), 0);
  EXPECT_EQ(Stat("program").st_mode & 07777, 04755u);
  ASSERT_EQ(::truncate((volume_ / "program").c_str(), 0), 0);
  if (::geteuid() != 0) {
    EXPECT_EQ(Stat("program").st_mode & 07777, 0755u);
  }
}

TEST_F(PosixTest, ExtendedAttributes) {
  const std::string file = volume_ / "file";
  WriteFile(file, "x");
  ASSERT_EQ(::setxattr(file.c_str(), "user.a", "one", 3, XATTR_CREATE), 0) << std::strerror(errno);
  EXPECT_NE(::setxattr(file.c_str(), "user.a", "two", 3, XATTR_CREATE), 0);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_NE(::setxattr(file.c_str(), "user.b", "two", 3, XATTR_REPLACE), 0);
  EXPECT_EQ(errno, ENODATA);
  ASSERT_EQ(::setxattr(file.c_str(), "user.b", "", 0, 0), 0);
  Remount();
  char bytes[64] = {};
  EXPECT_EQ(::getxattr(file.c_str(), "user.a", bytes, sizeof(bytes)), 3);
  EXPECT_STREQ(bytes, "one");
  EXPECT_EQ(::getxattr(file.c_str(), "user.b", bytes, sizeof(bytes)), 0);
  EXPECT_LT(::getxattr(file.c_str(), "user.none", bytes, sizeof(bytes)), 0);
  EXPECT_EQ(errno, ENODATA);
  char tiny[1];
  EXPECT_LT(::getxattr(file.c_str(), "user.a", tiny, sizeof(tiny)), 0);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(::listxattr(file.c_str(), nullptr, 0), 14);
  ASSERT_EQ(::removexattr(file.c_str(), "user.a"), 0);
  EXPECT_NE(::removexattr(file.c_str(), "user.a"), 0);
  EXPECT_EQ(errno, ENODATA);
}

TEST_F(PosixTest, ADirectoryOfFiveThousandIsListedOnceEach) {
  ASSERT_EQ(::mkdir((volume_ / "many").c_str(), 0755), 0);
  std::set<std::string> expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string name = "entry-" + std::to_string(i);
    ASSERT_EQ(::mknod((volume_ / ("many/" + name)).c_str(), S_IFREG | 0600, 0), 0);
    expected.insert(name);
  }
  const auto list = [&] {
    std::vector<std::string> names = ListNames(volume_ / "many");
    const std::set<std::string> unique(names.begin(), names.end());
    EXPECT_EQ(names.size(), unique.size());
    return unique;
  };
  EXPECT_EQ(list(), expected);
  for (int i = 0; i < 5000; i += 2) {
    const std::string name = "entry-" + std::to_string(i);
    ASSERT_EQ(::unlink((volume_ / ("many/" + name)).c_str()), 0);
    expected.erase(name);
  }
  EXPECT_EQ(list(), expected);
  Remount();
  EXPECT_EQ(list(), expected);
}

TEST_F(PosixTest, NamesOfAnyBytesUpToTheLimit) {
  const std::string longest(255, 'n');
  WriteFile(volume_ / longest, "x");
  EXPECT_LT(::open((volume_ / (longest + "n")).c_str(), O_WRONLY | O_CREAT, 0600), 0);
  EXPECT_EQ(errno, ENAMETOOLONG);
  WriteFile(volume_ / "\xff\x01\n odd", "y");
  Remount();
  EXPECT_THAT(ListNames(volume_ / ""), ElementsAre(longest, "\xff\x01\n odd"));
}

TEST_F(PosixTest, SyncingWorksOnFilesAndDirectories) {
  const UniqueFd file = Open("file", O_RDWR | O_CREAT | O_SYNC);
  ASSERT_EQ(::write(file.get(), "x", 1), 1);
  EXPECT_EQ(::fsync(file.get()), 0);
  EXPECT_EQ(::fdatasync(file.get()), 0);
  const UniqueFd directory = Open("", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(::fsync(directory.get()), 0);
}

TEST_F(PosixTest, TheFilesystemTellsItsSize) {
  struct statvfs space{};
  ASSERT_EQ(::statvfs(volume_.mountpoint().c_str(), &space), 0);
  EXPECT_GT(space.f_blocks, 0u);
  EXPECT_GT(space.f_bavail, 0u);
  EXPECT_EQ(space.f_namemax, 255u);
}

}  // namespace
}  // namespace varve
