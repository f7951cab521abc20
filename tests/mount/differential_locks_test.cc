// Stories of locks: between processes, and those that would wait for each other.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/mount/differential_fixture.h"
#include "tests/mount/differential_stories.h"

namespace varve {
namespace {

class LocksDifferentialTest : public DifferentialTest {
 protected:
  LocksDifferentialTest() : DifferentialTest("locks") {}
};

std::string TryLock(const char* path, short type, int command) {
  const UniqueFd fd = OpenFile(path, O_RDWR);
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = 10;
  lock.l_len = 10;
  return Answer(::fcntl(fd.get(), command, &lock));
}

TEST_F(LocksDifferentialTest, LocksBetweenProcesses) {
  CompareStory("locks", [](Transcript& story) {
    UniqueFd fd = OpenFile("file", O_RDWR | O_CREAT);
    const auto take = [&](int command, short type, off_t start, off_t length) {
      struct flock lock{};
      lock.l_type = type;
      lock.l_whence = SEEK_SET;
      lock.l_start = start;
      lock.l_len = length;
      return Answer(::fcntl(fd.get(), command, &lock));
    };
    const auto others = [&](const std::string& when) {
      for (const int command : {F_SETLK, F_OFD_SETLK}) {
        for (const short type : {short{F_RDLCK}, short{F_WRLCK}}) {
          story.Tell(fmt::format("{}: another's {} of {}", when, command, type),
                     InChild([&] { return TryLock("file", type, command); }));
        }
      }
      story.Tell(when + ": another's flock", InChild([] {
                   const UniqueFd own = OpenFile("file", O_RDWR);
                   return Answer(::flock(own.get(), LOCK_EX | LOCK_NB));
                 }));
    };
    story.Tell("write lock", take(F_SETLK, F_WRLCK, 0, 100));
    others("written");
    story.Tell("read lock of a part", take(F_SETLK, F_RDLCK, 10, 10));
    others("read");
    story.Tell("unlock", take(F_SETLK, F_UNLCK, 0, 0));
    others("free");
    story.Tell("OFD lock", take(F_OFD_SETLK, F_WRLCK, 15, 0));
    others("OFD");
    story.Tell("OFD unlock", take(F_OFD_SETLK, F_UNLCK, 0, 0));
    story.Tell("flock", ::flock(fd.get(), LOCK_SH));
    others("flock");
    story.Tell("write lock", take(F_SETLK, F_WRLCK, 0, 100));
    OpenFile("file", O_RDONLY).Reset();  // closing any descriptor lets go of a process's locks
    others("another closed");
    fd.Reset();
    others("closed");
  });
}

TEST_F(LocksDifferentialTest, LocksThatWouldWaitForEachOtherAreRefused) {
  CompareStory("deadlock", [](Transcript& story) {
    const UniqueFd fd = OpenFile("file", O_RDWR | O_CREAT);
    const auto take = [](int file, int command, off_t start) {
      struct flock lock{};
      lock.l_type = F_WRLCK;
      lock.l_whence = SEEK_SET;
      lock.l_start = start;
      lock.l_len = 1;
      return ::fcntl(file, command, &lock);
    };
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd ready(ends[0]);
    const UniqueFd tell(ends[1]);
    take(fd.get(), F_SETLK, 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const UniqueFd own = OpenFile("file", O_RDWR);
      take(own.get(), F_SETLK, 1);
      if (::write(tell.get(), "r", 1) != 1) ::_exit(9);
      ::_exit(take(own.get(), F_SETLKW, 0) == 0 ? 0 : errno);
    }
    char byte = 0;
    EXPECT_EQ(::read(ready.get(), &byte, 1), 1);
    // One of the two is refused: the child, if it comes second, else this one.
    const long mine = take(fd.get(), F_SETLKW, 1);
    const int error = mine == 0 ? 0 : errno;
    struct flock all{};
    all.l_type = F_UNLCK;
    all.l_whence = SEEK_SET;
    ::fcntl(fd.get(), F_SETLK, &all);
    int status = 0;
    ::waitpid(child, &status, 0);
    const int theirs = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    story.Tell("one of two", std::to_string((error == EDEADLK) + (theirs == EDEADLK)));
  });
}

}  // namespace
}  // namespace varve
