// A filesystem over a volume on disks in memory, spoken to by paths.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/core/filesystem.h"
#include "tests/support/volume_fixture.h"

namespace varve {

inline const Status& AsStatus(const Status& status) { return status; }
template <typename T>
Status AsStatus(const Result<T>& result) {
  return result.ok() ? Status() : Status(result.error());
}

// What a call answered, for EXPECT_EQ: nothing for success.
template <typename T>
std::optional<ErrorCode> CodeOf(const Result<T>& result) {
  return result.ok() ? std::nullopt : std::optional<ErrorCode>(result.error().code());
}

#define VARVE_EXPECT_OK(expression)                                                    \
  do {                                                                                 \
    const ::varve::Status ok_status = ::varve::AsStatus(expression);                   \
    EXPECT_TRUE(ok_status.ok()) << #expression << ": " << ok_status.error().message(); \
  } while (false)
#define VARVE_ASSERT_OK(expression)                                                    \
  do {                                                                                 \
    const ::varve::Status ok_status = ::varve::AsStatus(expression);                   \
    ASSERT_TRUE(ok_status.ok()) << #expression << ": " << ok_status.error().message(); \
  } while (false)

// Not thread-safe itself; the filesystem is. Paths begin at the root, with or without '/', and may
// lead through `.snapshots`. Helpers that cannot fail in a sane test fail it.
class FilesystemFixture : public testing::Test {
 protected:
  FilesystemFixture();
  ~FilesystemFixture() override;
  void SetUp() override;

  void Mount();
  void Unmount();
  // Unmount, close the volume, open it again, mount.
  void Remount();

  Filesystem& fs() { return *fs_; }
  Volume& volume() { return disks_.volume(); }
  Lsn Last() { return volume().last_lsn(); }

  // References of past nodes are kept: a test is short, and forgets what it wants forgotten.
  Result<NodeAttributes> Look(std::string_view path);
  NodeId Node(std::string_view path);
  struct stat Stat(std::string_view path);
  bool Exists(std::string_view path) { return Look(path).ok(); }
  struct ParentAndName {
    NodeId parent;
    std::string name;
  };
  ParentAndName Split(std::string_view path);

  // open(O_CREAT | O_TRUNC), write, close.
  Status Write(std::string_view path, std::string_view text);
  FileHandle Open(std::string_view path, int flags);
  FileHandle CreateOpen(std::string_view path);
  Status WriteAt(FileHandle handle, std::uint64_t offset, std::string_view text);
  std::string ReadAt(FileHandle handle, std::uint64_t offset, std::size_t length);
  Status CloseFile(FileHandle handle);
  Result<std::string> TryReadAll(std::string_view path);
  std::string ReadAll(std::string_view path);
  Status MakeDirectory(std::string_view path, std::uint32_t mode = 0755);
  Status Remove(std::string_view path);
  Status RemoveDirectory(std::string_view path);
  Status Rename(std::string_view from, std::string_view to, RenameMode mode = RenameMode::kReplace);
  // As the kernel opens with O_CREAT: what is there is opened, what is not is created.
  Result<FileHandle> OpenOrCreate(NodeId parent, const std::string& name, int flags);
  Status Link(std::string_view from, std::string_view to);
  Status Truncate(std::string_view path, std::uint64_t size);
  // Names in a directory without "." and "..", as listed.
  std::vector<std::string> Names(std::string_view path);
  std::vector<LogRecord> Log(std::string_view path);
  static std::string AtLsn(Lsn lsn) { return "@" + std::to_string(lsn.value); }
  // "a/b" in the root as of `lsn`.
  static std::string Then(Lsn lsn, std::string_view path) {
    return ".snapshots/" + AtLsn(lsn) + "/" + std::string(path);
  }

  VolumeFixture disks_;
  FilesystemOptions options_;
  Caller caller_;  // root, umask 022

 private:
  std::unique_ptr<Filesystem> fs_;
};

}  // namespace varve
