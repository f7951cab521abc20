// Stories of files' bytes: holes, mappings, appending, direct I/O, copying, limits.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tests/mount/differential_fixture.h"
#include "tests/mount/differential_stories.h"

namespace varve {
namespace {

constexpr off_t kMiB = 1 << 20;

class FilesDifferentialTest : public DifferentialTest {
 protected:
  FilesDifferentialTest() : DifferentialTest("files") {}
};

TEST_F(FilesDifferentialTest, HolesAreFoundWhereTheyAre) {
  CompareStory("holes", [](Transcript& story) {
    const UniqueFd fd = OpenFile("sparse", O_RDWR | O_CREAT);
    for (const off_t offset : {off_t{0}, 2 * kMiB, 2 * kMiB + 65536, 3 * kMiB + 40960}) {
      WriteText(fd.get(), std::string(kPage, 'x'), offset);
    }
    story.Tell("written", ListSegments(fd.get()));
    WriteText(fd.get(), std::string(3 * kPage, 'y'), kMiB);
    ::fsync(fd.get());
    story.Tell("synced", ListSegments(fd.get()));
    ::ftruncate(fd.get(), 10 * kMiB);
    story.Tell("longer", ListSegments(fd.get()));
    ::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kMiB + kPage, kPage);
    story.Tell("punched", ListSegments(fd.get()));
    ::fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 2 * kMiB, kPage);
    story.Tell("zeroed", ListSegments(fd.get()));
    ::ftruncate(fd.get(), kMiB + kPage + 100);
    story.Tell("shorter", ListSegments(fd.get()));
    ::ftruncate(fd.get(), 0);
    story.Tell("empty", ListSegments(fd.get()));
    ::fallocate(fd.get(), 0, 0, kMiB);
    story.Tell("allocated", ListSegments(fd.get()));
    WriteText(fd.get(), std::string(kPage, 'z'), 8 * kPage);
    story.Tell("written into what was allocated", ListSegments(fd.get()));
  });
}

TEST_F(FilesDifferentialTest, HolesWithinAPage) {
  CompareStory("small", [](Transcript& story) {
    const UniqueFd fd = OpenFile("small", O_RDWR | O_CREAT);
    WriteText(fd.get(), "a", 0);
    story.Tell("a byte", ListSegments(fd.get()));
    WriteText(fd.get(), "b", 10'000);
    story.Tell("another in the third page", ListSegments(fd.get()));
    WriteText(fd.get(), "c", 200'000);
    story.Tell("another far on", ListSegments(fd.get()));
    ::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5);
    story.Tell("a few bytes punched", ListSegments(fd.get()));
  });
}

TEST_F(FilesDifferentialTest, BlocksCountTheDataOfAFile) {
  CompareStory("blocks", [](Transcript& story) {
    const UniqueFd fd = OpenFile("file", O_RDWR | O_CREAT);
    story.Tell("empty", SyncedBlocks(fd.get()));
    WriteText(fd.get(), "x", 0);
    story.Tell("a byte", SyncedBlocks(fd.get()));
    WriteText(fd.get(), std::string(3 * kPage, 'x'), 0);
    story.Tell("three pages", SyncedBlocks(fd.get()));
    WriteText(fd.get(), std::string(3 * kPage, 'y'), 0);
    story.Tell("written over", SyncedBlocks(fd.get()));
    WriteText(fd.get(), std::string(20 * kPage, 'z'), kMiB);
    story.Tell("more behind a hole", SyncedBlocks(fd.get()));
    WriteText(fd.get(), std::string(2 * kPage, 'z'), kMiB + 10 * kPage);
    story.Tell("some of it written over", SyncedBlocks(fd.get()));
    ::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kMiB, 4 * kPage);
    story.Tell("punched", SyncedBlocks(fd.get()));
    ::ftruncate(fd.get(), 8 * kMiB);
    story.Tell("longer", SyncedBlocks(fd.get()));
    ::ftruncate(fd.get(), kMiB + 10 * kPage);
    story.Tell("shorter", SyncedBlocks(fd.get()));
    ::ftruncate(fd.get(), 2 * kPage);
    story.Tell("still shorter", SyncedBlocks(fd.get()));
    ::ftruncate(fd.get(), 0);
    story.Tell("emptied", SyncedBlocks(fd.get()));
    WriteText(fd.get(), std::string(kPage, 'x'), 4 * kMiB);
    story.Tell("begins with a hole", SyncedBlocks(fd.get()));
    const UniqueFd copy = OpenFile("copy", O_RDWR | O_CREAT);
    WriteText(copy.get(), std::string(40 * kPage, 'c'), 0);
    ::copy_file_range(copy.get(), nullptr, fd.get(), nullptr, 40 * kPage, 0);
    story.Tell("with a copy", SyncedBlocks(fd.get()));
    ::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, kMiB, kMiB);
    story.Tell("allocated", SyncedBlocks(fd.get()));
  });
}

void* Map(int fd, std::size_t length, int protection, int flags) {
  return ::mmap(nullptr, length, protection, flags, fd, 0);
}

TEST_F(FilesDifferentialTest, MappingsAndReadsAreCoherent) {
  CompareStory("mapping", [](Transcript& story) {
    const UniqueFd fd = OpenFile("mapped", O_RDWR | O_CREAT);
    WriteText(fd.get(), std::string(2 * kPage, 'o'), 0);
    auto* shared = static_cast<char*>(Map(fd.get(), 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED));
    auto* copy = static_cast<char*>(Map(fd.get(), 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE));
    ASSERT_NE(shared, MAP_FAILED);
    ASSERT_NE(copy, MAP_FAILED);
    std::memcpy(shared, "shared", 6);
    story.Tell("read sees what was stored", ReadText(fd.get(), 10, 0));
    WriteText(fd.get(), "written", 100);
    story.Tell("the mapping sees what was written", Describe({shared + 100, 8}));
    std::memcpy(copy + 200, "private", 7);
    story.Tell("read does not see a private store", ReadText(fd.get(), 8, 200));
    const UniqueFd other = OpenFile("mapped", O_WRONLY);
    WriteText(other.get(), "by another", 300);
    story.Tell("the mapping sees another's", Describe({shared + 300, 11}));
    story.Tell("msync", ::msync(shared, 2 * kPage, MS_SYNC));
    story.Tell("msync MS_ASYNC", ::msync(shared, 2 * kPage, MS_ASYNC));
    ::ftruncate(fd.get(), 150);
    ::ftruncate(fd.get(), 2 * kPage);
    story.Tell("cut and grown: the mapping", Describe({shared + 100, 60}));
    story.Tell("cut and grown: the file", ReadText(fd.get(), 60, 100));
    std::memcpy(shared + kPage, "last page", 9);
    ::munmap(shared, 2 * kPage);
    ::munmap(copy, 2 * kPage);
    story.Tell("after munmap", ReadText(other.get() >= 0 ? fd.get() : -1, 12, kPage));
  });
}

TEST_F(FilesDifferentialTest, AMappingPastTheEndIsAnError) {
  CompareStory("past the end", [](Transcript& story) {
    story.Tell("touching it", InChild([] {
                 const UniqueFd fd = OpenFile("short", O_RDWR | O_CREAT);
                 WriteText(fd.get(), "abc", 0);
                 auto* bytes =
                     static_cast<volatile char*>(Map(fd.get(), 3 * kPage, PROT_READ, MAP_SHARED));
                 std::string told = fmt::format("{}{} ", bytes[2], static_cast<int>(bytes[3]));
                 // SIGBUS ends the child; that it did is what is compared.
                 told += std::to_string(bytes[2 * kPage]);
                 return told;
               }));
  });
}

TEST_F(FilesDifferentialTest, AStoreIntoAMappingMovesTheTimes) {
  CompareStory("times of a mapping", [](Transcript& story) {
    const UniqueFd fd = OpenFile("mapped", O_RDWR | O_CREAT);
    WriteText(fd.get(), std::string(kPage, 'o'), 0);
    const std::array<timespec, 2> then{timespec{1'000'000'000, 1}, timespec{1'000'000'000, 2}};
    ::futimens(fd.get(), then.data());
    auto* shared = static_cast<char*>(Map(fd.get(), kPage, PROT_READ | PROT_WRITE, MAP_SHARED));
    ASSERT_NE(shared, MAP_FAILED);
    shared[7] = 'x';
    ::msync(shared, kPage, MS_SYNC);
    ::munmap(shared, kPage);
    story.Tell("mtime", Look("mapped"));
  });
}

TEST_F(FilesDifferentialTest, AppendingFromSeveralProcessesLosesNothing) {
  constexpr int kProcesses = 4;
  constexpr int kRecords = 150;
  CompareStory("appending", [](Transcript& story) {
    const UniqueFd fd = OpenFile("log", O_RDWR | O_CREAT | O_APPEND);
    std::array<pid_t, kProcesses> children{};
    for (int i = 0; i < kProcesses; ++i) {
      children[static_cast<std::size_t>(i)] = ::fork();
      if (children[static_cast<std::size_t>(i)] != 0) continue;
      const UniqueFd own = OpenFile("log", O_WRONLY | O_APPEND);
      const std::string record = std::string(19, static_cast<char>('a' + i)) + "\n";
      int failed = own ? 0 : 1;
      for (int n = 0; n < kRecords; ++n) {
        if (::write(own.get(), record.data(), record.size()) != std::ssize(record)) failed = 1;
      }
      ::_exit(failed);
    }
    for (const pid_t child : children) {
      int status = -1;
      ::waitpid(child, &status, 0);
      story.Tell("a process ended", std::to_string(status));
    }
    std::array<int, kProcesses> whole{};
    for (int n = 0; n < kProcesses * kRecords; ++n) {
      std::string record(20, '\0');
      if (::pread(fd.get(), record.data(), 20, n * 20) != 20) continue;
      const int who = record[0] - 'a';
      if (who < 0 || who >= kProcesses) continue;
      const std::string expected = std::string(19, static_cast<char>('a' + who)) + "\n";
      if (record == expected) ++whole[static_cast<std::size_t>(who)];
    }
    for (const int count : whole) story.Tell("whole records", std::to_string(count));
    struct stat stat{};
    ::fstat(fd.get(), &stat);
    story.Tell("size", std::to_string(stat.st_size));
    // Of whose records comes first, the two sides need not agree.
    story.Tell("unlink", ::unlink("log"));
  });
}

TEST_F(FilesDifferentialTest, AppendingWithEverythingElse) {
  CompareStory("append", [](Transcript& story) {
    const UniqueFd fd = OpenFile("file", O_RDWR | O_CREAT | O_APPEND);
    story.Tell("write", ::write(fd.get(), "one", 3));
    story.Tell("pwrite goes to the end", WriteText(fd.get(), "two", 0));
    story.Tell("position", ::lseek(fd.get(), 0, SEEK_CUR));
    ::lseek(fd.get(), 1, SEEK_SET);
    story.Tell("write after a seek", ::write(fd.get(), "three", 5));
    story.Tell("position", ::lseek(fd.get(), 0, SEEK_CUR));
    ::ftruncate(fd.get(), 2);
    story.Tell("write after a truncation", ::write(fd.get(), "four", 4));
    ::fcntl(fd.get(), F_SETFL, 0);
    story.Tell("pwrite without O_APPEND", WriteText(fd.get(), "X", 0));
    ::fcntl(fd.get(), F_SETFL, O_APPEND);
    story.Tell("pwrite with it again", WriteText(fd.get(), "Y", 0));
    story.Tell("contents", ReadText(fd.get(), 100, 0));
  });
}

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};

TEST_F(FilesDifferentialTest, DirectIo) {
  CompareStory("O_DIRECT", [](Transcript& story) {
    const std::unique_ptr<char, FreeMemory> page(
        static_cast<char*>(std::aligned_alloc(kPage, 4 * kPage)));
    const UniqueFd direct = OpenFile("file", O_RDWR | O_CREAT | O_DIRECT);
    const UniqueFd cached = OpenFile("file", O_RDWR);
    story.Tell("open", direct ? "opened" : Answer(-1));
    std::memset(page.get(), 'd', 4 * kPage);
    story.Tell("write", ::pwrite(direct.get(), page.get(), 4 * kPage, 0));
    story.Tell("cached read", ReadText(cached.get(), 8, 2 * kPage));
    story.Tell("cached write", WriteText(cached.get(), "cached", kPage));
    story.Tell("read", ::pread(direct.get(), page.get(), kPage, kPage));
    story.Tell("what was read", Describe({page.get(), 8}));
    story.Tell("cached write past the end", WriteText(cached.get(), "tail", 4 * kPage));
    story.Tell("read of the tail", ::pread(direct.get(), page.get(), kPage, 4 * kPage));
    story.Tell("read past the end", ::pread(direct.get(), page.get(), kPage, 5 * kPage));
    story.Tell("unaligned offset", ::pread(direct.get(), page.get(), kPage, 100));
    story.Tell("unaligned length", ::pwrite(direct.get(), page.get(), 100, 0));
    story.Tell("unaligned memory", ::pread(direct.get(), page.get() + 1, kPage, 0));
    ::ftruncate(direct.get(), 0);
    story.Tell("emptied", ReadText(cached.get(), 10, 0));
  });
}

TEST_F(FilesDifferentialTest, CopyingBetweenFiles) {
  CompareStory("copy_file_range", [](Transcript& story) {
    const UniqueFd from = OpenFile("from", O_RDWR | O_CREAT);
    const UniqueFd to = OpenFile("to", O_RDWR | O_CREAT);
    std::string text;
    while (text.size() < 300'000) text += fmt::format("line {}\n", text.size());
    WriteText(from.get(), text, 0);
    const auto copy = [&](const std::string& what, off_t source, off_t target, std::size_t length) {
      off_t in = source;
      off_t out = target;
      std::string told;
      // How much is copied at once is nobody's promise.
      for (std::size_t left = length; left > 0;) {
        const ssize_t count = ::copy_file_range(from.get(), &in, to.get(), &out, left, 0);
        if (count <= 0) {
          told = Answer(count);
          break;
        }
        left -= static_cast<std::size_t>(count);
      }
      story.Tell(what, fmt::format("{} {} {} {}", told, in, out, Look("to")));
    };
    copy("all", 0, 0, 300'000);
    copy("chunks moved by a chunk", 0, 65536, 131072);
    copy("unaligned", 5, 7, 100'000);
    copy("past the end", 299'000, 10, 5000);
    copy("leaving a hole", 100, 1'000'000, 10);
    copy("of nothing there", 400'000, 0, 10);
  });
}

TEST_F(FilesDifferentialTest, FarOffsets) {
  CompareStory("far", [](Transcript& story) {
    const UniqueFd fd = OpenFile("file", O_RDWR | O_CREAT);
    for (const int bits : {31, 32, 33, 40, 43}) {
      const off_t offset = off_t{1} << bits;
      story.Tell(fmt::format("across 2^{}", bits), WriteText(fd.get(), "across", offset - 3));
      story.Tell(fmt::format("read across 2^{}", bits), ReadText(fd.get(), 12, offset - 6));
    }
    story.Tell("size", Look("file"));
    for (const off_t offset : {off_t{1} << 44, off_t{1} << 50, off_t{1} << 62, INT64_MAX - 1}) {
      story.Tell(fmt::format("write at {}", offset), WriteText(fd.get(), "x", offset));
      story.Tell(fmt::format("read at {}", offset), ReadText(fd.get(), 1, offset));
    }
    story.Tell("write at 2^63-1", WriteText(fd.get(), "x", INT64_MAX));
    ::ftruncate(fd.get(), 100);
  });
}

TEST_F(FilesDifferentialTest, TheLimitOfFileSizesHolds) {
  CompareStory("RLIMIT_FSIZE", [](Transcript& story) {
    story.Tell("writing", InChild([] {
                 ::signal(SIGXFSZ, SIG_IGN);
                 const rlimit limit{10'000, 10'000};
                 ::setrlimit(RLIMIT_FSIZE, &limit);
                 const UniqueFd fd = OpenFile("file", O_RDWR | O_CREAT);
                 std::string told = WriteText(fd.get(), std::string(8000, 'x'), 0);
                 told += " " + WriteText(fd.get(), std::string(8000, 'y'), 8000);
                 told += " " + WriteText(fd.get(), "z", 10'000);
                 told += " " + Answer(::ftruncate(fd.get(), 20'000));
                 told += " " + Answer(::fallocate(fd.get(), 0, 0, 20'000));
                 told += " " + Answer(::ftruncate(fd.get(), 10'000));
                 return told;
               }));
  });
}

}  // namespace
}  // namespace varve
