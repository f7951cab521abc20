// A volume mounted by the real binary, on directories of its own, told in the words of what can
// happen to it. The daemon is a child of the test, in the foreground; nothing else is ever killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/temp_directory.h"

namespace varve {

struct RunResult {
  int status = -1;  // exit status; 128 + the signal if one ended it
  std::string out;
  std::string err;
};

// Runs a program to its end. `words[0]` is looked up in PATH unless it has a slash.
RunResult RunProgram(const std::vector<std::string>& words);

class MountFixture {
 public:
  // `binary`: the built varve; the environment's VARVE_BINARY, if there is one, takes its place.
  explicit MountFixture(std::string binary);
  // Kills the daemon, if it still runs, and takes the mount away.
  ~MountFixture();
  MountFixture(const MountFixture&) = delete;
  MountFixture& operator=(const MountFixture&) = delete;

  // Nothing if this process can mount; otherwise why not, for GTEST_SKIP.
  static std::optional<std::string> WhyCannotMount();

  // Makes that many disks and a volume on them.
  RunResult Format(int disk_count, const std::vector<std::string>& more = {});
  // Returns when the mount works or the daemon has ended; then the error is what it said. Mounts
  // through the first disk there is.
  RunResult Mount(const std::string& options = "");
  // varve umount, and the daemon's own exit status must be 0 as well.
  RunResult Unmount();
  // Sends the signal and waits for the daemon's end; its exit status.
  int EndDaemon(int signal);
  // SIGKILL, and the dead mount taken away.
  void KillDaemon();

  // Removes the disk's directory with everything in it.
  void LoseDisk(int index);
  // varve with these words.
  RunResult Run(const std::vector<std::string>& words) const;

  bool is_mounted() const { return daemon_ > 0; }
  pid_t daemon() const { return daemon_; }
  const std::string& mountpoint() const { return mountpoint_; }
  const std::string& disk(int index) const { return disks_.at(static_cast<std::size_t>(index)); }
  const std::vector<std::string>& disks() const { return disks_; }
  // A path in the mount.
  std::string operator/(const std::string& name) const { return mountpoint_ + "/" + name; }
  // A path outside it.
  std::string Outside(const std::string& name) const { return directory_ / name; }

 private:
  int WaitForDaemon();
  void TakeMountAway();

  const std::string binary_;
  TempDirectory directory_;
  std::vector<std::string> disks_;
  std::string mountpoint_;
  pid_t daemon_ = 0;
};

// Small files, whole. Failures are failures of the test.
void WriteFile(const std::string& path, const std::string& contents);
std::string ReadFile(const std::string& path);
bool PathExists(const std::string& path);
std::vector<std::string> ListNames(const std::string& directory);

}  // namespace varve
