// Which writes pass the kernel's cache by, and what it must forget because of them.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/fs/core/filesystem_fixture.h"

namespace varve {
namespace {

using Stale = WriteResult::Stale;

constexpr std::string_view kCapability = "security.capability";

class DirectWrite : public FilesystemFixture {
 protected:
  DirectWrite() { options_.direct_writes = FilesystemOptions::DirectWrites::kAlone; }

  OpenResult OpenAs(std::string_view path, int flags) {
    const Result<OpenResult> open = fs().Open(Node(path), flags);
    EXPECT_TRUE(open.ok()) << path << ": " << (open.ok() ? "" : open.error().message());
    return open.ok() ? *open : OpenResult();
  }
  WriteResult WriteTo(FileHandle handle, std::string_view text, const Caller& caller = {}) {
    const Result<WriteResult> written = fs().Write(handle, 0, AsBytes(text), caller);
    EXPECT_TRUE(written.ok()) << (written.ok() ? "" : written.error().message());
    return written.ok() ? *written : WriteResult();
  }
};

TEST_F(DirectWrite, OfAFileJustMadeLeavesNothingStale) {
  const auto made = fs().Create(Node("/"), "f", 0644, O_WRONLY | O_CREAT, caller_);
  VARVE_ASSERT_OK(made);
  EXPECT_TRUE(made->open.direct);
  EXPECT_EQ(WriteTo(made->open.handle, "one").stale, Stale::kNothing);
  fs().Release(made->open.handle);
  EXPECT_EQ(ReadAll("f"), "one");
}

TEST_F(DirectWrite, IsOnlyForThoseWhoNeitherReadNorMap) {
  VARVE_ASSERT_OK(Write("f", "one"));
  for (const int flags : {O_RDONLY, O_RDWR, O_RDWR | O_TRUNC}) {
    const OpenResult open = OpenAs("f", flags);
    EXPECT_FALSE(open.direct) << flags;
    fs().Release(open.handle);
  }
}

TEST_F(DirectWrite, IsNotForAFileThatIsInTheCachesUse) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const OpenResult reader = OpenAs("f", O_RDONLY);
  const OpenResult writer = OpenAs("f", O_WRONLY);
  EXPECT_FALSE(writer.direct);
  EXPECT_EQ(WriteTo(writer.handle, "two").stale, Stale::kNothing);
  fs().Release(reader.handle);
  const OpenResult second = OpenAs("f", O_WRONLY);
  EXPECT_FALSE(second.direct) << "the first writer goes through the cache";
  fs().Release(writer.handle);
  fs().Release(second.handle);
  const OpenResult alone = OpenAs("f", O_WRONLY);
  EXPECT_TRUE(alone.direct);
  fs().Release(alone.handle);
}

TEST_F(DirectWrite, SaysWhatReadersWhoCameLaterHaveInTheCache) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const OpenResult writer = OpenAs("f", O_WRONLY);
  ASSERT_TRUE(writer.direct);
  EXPECT_FALSE(writer.keep_cache) << "a small file is forgotten whole at opening";
  EXPECT_EQ(WriteTo(writer.handle, "two").stale, Stale::kNothing);
  const OpenResult reader = OpenAs("f", O_RDONLY);
  EXPECT_EQ(WriteTo(writer.handle, "ten").stale, Stale::kInUse);
  fs().Release(reader.handle);
  EXPECT_EQ(WriteTo(writer.handle, "two").stale, Stale::kUnused);
  fs().Release(writer.handle);
}

TEST_F(DirectWrite, OfALargeFileKeepsTheRestOfItInTheCache) {
  VARVE_ASSERT_OK(Write("f", std::string(2 << 20, 'x')));
  const OpenResult writer = OpenAs("f", O_WRONLY);
  ASSERT_TRUE(writer.direct);
  EXPECT_TRUE(writer.keep_cache);
  EXPECT_EQ(WriteTo(writer.handle, "two").stale, Stale::kUnused);
  fs().Release(writer.handle);
}

TEST_F(DirectWrite, IsNotUndoneByPagesFilledBeforeIt) {
  VARVE_ASSERT_OK(Write("f", "--------"));
  const OpenResult writer = OpenAs("f", O_WRONLY);
  const OpenResult mapper = OpenAs("f", O_RDWR);
  ASSERT_TRUE(writer.direct);
  const auto write_pages = [&](std::string_view text) {
    VARVE_ASSERT_OK(fs().WritePages(mapper.handle, 0, AsBytes(text)));
  };
  VARVE_ASSERT_OK(fs().Write(writer.handle, 2, AsBytes(std::string_view("WW"))));
  VARVE_ASSERT_OK(fs().Write(writer.handle, 5, AsBytes(std::string_view("X"))));
  write_pages("mm----mm");
  EXPECT_EQ(ReadAt(mapper.handle, 0, 8), "mmWW-Xmm");
  fs().Answered(writer.handle, 2, 2);
  write_pages("nnnnnnnn");
  EXPECT_EQ(ReadAt(mapper.handle, 0, 8), "nnnnnXnn");
  fs().Answered(writer.handle, 5, 1);
  write_pages("oooooooo");
  EXPECT_EQ(ReadAt(mapper.handle, 0, 8), "oooooooo") << "pages filled afterwards count whole";
  fs().Release(writer.handle);
  fs().Release(mapper.handle);
}

TEST_F(DirectWrite, OfOneHandleIsStaleWhenTheKernelForgotForAnother) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const OpenResult first = OpenAs("f", O_WRONLY);
  const OpenResult reader = OpenAs("f", O_RDONLY);
  fs().Release(reader.handle);
  const OpenResult second = OpenAs("f", O_WRONLY);
  EXPECT_FALSE(second.keep_cache);
  // The second's opening may not have come to its end yet.
  EXPECT_EQ(WriteTo(first.handle, "two").stale, Stale::kUnused);
  EXPECT_EQ(WriteTo(second.handle, "two").stale, Stale::kNothing);
  fs().Release(first.handle);
  fs().Release(second.handle);
}

TEST_F(DirectWrite, ThatCouldNotBeMadeDurableIsStillStale) {
  VARVE_ASSERT_OK(Write("f", "one"));
  VARVE_ASSERT_OK(volume().SyncAll());
  const OpenResult writer = OpenAs("f", O_WRONLY);
  const OpenResult reader = OpenAs("f", O_RDONLY);
  for (int disk = 0; disk < 4; ++disk) disks_.LoseDisk(disk);  // two copies are not enough
  const Result<WriteResult> written =
      fs().Write(writer.handle, 0, AsBytes(std::string_view("two")), caller_, O_DSYNC);
  VARVE_ASSERT_OK(written);
  EXPECT_FALSE(written->status.ok());
  EXPECT_EQ(written->stale, Stale::kInUse) << "what is read here is \"two\", so \"one\" must go";
  fs().Answered(writer.handle, 0, 3);
  fs().Release(writer.handle);
  fs().Release(reader.handle);
}

TEST_F(DirectWrite, TakesSetuidAndSaysSo) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const OpenResult writer = OpenAs("f", O_WRONLY);
  ASSERT_TRUE(writer.direct);
  SetAttributes set;
  set.mode = 04777;
  VARVE_ASSERT_OK(fs().Set(Node("f"), set, caller_));
  EXPECT_FALSE(WriteTo(writer.handle, "two").mode_changed) << "root may";
  EXPECT_EQ(Stat("f").st_mode & 07777, 04777U);
  EXPECT_TRUE(WriteTo(writer.handle, "two", Caller{.uid = 1000, .gid = 1000}).mode_changed);
  EXPECT_EQ(Stat("f").st_mode & 07777, 0777U);
  fs().Release(writer.handle);
}

TEST_F(DirectWrite, TakesTheCapability) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const OpenResult writer = OpenAs("f", O_WRONLY);
  ASSERT_TRUE(writer.direct);
  VARVE_ASSERT_OK(fs().SetXattr(Node("f"), kCapability, "cap", XattrMode::kSet));
  WriteTo(writer.handle, "two");
  EXPECT_FALSE(fs().GetXattr(Node("f"), kCapability).ok());
  fs().Release(writer.handle);
  EXPECT_EQ(ReadAll("f"), "two");
}

TEST_F(DirectWrite, IsNotForWhatTheKernelTakesSomethingFrom) {
  VARVE_ASSERT_OK(Write("capable", "one"));
  VARVE_ASSERT_OK(fs().SetXattr(Node("capable"), kCapability, "cap", XattrMode::kSet));
  VARVE_ASSERT_OK(Write("setuid", "one"));
  SetAttributes set;
  set.mode = 04755;
  VARVE_ASSERT_OK(fs().Set(Node("setuid"), set, caller_));
  for (const std::string_view name : {"capable", "setuid"}) {
    const OpenResult writer = OpenAs(name, O_WRONLY);
    EXPECT_FALSE(writer.direct) << name;
    fs().Release(writer.handle);
  }
}

TEST_F(DirectWrite, IsNotForAKernelThatWritesBack) {
  Unmount();
  options_.kernel_cache = FilesystemOptions::KernelCache::kWriteBack;
  Mount();
  VARVE_ASSERT_OK(Write("f", "one"));
  const OpenResult writer = OpenAs("f", O_WRONLY);
  EXPECT_FALSE(writer.direct);
  fs().Release(writer.handle);
}

TEST_F(DirectWrite, IsNotForAKernelThatLeavesDirtyPagesForLater) {
  Unmount();
  options_.direct_writes = FilesystemOptions::DirectWrites::kNever;
  Mount();
  VARVE_ASSERT_OK(Write("f", "one"));
  const OpenResult writer = OpenAs("f", O_WRONLY);
  EXPECT_FALSE(writer.direct);
  fs().Release(writer.handle);
}

TEST_F(DirectWrite, IsDurableWhenTheCallAsksForIt) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const OpenResult writer = OpenAs("f", O_WRONLY);
  VARVE_ASSERT_OK(fs().Write(writer.handle, 0, AsBytes(std::string_view("two")), caller_, O_DSYNC));
  EXPECT_EQ(volume().status().durable, volume().last_lsn());
  fs().Release(writer.handle);
}

}  // namespace
}  // namespace varve
