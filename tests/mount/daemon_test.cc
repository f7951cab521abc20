// The daemon's life: options, signals, its end, lost disks, other users.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "store/base/unique_fd.h"
#include "tests/mount/mounted_test.h"

namespace varve {
namespace {

namespace bfs = boost::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class DaemonTest : public MountedTest {
 protected:
  nlohmann::json Status() { return VarveJson({"status", volume_.mountpoint()}); }
};

TEST_F(DaemonTest, StatusTellsWhatThereIs) {
  WriteFile(volume_ / "file", "x");
  const auto status = Status();
  EXPECT_EQ(status.at("state"), "ONLINE");
  EXPECT_EQ(status.at("mountpoint"), volume_.mountpoint());
  EXPECT_EQ(status.at("pid"), volume_.daemon());
  EXPECT_EQ(status.at("data"), 4);
  EXPECT_EQ(status.at("parity"), 2);
  EXPECT_EQ(status.at("disks").size(), 6u);
  EXPECT_GT(status.at("space").at("available_bytes"), 0);
  EXPECT_GT(status.at("history").at("last_lsn"), 1);
  EXPECT_EQ(status.at("next_step"), "");
  // The same by a path inside and by a disk.
  EXPECT_EQ(VarveJson({"status", volume_ / "file"}).at("pid"), volume_.daemon());
  EXPECT_EQ(VarveJson({"status", volume_.disk(3)}).at("pid"), volume_.daemon());
  // Of all mounts of the machine, some perhaps of others, whose daemons cannot be reached from
  // here.
  EXPECT_THAT(volume_.Run({"status"}).out, HasSubstr(volume_.mountpoint()));
  EXPECT_THAT(Varve({"status", volume_.mountpoint()}), HasSubstr("ONLINE: 6 of 6 disks online"));
}

// What the daemon was started with.
std::string EnvironmentOf(pid_t daemon) {
  std::ifstream file("/proc/" + std::to_string(daemon) + "/environ");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(DaemonTest, KeepsItsMemoryInHugePagesUnlessToldOtherwise) {
  ASSERT_EQ(std::getenv("GLIBC_TUNABLES"), nullptr) << "the test is about setting it";
  EXPECT_THAT(EnvironmentOf(volume_.daemon()), HasSubstr("GLIBC_TUNABLES=glibc.malloc.hugetlb=1"));
  ::setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=0", 1);
  Remount();
  ::unsetenv("GLIBC_TUNABLES");
  EXPECT_THAT(EnvironmentOf(volume_.daemon()),
              AllOf(HasSubstr("glibc.malloc.perturb=0"), Not(HasSubstr("hugetlb"))));
}

TEST_F(DaemonTest, CanBeStartedByTheLoader) {
  const std::string loader = "/lib64/ld-linux-x86-64.so.2";
  if (!PathExists(loader)) GTEST_SKIP() << "no " << loader;
  const RunResult help = RunProgram({loader, VARVE_BINARY, "mount", "--help"});
  EXPECT_EQ(help.status, 0) << help.err;
  EXPECT_THAT(help.out, HasSubstr("varve mount"));
}

TEST_F(DaemonTest, DoesNothingWhenNothingIsAskedOfIt) {
  WriteFile(volume_ / "file", "x");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const auto processor_seconds = [&] {
    std::ifstream file("/proc/" + std::to_string(volume_.daemon()) + "/stat");
    std::string text{std::istreambuf_iterator<char>(file), {}};
    std::istringstream words(text.substr(text.rfind(')') + 2));
    std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
    const auto ticks = std::stoul(fields.at(11)) + std::stoul(fields.at(12));  // utime, stime
    return static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  };
  const double before = processor_seconds();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_LT(processor_seconds() - before, 0.5) << "in two seconds";
}

TEST_F(DaemonTest, SignalsUnmountCleanly) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    WriteFile(volume_ / "file", std::to_string(signal));
    EXPECT_EQ(volume_.EndDaemon(signal), 0);
    EXPECT_TRUE(ListNames(volume_.mountpoint()).empty());
    MountIt();
    EXPECT_EQ(ReadFile(volume_ / "file"), std::to_string(signal));
  }
}

TEST_F(DaemonTest, ASignalEndsAMountInUseToo) {
  UniqueFd fd(::open((volume_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd);
  ASSERT_EQ(::write(fd.get(), "in use", 6), 6);
  EXPECT_EQ(volume_.EndDaemon(SIGTERM), 0);
  fd.Reset();
  MountIt();
  EXPECT_EQ(ReadFile(volume_ / "file"), "in use");
}

TEST_F(DaemonTest, UmountOfAMountInUseIsRefusedAndChangesNothing) {
  {
    const UniqueFd fd(::open((volume_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const RunResult refused = volume_.Run({"umount", volume_.mountpoint()});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, HasSubstr("in use"));
    ASSERT_EQ(::write(fd.get(), "x", 1), 1);
  }
  EXPECT_EQ(ReadFile(volume_ / "file"), "x");
}

TEST_F(DaemonTest, UmountLetsGoOfTheDisks) {
  WriteFile(volume_ / "file", "x");
  ASSERT_EQ(volume_.Unmount().status, 0);
  EXPECT_EQ(VarveJson({"status", volume_.disk(0)}).at("mounted"), false);
  EXPECT_EQ(volume_.Run({"fsck", "-n", volume_.disk(0)}).status, 0);
}

TEST_F(DaemonTest, MountingWaitsForAVolumeThatIsStillBeingClosed) {
  const std::string text(48 << 20, 'x');
  WriteFile(volume_ / "file", text);
  ASSERT_EQ(::umount2(volume_.mountpoint().c_str(), 0), 0);  // does not wait for the daemon
  const RunResult again = volume_.Run({"mount", volume_.disk(0), volume_.mountpoint()});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(ReadFile(volume_ / "file"), text);
  EXPECT_EQ(volume_.Run({"umount", volume_.mountpoint()}).status, 0);
  EXPECT_EQ(volume_.EndDaemon(SIGTERM), 0);  // the first one, which has ended by itself
}

TEST_F(DaemonTest, RemountingChangesTheFlagsOfTheMount) {
  if (::geteuid() != 0) GTEST_SKIP() << "remounting takes root";
  WriteFile(volume_ / "file", "x");
  const auto remount = [&](const std::string& options) {
    // As mount(8) calls its helper: with the mount table's words, and its source for the disk.
    return volume_.Run({"mount", "-o", "remount," + options + ",user_id=0,default_permissions",
                        "varve#source", volume_.mountpoint()});
  };
  ASSERT_EQ(remount("ro").status, 0);
  UniqueFd fd(::open((volume_ / "file").c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_FALSE(fd);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(ReadFile(volume_ / "file"), "x");
  ASSERT_EQ(remount("rw").status, 0);
  WriteFile(volume_ / "file", "y");
  const TempDirectory elsewhere;
  EXPECT_THAT(volume_.Run({"mount", "-o", "remount,ro", "x", elsewhere.path()}).err,
              HasSubstr("not the mountpoint"));
}

TEST_F(DaemonTest, MountingAMountedVolumeIsRefusedAtOnce) {
  const TempDirectory elsewhere;
  const RunResult refused = volume_.Run({"mount", volume_.disk(0), elsewhere.path()});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("in use"));
}

TEST_F(DaemonTest, KilledItLosesNothingThatWasSynced) {
  const UniqueFd fd(::open((volume_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const std::string contents(300'000, 's');
  ASSERT_EQ(::write(fd.get(), contents.data(), contents.size()), 300'000);
  ASSERT_EQ(::fsync(fd.get()), 0);
  volume_.KillDaemon();
  MountIt();
  EXPECT_EQ(ReadFile(volume_ / "file"), contents);
}

TEST_F(DaemonTest, ADeadMountCanBeUnmountedAndSaysSo) {
  ::kill(volume_.daemon(), SIGKILL);
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(volume_.daemon()), &ended, WEXITED | WNOWAIT), 0);
  const RunResult result = volume_.Run({"umount", volume_.mountpoint()});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("its daemon had ended before"));
  EXPECT_TRUE(ListNames(volume_.mountpoint()).empty());
  volume_.KillDaemon();
}

TEST_F(DaemonTest, InTheBackgroundItReturnsWhenTheMountWorks) {
  WriteFile(volume_ / "file", "x");
  ASSERT_EQ(volume_.Unmount().status, 0);
  const RunResult mounted = volume_.Run(
      {"mount", "-o", "log=" + volume_.Outside("log2"), volume_.disk(5), volume_.mountpoint()});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(ReadFile(volume_ / "file"), "x");
  EXPECT_EQ(Status().at("mounted"), true);
  // Only one daemon at a time: the disks are taken.
  bfs::create_directory(volume_.Outside("second"));
  const RunResult second = volume_.Run({"mount", volume_.disk(0), volume_.Outside("second")});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, testing::StartsWith("varve mount: "));
  Varve({"umount", volume_.mountpoint()});
  EXPECT_TRUE(ListNames(volume_.mountpoint()).empty());
}

TEST_F(DaemonTest, FailureInTheBackgroundIsToldInOneLine) {
  ASSERT_EQ(volume_.Unmount().status, 0);
  for (int i = 0; i < 3; ++i) volume_.LoseDisk(i);
  const RunResult result = volume_.Run({"mount", volume_.disk(5), volume_.mountpoint()});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("varve mount: "));
  EXPECT_TRUE(ListNames(volume_.mountpoint()).empty());
}

TEST_F(DaemonTest, ReadOnlyIsReadOnly) {
  WriteFile(volume_ / "file", "x");
  Remount("ro");
  EXPECT_EQ(ReadFile(volume_ / "file"), "x");
  EXPECT_LT(::open((volume_ / "new").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), 0);
  EXPECT_EQ(errno, EROFS);
}

TEST_F(DaemonTest, WorksWithEveryOptionAtItsOddest) {
  Remount("writeback,threads=2,memory=64M,commit=10,snapdir=owner,noatime");
  const std::string contents(5'000'000, 'w');
  WriteFile(volume_ / "file", contents);
  EXPECT_EQ(ReadFile(volume_ / "file"), contents);
  Remount();
  EXPECT_EQ(ReadFile(volume_ / "file"), contents);
}

TEST_F(DaemonTest, ReadAheadIsLargeForRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may set it";
  struct stat stat{};
  ASSERT_EQ(::stat(volume_.mountpoint().c_str(), &stat), 0);
  const std::string file = "/sys/class/bdi/" + std::to_string(major(stat.st_dev)) + ":" +
                           std::to_string(minor(stat.st_dev)) + "/read_ahead_kb";
  if (!PathExists(file)) GTEST_SKIP() << file << " is not there";
  EXPECT_EQ(ReadFile(file), "4096\n");
}

TEST_F(DaemonTest, TwoDisksLostWhileMountedCostNothing) {
  const std::string old_contents(2'000'000, 'o');
  WriteFile(volume_ / "old", old_contents);
  const std::string then = Now();
  WriteFile(volume_ / "old", "new");
  // The one with the catalog is among them.
  int catalog = 0;
  const auto before = Status();
  for (const auto& disk : before.at("disks")) {
    if (disk.at("catalog") == true) catalog = disk.at("slot");
  }
  volume_.LoseDisk(catalog);
  volume_.LoseDisk((catalog + 2) % 6);

  const std::string contents(1'000'000, 'n');
  WriteFile(volume_ / "while-degraded", contents);
  EXPECT_EQ(ReadFile(volume_ / "while-degraded"), contents);
  EXPECT_EQ(ReadFile(volume_ / "old"), "new");
  for (int i = 0; i < 200 && Status().at("tolerable_losses") != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const auto status = Status();
  EXPECT_EQ(status.at("state"), "DEGRADED");
  EXPECT_EQ(status.at("tolerable_losses"), 0);
  EXPECT_THAT(status.at("next_step").get<std::string>(), HasSubstr("--replace"));
  EXPECT_EQ(Varve({"cat", volume_ / "old", "--at", then}), old_contents);

  ASSERT_EQ(volume_.Unmount().status, 0);
  const RunResult mounted = volume_.Mount();
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_THAT(mounted.err, HasSubstr(volume_.disk(catalog)));
  EXPECT_EQ(ReadFile(volume_ / "while-degraded"), contents);
  EXPECT_EQ(Varve({"cat", volume_ / "old", "--at", then}), old_contents);
}

TEST_F(DaemonTest, AMovedDiskIsFoundByItsNewPath) {
  WriteFile(volume_ / "file", "x");
  ASSERT_EQ(volume_.Unmount().status, 0);
  bfs::rename(volume_.disk(0), volume_.Outside("moved"));
  const RunResult without = volume_.Run({"status", volume_.disk(1), "--json"});
  EXPECT_THAT(without.out, HasSubstr("DEGRADED"));
  const RunResult mounted =
      volume_.Run({"mount", volume_.disk(1), volume_.Outside("moved"), volume_.mountpoint()});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(mounted.err, "");
  EXPECT_EQ(Status().at("state"), "ONLINE");
  Varve({"umount", volume_.mountpoint()});
}

// Others may not be let into where varve was built.
std::string CopyForOthers(const bfs::path& directory) {
  const bfs::path copy = directory / "varve";
  bfs::copy_file(VARVE_BINARY, copy);
  bfs::permissions(copy, bfs::add_perms | bfs::others_exe | bfs::others_read);
  return copy.string();
}

class OrdinaryUserTest : public testing::Test {
 protected:
  static constexpr const char* kUser = "65534";

  void SetUp() override {
    if (const auto why = MountFixture::WhyCannotMount()) GTEST_SKIP() << *why;
    if (::geteuid() != 0) GTEST_SKIP() << "becoming somebody else takes root";
    struct stat fuse{};
    ASSERT_EQ(::stat("/dev/fuse", &fuse), 0);
    if ((fuse.st_mode & 0006) != 0006) GTEST_SKIP() << "/dev/fuse is not open to other users here";
    if (RunProgram({"sh", "-c", "command -v fusermount3 setpriv"}).status != 0) {
      GTEST_SKIP() << "fusermount3 or setpriv is missing";
    }
    bfs::permissions(directory_.path(), bfs::all_all);
    ASSERT_EQ(::mkdir((directory_ / "home").c_str(), 0755), 0);
    ASSERT_EQ(::chown((directory_ / "home").c_str(), 65534, 65534), 0);
    program_ = CopyForOthers(directory_.path());
  }
  RunResult AsUser(std::vector<std::string> words) {
    words.insert(words.begin(), {"setpriv", "--reuid", kUser, "--regid", kUser, "--clear-groups",
                                 "env", "-u", "XDG_RUNTIME_DIR"});
    return RunProgram(words);
  }
  TempDirectory directory_;
  std::string program_;  // varve
};

TEST_F(OrdinaryUserTest, MountsWhatHeOwns) {
  const std::string home = directory_ / "home";
  const RunResult made = AsUser({program_, "mkfs", home + "/a", home + "/b"});
  ASSERT_EQ(made.status, 0) << made.err;
  ASSERT_EQ(AsUser({"mkdir", home + "/mount"}).status, 0);
  const RunResult mounted = AsUser({program_, "mount", home + "/a", home + "/mount"});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(AsUser({"sh", "-c", "echo mine > " + home + "/mount/file"}).status, 0);
  EXPECT_EQ(AsUser({program_, "cat", home + "/mount/file", "--at", "now"}).out, "mine\n");
  // Root asks the user's daemon as well.
  EXPECT_EQ(RunProgram({program_, "status", home + "/a"}).status, 0);
  const RunResult unmounted = AsUser({program_, "umount", home + "/mount"});
  EXPECT_EQ(unmounted.status, 0) << unmounted.err;
}

TEST_F(DaemonTest, OthersAreRefusedByTheControlSocketAndMayReadWhatTheMountLetsThem) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming somebody else takes root";
  // The temporary directory must be open to them for the kernel to let them in at all.
  bfs::permissions(bfs::path(volume_.mountpoint()).parent_path(), bfs::all_all);
  WriteFile(volume_ / "public", "for all");
  WriteFile(volume_ / "secret", "for root");
  ASSERT_EQ(::chmod((volume_ / "secret").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((volume_ / "public").c_str(), 0644), 0);
  const std::string program = CopyForOthers(bfs::path(volume_.mountpoint()).parent_path());
  const auto as_nobody = [&](std::vector<std::string> words) {
    words.insert(words.begin(),
                 {"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program});
    return RunProgram(words);
  };
  ASSERT_EQ(as_nobody({"--help"}).status, 0);
  const std::string now = Now();
  EXPECT_EQ(as_nobody({"cat", volume_ / "public", "--at", now}).out, "for all");
  const RunResult secret = as_nobody({"cat", volume_ / "secret", "--at", now});
  EXPECT_EQ(secret.status, 1);
  EXPECT_THAT(secret.out, Not(HasSubstr("for root")));
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"log", volume_ / "secret"},
           {"rollback", volume_ / "public", "--to", now},
           {"snapshot", "create", "theirs", "--on", volume_.mountpoint()},
           {"status", volume_.mountpoint()},
           {"umount", volume_.mountpoint()}}) {
    const RunResult refused = as_nobody(words);
    EXPECT_EQ(refused.status, 1) << words[0];
    EXPECT_THAT(refused.err, HasSubstr("permission denied")) << words[0];
  }
  EXPECT_THAT(ReadFile(volume_.Outside("log")), HasSubstr("refused user 65534"));
}

}  // namespace
}  // namespace varve
