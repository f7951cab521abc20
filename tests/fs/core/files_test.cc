// Reading, writing, cutting versions, truncating, holes, extended attributes.
#include <cerrno>

#include "tests/fs/core/filesystem_fixture.h"

namespace varve {
namespace {

using Files = FilesystemFixture;

std::string Pattern(std::size_t length, unsigned seed) {
  std::string text(length, '\0');
  for (std::size_t i = 0; i < length; ++i) {
    text[i] = static_cast<char>('a' + (i * 7 + seed + i / 251) % 26);
  }
  return text;
}

TEST_F(Files, WritesAreSeenAtOnceByEveryReader) {
  const FileHandle writer = CreateOpen("f");
  const FileHandle reader = Open("f", O_RDONLY);
  VARVE_ASSERT_OK(WriteAt(writer, 3, "abc"));
  EXPECT_EQ(ReadAt(reader, 0, 10), std::string("\0\0\0abc", 6));
  EXPECT_EQ(Stat("f").st_size, 6);
  VARVE_ASSERT_OK(WriteAt(writer, 4, "X"));
  EXPECT_EQ(ReadAt(reader, 3, 10), "aXc");
  EXPECT_EQ(ReadAt(reader, 6, 10), "");
  VARVE_EXPECT_OK(CloseFile(writer));
  EXPECT_EQ(ReadAt(reader, 3, 10), "aXc");
  VARVE_EXPECT_OK(CloseFile(reader));
}

TEST_F(Files, EachCloseAfterWritingIsAVersion) {
  VARVE_ASSERT_OK(Write("f", "one"));
  const Lsn first = Last();
  VARVE_ASSERT_OK(Write("f", "two!"));
  const Lsn second = Last();
  const FileHandle handle = Open("f", O_RDWR);
  VARVE_ASSERT_OK(fs().Flush(handle));
  EXPECT_EQ(Last(), second) << "a close without writing is none";
  VARVE_ASSERT_OK(WriteAt(handle, 0, "T"));
  EXPECT_EQ(Last(), second) << "nor is a write";
  VARVE_ASSERT_OK(fs().Sync(handle, SyncMode::kDataOnly));
  EXPECT_GT(Last(), second);
  VARVE_ASSERT_OK(CloseFile(handle));
  EXPECT_EQ(ReadAll(Then(first, "f")), "one");
  EXPECT_EQ(ReadAll(Then(second, "f")), "two!");
  EXPECT_EQ(ReadAll("f"), "Two!");
}

TEST_F(Files, ManyChunksAreReadBackAcrossTheirEdges) {
  const std::string text = Pattern(3 * kChunkBytes + 777, 1);
  VARVE_ASSERT_OK(Write("f", text));
  const FileHandle handle = Open("f", O_RDWR);
  VARVE_ASSERT_OK(WriteAt(handle, kChunkBytes - 3, "ACROSS"));
  std::string expected = text;
  expected.replace(kChunkBytes - 3, 6, "ACROSS");
  EXPECT_EQ(ReadAt(handle, 0, expected.size() + 5), expected);
  VARVE_ASSERT_OK(CloseFile(handle));
  EXPECT_TRUE(ReadAll("f") == expected);
  Remount();
  EXPECT_TRUE(ReadAll("f") == expected);
}

TEST_F(Files, AStreamIsCutBeforeItIsClosed) {
  const FileHandle handle = CreateOpen("f");
  const Lsn before = Last();
  const std::string megabyte = Pattern(1 << 20, 3);
  for (std::uint64_t i = 0; i < 9; ++i) VARVE_ASSERT_OK(WriteAt(handle, i << 20, megabyte));
  EXPECT_GE(Last().value, before.value + 2);
  EXPECT_TRUE(ReadAt(handle, 8 << 20, 1 << 20) == megabyte);
  VARVE_ASSERT_OK(CloseFile(handle));
  EXPECT_EQ(Stat("f").st_size, 9 << 20);
}

TEST_F(Files, TheWriteBufferIsBounded) {
  Unmount();
  options_.write_buffer_bytes = 256 * 1024;
  Mount();
  const Lsn before = Last();
  std::vector<FileHandle> handles;
  for (int i = 0; i < 8; ++i) {
    handles.push_back(CreateOpen("f" + std::to_string(i)));
    VARVE_ASSERT_OK(WriteAt(handles.back(), 0, Pattern(60000, static_cast<unsigned>(i))));
  }
  EXPECT_GT(Last().value, before.value + 8) << "nothing was cut to make room";
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(ReadAt(handles[static_cast<std::size_t>(i)], 0, 60000),
              Pattern(60000, static_cast<unsigned>(i)));
    VARVE_EXPECT_OK(CloseFile(handles[static_cast<std::size_t>(i)]));
  }
}

TEST_F(Files, WhatNobodyFlushesIsCutWithinTheInterval) {
  Unmount();
  options_.commit_interval = std::chrono::milliseconds(40);
  Mount();
  const FileHandle handle = CreateOpen("f");
  const Lsn before = Last();
  VARVE_ASSERT_OK(WriteAt(handle, 0, "x"));
  for (int i = 0; i < 1000 && Last() == before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_GT(Last(), before);
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Files, TruncationNeverShowsOldBytesAgain) {
  const std::string text = Pattern(2 * kChunkBytes + 100, 5);
  VARVE_ASSERT_OK(Write("f", text));
  VARVE_ASSERT_OK(Truncate("f", kChunkBytes + 10));
  VARVE_ASSERT_OK(Truncate("f", 2 * kChunkBytes + 50));
  std::string expected = text.substr(0, kChunkBytes + 10);
  expected.resize(2 * kChunkBytes + 50, '\0');
  EXPECT_TRUE(ReadAll("f") == expected);
  VARVE_ASSERT_OK(Truncate("f", 0));
  VARVE_ASSERT_OK(Truncate("f", 30));
  EXPECT_EQ(ReadAll("f"), std::string(30, '\0'));
  const FileHandle handle = Open("f", O_RDWR);
  VARVE_ASSERT_OK(WriteAt(handle, 0, "dirty dirty dirty"));
  VARVE_ASSERT_OK(Truncate("f", 5));
  VARVE_ASSERT_OK(WriteAt(handle, 10, "x"));
  EXPECT_EQ(ReadAt(handle, 0, 20), std::string("dirty\0\0\0\0\0x", 11));
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Files, WhatWasThereBeforeATruncationIsAVersion) {
  const FileHandle handle = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "precious"));
  VARVE_ASSERT_OK(Truncate("f", 0));
  const Lsn truncated = Last();
  VARVE_EXPECT_OK(CloseFile(handle));
  EXPECT_EQ(ReadAll(Then(truncated, "f")), "");
  EXPECT_EQ(ReadAll(Then(Lsn(truncated.value - 1), "f")), "precious");
}

TEST_F(Files, RefusesSizesBeyondTheLimit) {
  const FileHandle handle = CreateOpen("f");
  EXPECT_EQ(CodeOf(fs().Write(handle, (1ULL << 63) - 2, AsBytes("xy"))), ErrorCode::kTooLarge);
  EXPECT_EQ(CodeOf(fs().Write(handle, ~0ULL, AsBytes("xy"))), ErrorCode::kTooLarge);
  EXPECT_EQ(CodeOf(Truncate("f", 1ULL << 63)), ErrorCode::kTooLarge);
  VARVE_EXPECT_OK(WriteAt(handle, 1ULL << 50, "far"));
  EXPECT_EQ(ReadAt(handle, (1ULL << 50) - 2, 9), std::string("\0\0far", 5));
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Files, AllocateGrowsUnlessToldToKeepTheSize) {
  const FileHandle handle = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "abc"));
  VARVE_EXPECT_OK(fs().Allocate(handle, AllocateMode::kKeepSize, 0, 1000));
  EXPECT_EQ(Stat("f").st_size, 3);
  VARVE_EXPECT_OK(fs().Allocate(handle, AllocateMode::kAllocate, 0, 10));
  EXPECT_EQ(ReadAt(handle, 0, 20), std::string("abc\0\0\0\0\0\0\0", 10));
  EXPECT_EQ(CodeOf(fs().Allocate(handle, AllocateMode::kAllocate, 0, 0)),
            ErrorCode::kInvalidArgument);
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Files, CopiesARangeAsIfItWereWritten) {
  const std::string text = Pattern(4 * kChunkBytes + 777, 3);
  VARVE_ASSERT_OK(Write("from", text));
  struct Case {
    std::uint64_t from, to, length;
  };
  const Case cases[] = {{0, 0, text.size()},
                        {0, 0, text.size() + 5000},
                        {kChunkBytes, 2 * kChunkBytes, 2 * kChunkBytes},
                        {100, 100 + kChunkBytes, 3 * kChunkBytes},
                        {7, 11, 2 * kChunkBytes},
                        {4 * kChunkBytes, 0, 777},
                        {text.size(), 0, 10}};
  for (const Case& c : cases) {
    SCOPED_TRACE(std::to_string(c.from) + " -> " + std::to_string(c.to));
    const std::string before = Pattern(3 * kChunkBytes + 5, 8);
    VARVE_ASSERT_OK(Write("to", before));
    const FileHandle from = Open("from", O_RDONLY);
    const FileHandle to = Open("to", O_RDWR);
    const auto copied = fs().CopyRange({from, c.from}, {to, c.to}, c.length);
    VARVE_ASSERT_OK(copied);
    const std::string part = text.substr(c.from, c.length);
    EXPECT_EQ(*copied, part.size());
    std::string expected = before;
    expected.resize(std::max(expected.size(), part.empty() ? 0 : c.to + part.size()), '\0');
    expected.replace(c.to, part.size(), part);
    EXPECT_TRUE(ReadAt(to, 0, expected.size() + 10) == expected);
    VARVE_EXPECT_OK(CloseFile(from));
    VARVE_EXPECT_OK(CloseFile(to));
    EXPECT_TRUE(ReadAll("to") == expected);
  }
}

TEST_F(Files, CopiesDirtyBytesAndLeavesTheCopyAloneAfterwards) {
  const FileHandle from = CreateOpen("from");
  const std::string text = Pattern(2 * kChunkBytes, 4);
  VARVE_ASSERT_OK(WriteAt(from, 0, text));
  const FileHandle to = CreateOpen("to");
  EXPECT_EQ(*fs().CopyRange({from, 0}, {to, 0}, text.size()), text.size());
  VARVE_ASSERT_OK(WriteAt(from, 10, "changed"));
  EXPECT_TRUE(ReadAt(to, 0, text.size()) == text);
  VARVE_EXPECT_OK(CloseFile(from));
  VARVE_EXPECT_OK(CloseFile(to));
}

TEST_F(Files, CopiesOutOfThePast) {
  const std::string old_text = Pattern(3 * kChunkBytes + 10, 5);
  VARVE_ASSERT_OK(Write("f", old_text));
  const Lsn then = Last();
  VARVE_ASSERT_OK(Write("f", Pattern(kChunkBytes, 6)));
  const FileHandle from = Open(Then(then, "f"), O_RDONLY);
  const FileHandle to = CreateOpen("restored");
  EXPECT_EQ(*fs().CopyRange({from, 0}, {to, 0}, old_text.size()), old_text.size());
  EXPECT_EQ(CodeOf(fs().CopyRange({to, 0}, {from, 0}, 10)), ErrorCode::kReadOnly);
  VARVE_EXPECT_OK(CloseFile(from));
  VARVE_EXPECT_OK(CloseFile(to));
  EXPECT_TRUE(ReadAll("restored") == old_text);
  Remount();
  EXPECT_TRUE(ReadAll("restored") == old_text);
}

TEST_F(Files, CountsBlocksOfDataAndNoneOfHoles) {
  VARVE_ASSERT_OK(Write("dense", Pattern(10'000, 1)));
  EXPECT_EQ(Stat("dense").st_blocks, 24);
  VARVE_ASSERT_OK(Write("f", ""));
  VARVE_ASSERT_OK(Truncate("f", 100 * kChunkBytes));
  EXPECT_EQ(Stat("f").st_blocks, 0);
  const FileHandle handle = Open("f", O_RDWR);
  VARVE_ASSERT_OK(WriteAt(handle, 50 * kChunkBytes, Pattern(kChunkBytes, 1)));
  EXPECT_EQ(Stat("f").st_blocks, kChunkBytes / 512);
  VARVE_ASSERT_OK(fs().Flush(handle));
  EXPECT_EQ(Stat("f").st_blocks, kChunkBytes / 512);
  const Lsn then = Last();
  VARVE_ASSERT_OK(fs().Allocate(handle, AllocateMode::kPunchHole, 50 * kChunkBytes, 8192));
  EXPECT_EQ(Stat("f").st_blocks, (kChunkBytes - 8192) / 512);
  VARVE_EXPECT_OK(CloseFile(handle));
  EXPECT_EQ(Stat(Then(then, "f")).st_blocks, kChunkBytes / 512);
  Remount();
  EXPECT_EQ(Stat("f").st_blocks, (kChunkBytes - 8192) / 512);
  VARVE_ASSERT_OK(Truncate("f", 0));
  EXPECT_EQ(Stat("f").st_blocks, 0);
}

TEST_F(Files, HolesReadAsZerosAndAreFound) {
  const std::string text = Pattern(4 * kChunkBytes, 9);
  VARVE_ASSERT_OK(Write("f", text));
  const Lsn before = Last();
  const FileHandle handle = Open("f", O_RDWR);
  VARVE_ASSERT_OK(
      fs().Allocate(handle, AllocateMode::kPunchHole, kChunkBytes + 100, 2 * kChunkBytes));
  std::string expected = text;
  expected.replace(kChunkBytes + 100, 2 * kChunkBytes, 2 * kChunkBytes, '\0');
  EXPECT_TRUE(ReadAt(handle, 0, expected.size()) == expected);
  EXPECT_EQ(*fs().SeekTo(handle, Filesystem::Seek::kHole, 0), kChunkBytes + 100);
  EXPECT_EQ(*fs().SeekTo(handle, Filesystem::Seek::kData, kChunkBytes + 100),
            3 * kChunkBytes + 100);
  EXPECT_EQ(*fs().SeekTo(handle, Filesystem::Seek::kHole, 3 * kChunkBytes + 100), 4 * kChunkBytes);
  const Result<std::uint64_t> beyond =
      fs().SeekTo(handle, Filesystem::Seek::kData, 4 * kChunkBytes);
  ASSERT_FALSE(beyond.ok());
  EXPECT_EQ(beyond.error().os_errno(), ENXIO);
  VARVE_ASSERT_OK(fs().Allocate(handle, AllocateMode::kPunchHole, 0, ~0ULL >> 2));
  EXPECT_TRUE(ReadAt(handle, 0, text.size()) == std::string(text.size(), '\0'));
  VARVE_ASSERT_OK(fs().Allocate(handle, AllocateMode::kZeroRange, 4 * kChunkBytes, 10));
  EXPECT_EQ(Stat("f").st_size, static_cast<off_t>(4 * kChunkBytes + 10));
  VARVE_EXPECT_OK(CloseFile(handle));
  EXPECT_TRUE(ReadAll(Then(before, "f")) == text);
}

TEST_F(Files, AHoleLiesOverWhatIsStillDirty) {
  const FileHandle handle = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "0123456789"));
  VARVE_ASSERT_OK(fs().Allocate(handle, AllocateMode::kPunchHole, 2, 5));
  EXPECT_EQ(ReadAt(handle, 0, 20), std::string("01\0\0\0\0\0"
                                               "789",
                                               10));
  VARVE_ASSERT_OK(Remove("f"));
  VARVE_ASSERT_OK(WriteAt(handle, 0, "0123456789"));
  VARVE_ASSERT_OK(fs().Allocate(handle, AllocateMode::kPunchHole, 2, 5));
  EXPECT_EQ(ReadAt(handle, 0, 20), std::string("01\0\0\0\0\0"
                                               "789",
                                               10));
  VARVE_EXPECT_OK(CloseFile(handle));
}

TEST_F(Files, AttributesAreSetTogetherWithWhatIsDirty) {
  const FileHandle handle = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "copy"));
  const Lsn before = Last();
  SetAttributes set;
  set.mode = 0600;
  set.mtime_ns = 12'345'678'901;
  VARVE_ASSERT_OK(fs().Set(Node("f"), set, caller_));
  EXPECT_EQ(Last().value, before.value + 1) << "cp -p leaves one version";
  VARVE_ASSERT_OK(CloseFile(handle));
  EXPECT_EQ(Last().value, before.value + 1);
  EXPECT_EQ(Stat("f").st_mtim.tv_sec, 12);
  EXPECT_EQ(Stat("f").st_mtim.tv_nsec, 345678901);
  EXPECT_EQ(Stat("f").st_mode, S_IFREG | 0600u);
  EXPECT_EQ(ReadAll(Then(Last(), "f")), "copy");
}

TEST_F(Files, KeepsExtendedAttributes) {
  VARVE_ASSERT_OK(Write("f", "x"));
  const NodeId node = Node("f");
  VARVE_EXPECT_OK(fs().SetXattr(node, "user.a", "one", XattrMode::kSet));
  VARVE_EXPECT_OK(fs().SetXattr(node, "user.b", "", XattrMode::kCreate));
  const Lsn before = Last();
  EXPECT_EQ(CodeOf(fs().SetXattr(node, "user.a", "x", XattrMode::kCreate)), ErrorCode::kExists);
  const Status missing = fs().SetXattr(node, "user.c", "x", XattrMode::kReplace);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().os_errno(), ENODATA);
  EXPECT_EQ(fs().RemoveXattr(node, "user.c").error().os_errno(), ENODATA);
  EXPECT_EQ(fs().GetXattr(node, "user.c").error().os_errno(), ENODATA);
  VARVE_EXPECT_OK(fs().SetXattr(node, "user.a", "two", XattrMode::kReplace));
  VARVE_EXPECT_OK(fs().RemoveXattr(node, "user.b"));
  EXPECT_EQ(*fs().GetXattr(node, "user.a"), "two");
  EXPECT_EQ(*fs().ListXattrs(node), std::vector<std::string>{"user.a"});
  EXPECT_EQ(*fs().GetXattr(Node(Then(before, "f")), "user.a"), "one");
  EXPECT_EQ(fs().ListXattrs(Node(Then(before, "f")))->size(), 2u);
  EXPECT_EQ(CodeOf(fs().SetXattr(node, "system.other", "x", XattrMode::kSet)),
            ErrorCode::kUnsupported);
  EXPECT_EQ(CodeOf(fs().SetXattr(node, "user.", "x", XattrMode::kSet)),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(fs().SetXattr(node, "user.big", std::string(65537, 'x'), XattrMode::kSet)),
            ErrorCode::kTooLarge);
  VARVE_EXPECT_OK(fs().SetXattr(node, "user.big", std::string(65536, 'x'), XattrMode::kSet));
}

TEST_F(Files, ShutdownKeepsWhatWasDirtyAndRefusesMore) {
  const FileHandle handle = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "dirty"));
  VARVE_ASSERT_OK(fs().Shutdown());
  EXPECT_EQ(CodeOf(fs().Write(handle, 0, AsBytes("x"))), ErrorCode::kReadOnly);
  EXPECT_EQ(CodeOf(MakeDirectory("d")), ErrorCode::kReadOnly);
  VARVE_EXPECT_OK(fs().Shutdown());
  fs().Release(handle);
  Remount();
  EXPECT_EQ(ReadAll("f"), "dirty");
}

TEST_F(Files, FsyncedBytesOutliveThePower) {
  const FileHandle handle = CreateOpen("f");
  VARVE_ASSERT_OK(WriteAt(handle, 0, "synced"));
  VARVE_ASSERT_OK(fs().Sync(handle, SyncMode::kAll));
  VARVE_ASSERT_OK(WriteAt(handle, 6, " not"));
  VARVE_ASSERT_OK(disks_.CutPowerAndOpen(TestSeed(1)));
  Mount();
  EXPECT_EQ(ReadAll("f"), "synced");
}

TEST_F(Files, SaysHowMuchSpaceThereIs) {
  const Result<struct statvfs> space = fs().StatFs();
  VARVE_ASSERT_OK(space);
  EXPECT_GT(space->f_blocks, 0u);
  EXPECT_LE(space->f_bavail, space->f_blocks);
  EXPECT_EQ(space->f_namemax, 255u);
}

TEST_F(Files, ClosedHandlesAreNoticed) {
  const FileHandle handle = CreateOpen("f");
  fs().Release(handle);
  fs().Release(handle);
  std::byte byte{};
  EXPECT_EQ(CodeOf(fs().Read(handle, 0, {&byte, 1})), ErrorCode::kStale);
  EXPECT_EQ(CodeOf(fs().Flush(handle)), ErrorCode::kStale);
}

}  // namespace
}  // namespace varve
