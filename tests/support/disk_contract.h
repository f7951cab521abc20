// What every Disk must do, sentence by sentence of store/disk/disk.h. A test file includes this
// once and instantiates the suite:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, DiskContract, testing::Values(DiskKind{...}), NameOfKind);
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "store/disk/disk.h"

namespace varve {

struct DiskKind {
  std::string name;
  // A fresh, empty disk.
  std::function<std::unique_ptr<Disk>()> make;
};

inline void PrintTo(const DiskKind& kind, std::ostream* out) { *out << kind.name; }

inline std::string NameOfKind(const testing::TestParamInfo<DiskKind>& info) {
  return info.param.name;
}

class DiskContract : public testing::TestWithParam<DiskKind> {
 protected:
  void SetUp() override { disk_ = GetParam().make(); }

  std::unique_ptr<DiskFile> MustOpen(std::string_view name, OpenMode mode) {
    auto file = disk_->Open(name, mode);
    EXPECT_TRUE(file.ok()) << file.error().message();
    return file.ok() ? std::move(file).value() : nullptr;
  }
  void Write(std::string_view name, std::string_view text) {
    auto file = MustOpen(name, OpenMode::kCreate);
    ASSERT_NE(file, nullptr);
    ASSERT_TRUE(file->Truncate(0).ok());
    ASSERT_TRUE(file->Write(0, AsBytes(text)).ok());
  }
  std::string Read(std::string_view name) {
    auto bytes = ReadWhole(*disk_, name, 64 << 20);
    return bytes.ok() ? std::string(AsText(*bytes)) : "error: " + bytes.error().message();
  }
  static std::string ReadAt(DiskFile& file, std::uint64_t offset, std::size_t length_bytes) {
    std::string text(length_bytes, '?');
    auto got = file.Read(offset, std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(got.ok());
    text.resize(got.ok() ? *got : 0);
    return text;
  }
  template <typename T>
  static ErrorCode CodeOf(const Result<T>& result) {
    EXPECT_FALSE(result.ok());
    return result.ok() ? ErrorCode::kCancelled : result.error().code();
  }
  std::vector<std::string> List(std::string_view prefix) {
    auto names = disk_->List(prefix);
    EXPECT_TRUE(names.ok());
    return names.ok() ? *names : std::vector<std::string>{};
  }

  std::unique_ptr<Disk> disk_;
};

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_P(DiskContract, ReadsBackWhatWasWritten) {
  Write("journal/0001", "hello");
  EXPECT_EQ(Read("journal/0001"), "hello");
}

TEST_P(DiskContract, ReadsFewerBytesOnlyAtTheEnd) {
  Write("a", "0123456789");
  auto file = MustOpen("a", OpenMode::kRead);
  EXPECT_EQ(ReadAt(*file, 0, 10), "0123456789");
  EXPECT_EQ(ReadAt(*file, 7, 10), "789");
  EXPECT_EQ(ReadAt(*file, 10, 10), "");
  EXPECT_EQ(ReadAt(*file, 1'000'000, 10), "");
  EXPECT_EQ(ReadAt(*file, 3, 0), "");
}

TEST_P(DiskContract, FillsGapsWithZeros) {
  auto file = MustOpen("a", OpenMode::kCreate);
  ASSERT_TRUE(file->Write(200'000, AsBytes("end")).ok());
  EXPECT_EQ(*file->Size(), 200'003u);
  EXPECT_EQ(ReadAt(*file, 0, 200'003), std::string(200'000, '\0') + "end");
}

TEST_P(DiskContract, OverwritesInPlace) {
  Write("a", "0123456789");
  auto file = MustOpen("a", OpenMode::kReadWrite);
  ASSERT_TRUE(file->Write(3, AsBytes("xyz")).ok());
  EXPECT_EQ(Read("a"), "012xyz6789");
}

TEST_P(DiskContract, WritesNothingWhenGivenNothing) {
  auto file = MustOpen("a", OpenMode::kCreate);
  EXPECT_TRUE(file->Write(100, {}).ok());
  EXPECT_EQ(*file->Size(), 0u);
}

TEST_P(DiskContract, WritesAcrossManyPages) {
  std::string text(300'000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  auto file = MustOpen("a", OpenMode::kCreate);
  ASSERT_TRUE(file->Write(0, AsBytes(text)).ok());
  ASSERT_TRUE(file->Write(65'530, AsBytes("across a border")).ok());
  text.replace(65'530, 15, "across a border");
  EXPECT_EQ(ReadAt(*file, 0, text.size()), text);
  EXPECT_EQ(ReadAt(*file, 65'000, 70'000), text.substr(65'000, 70'000));
}

TEST_P(DiskContract, TruncatesAndGrowsWithZeros) {
  Write("a", std::string(100'000, 'x'));
  auto file = MustOpen("a", OpenMode::kReadWrite);
  ASSERT_TRUE(file->Truncate(70'000).ok());
  EXPECT_EQ(*file->Size(), 70'000u);
  ASSERT_TRUE(file->Truncate(100'000).ok());
  EXPECT_EQ(Read("a"), std::string(70'000, 'x') + std::string(30'000, '\0'));
}

TEST_P(DiskContract, ShowsOneHandleWhatAnotherWrote) {
  auto writer = MustOpen("a", OpenMode::kCreate);
  auto reader = MustOpen("a", OpenMode::kRead);
  ASSERT_TRUE(writer->Write(0, AsBytes("fresh")).ok());
  EXPECT_EQ(ReadAt(*reader, 0, 5), "fresh");
  EXPECT_EQ(*reader->Size(), 5u);
}

TEST_P(DiskContract, SyncsFilesAndNames) {
  auto file = MustOpen("seg/a", OpenMode::kCreate);
  ASSERT_TRUE(file->Write(0, AsBytes("x")).ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_TRUE(disk_->SyncNames().ok());
  EXPECT_TRUE(disk_->SyncNames().ok());
}

TEST_P(DiskContract, OpensForReadingOnlyWhatExists) {
  auto missing = disk_->Open("seg/none", OpenMode::kRead);
  EXPECT_EQ(CodeOf(missing), ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("seg/none"));
  EXPECT_EQ(CodeOf(disk_->Open("none", OpenMode::kReadWrite)), ErrorCode::kNotFound);
  EXPECT_THAT(List(""), IsEmpty());
}

TEST_P(DiskContract, RefusesToWriteThroughAHandleForReading) {
  Write("a", "text");
  auto file = MustOpen("a", OpenMode::kRead);
  EXPECT_FALSE(file->Write(0, AsBytes("x")).ok());
  EXPECT_FALSE(file->Truncate(0).ok());
  EXPECT_EQ(Read("a"), "text");
}

TEST_P(DiskContract, CreatesOnlyWhatIsAbsent) {
  {
    auto made = MustOpen("a", OpenMode::kCreateNew);
  }
  EXPECT_EQ(CodeOf(disk_->Open("a", OpenMode::kCreateNew)), ErrorCode::kExists);
  Write("a", "kept");
  {
    auto again = MustOpen("a", OpenMode::kCreate);
  }
  EXPECT_EQ(Read("a"), "kept");
}

TEST_P(DiskContract, StreamsReadBackWhateverTheAlignment) {
  struct alignas(kDirectAlign) Pages {
    std::array<std::byte, 4 * kDirectAlign> bytes;
  };
  const auto pages = std::make_unique<Pages>();
  for (std::size_t i = 0; i < pages->bytes.size(); ++i) pages->bytes[i] = std::byte(i % 251);
  const ByteSpan all(pages->bytes);
  auto file = MustOpen("seg/a", OpenMode::kCreateStream);
  ASSERT_TRUE(file->Write(0, all).ok());                                     // aligned in all ways
  ASSERT_TRUE(file->Write(all.size(), all.subspan(1, kDirectAlign)).ok());   // not in memory
  ASSERT_TRUE(file->Write(all.size() + kDirectAlign, all.first(100)).ok());  // nor in length
  ASSERT_TRUE(file->Write(2 * kDirectAlign, all.first(kDirectAlign)).ok());  // over what is there
  ASSERT_TRUE(file->Sync().ok());
  ByteVector expected(all.begin(), all.end());
  expected.insert(expected.end(), all.begin() + 1, all.begin() + 1 + kDirectAlign);
  expected.insert(expected.end(), all.begin(), all.begin() + 100);
  std::copy_n(all.begin(), kDirectAlign, expected.begin() + 2 * kDirectAlign);
  ByteVector read(expected.size() + 1);
  const auto count = file->Read(0, read);
  ASSERT_TRUE(count.ok());
  read.resize(*count);
  EXPECT_EQ(read, expected);
  EXPECT_EQ(CodeOf(disk_->Open("seg/a", OpenMode::kCreateStream)), ErrorCode::kExists);
}

TEST_P(DiskContract, WritesAndSyncsInOneStep) {
  struct alignas(kDirectAlign) Page {
    std::array<std::byte, kDirectAlign> bytes;
  };
  const auto page = std::make_unique<Page>();
  page->bytes.fill(std::byte{'p'});
  for (const OpenMode mode : {OpenMode::kCreate, OpenMode::kCreateOrOpenStream}) {
    auto file = MustOpen("seg/a", mode);
    ASSERT_TRUE(file->Truncate(0).ok());
    ASSERT_TRUE(file->WriteSynced(0, page->bytes).ok());                    // aligned in all ways
    ASSERT_TRUE(file->WriteSynced(kDirectAlign - 2, AsBytes("new")).ok());  // in none
    EXPECT_EQ(Read("seg/a"), std::string(kDirectAlign - 2, 'p') + "new");
  }
  auto reader = MustOpen("seg/a", OpenMode::kRead);
  EXPECT_FALSE(reader->WriteSynced(0, AsBytes("x")).ok());
}

TEST_P(DiskContract, LosesObjectsThatAreRemoved) {
  Write("seg/a", "x");
  EXPECT_TRUE(disk_->Remove("seg/a").ok());
  EXPECT_EQ(CodeOf(disk_->Open("seg/a", OpenMode::kRead)), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(disk_->Remove("seg/a")), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(disk_->Remove("nogroup/a")), ErrorCode::kNotFound);
  EXPECT_THAT(List(""), IsEmpty());
}

TEST_P(DiskContract, KeepsARemovedObjectForThoseWhoHaveItOpen) {
  Write("a", "still here");
  auto file = MustOpen("a", OpenMode::kReadWrite);
  ASSERT_TRUE(disk_->Remove("a").ok());
  EXPECT_EQ(ReadAt(*file, 0, 100), "still here");
  EXPECT_TRUE(file->Write(0, AsBytes("S")).ok());
  EXPECT_EQ(ReadAt(*file, 0, 100), "Still here");
  Write("a", "another");
  EXPECT_EQ(ReadAt(*file, 0, 100), "Still here");
  EXPECT_EQ(Read("a"), "another");
}

TEST_P(DiskContract, RenamesOverWhatExists) {
  Write("a", "new");
  Write("b", "old");
  auto old_file = MustOpen("b", OpenMode::kRead);
  EXPECT_TRUE(disk_->Rename("a", "b").ok());
  EXPECT_EQ(Read("b"), "new");
  EXPECT_EQ(ReadAt(*old_file, 0, 3), "old");
  EXPECT_EQ(CodeOf(disk_->Open("a", OpenMode::kRead)), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(disk_->Rename("a", "c")), ErrorCode::kNotFound);
  EXPECT_THAT(List(""), ElementsAre("b"));
}

TEST_P(DiskContract, RenamesBetweenGroupsAndOntoItself) {
  Write("a", "text");
  EXPECT_TRUE(disk_->Rename("a", "seg/b").ok());
  EXPECT_EQ(Read("seg/b"), "text");
  EXPECT_TRUE(disk_->Rename("seg/b", "seg/b").ok());
  EXPECT_EQ(Read("seg/b"), "text");
}

TEST_P(DiskContract, ListsByPrefixSorted) {
  for (const char* name : {"seg/2", "label", "journal/0b", "journal/0a", "journal2", "seg/1"}) {
    Write(name, "x");
  }
  EXPECT_THAT(List(""),
              ElementsAre("journal/0a", "journal/0b", "journal2", "label", "seg/1", "seg/2"));
  EXPECT_THAT(List("journal/"), ElementsAre("journal/0a", "journal/0b"));
  EXPECT_THAT(List("journal/0b"), ElementsAre("journal/0b"));
  EXPECT_THAT(List("journal"), ElementsAre("journal/0a", "journal/0b", "journal2"));
  EXPECT_THAT(List("none/"), IsEmpty());
  EXPECT_THAT(List("../"), IsEmpty());
}

TEST_P(DiskContract, RefusesNamesThatCouldLeaveTheDisk) {
  Write("a", "x");
  const std::vector<std::string> bad = {"",
                                        "/a",
                                        "a/",
                                        "a/b/c",
                                        "..",
                                        "../a",
                                        "a/..",
                                        ".",
                                        "./a",
                                        "a b",
                                        "a\n",
                                        "\xc3\xa4",
                                        "a\\b",
                                        "a//b",
                                        std::string("a\0b", 3),
                                        std::string(201, 'a')};
  for (const std::string& name : bad) {
    EXPECT_EQ(CodeOf(disk_->Open(name, OpenMode::kRead)), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(CodeOf(disk_->Open(name, OpenMode::kCreate)), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(CodeOf(disk_->Remove(name)), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(CodeOf(disk_->Rename(name, "b")), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(CodeOf(disk_->Rename("a", name)), ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_THAT(List(""), ElementsAre("a"));
}

TEST_P(DiskContract, TakesEveryNameThatIsAllowed) {
  const std::vector<std::string> good = {"A-Z_a.z-09", ".hidden", "..a", "g/..b",
                                         std::string(200, 'a')};
  for (const std::string& name : good) {
    Write(name, name);
    EXPECT_EQ(Read(name), name);
  }
}

TEST_P(DiskContract, RefusesOffsetsBeyondAnyObject) {
  auto file = MustOpen("a", OpenMode::kCreate);
  EXPECT_EQ(CodeOf(file->Write(~0ULL, AsBytes("xy"))), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(file->Write((1ULL << 63) - 1, AsBytes("xy"))), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(file->Truncate(~0ULL)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(*file->Size(), 0u);
}

TEST_P(DiskContract, KnowsItsSpaceAndItsName) {
  auto space = disk_->Space();
  ASSERT_TRUE(space.ok());
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->free_bytes, space->total_bytes);
  EXPECT_FALSE(disk_->Describe().empty());
}

TEST_P(DiskContract, AnswersAProbe) {
  EXPECT_TRUE(disk_->Probe().ok());
  ASSERT_TRUE(WriteAtomically(*disk_, "label", AsBytes("x")).ok());
  EXPECT_TRUE(disk_->Probe().ok());
}

TEST_P(DiskContract, ReplacesAtomicallyAndTidiesUp) {
  ASSERT_TRUE(WriteAtomically(*disk_, "seg/a", AsBytes("a long first text")).ok());
  ASSERT_TRUE(WriteAtomically(*disk_, "seg/a", AsBytes("second")).ok());
  EXPECT_EQ(Read("seg/a"), "second");
  EXPECT_THAT(List(""), ElementsAre("seg/a"));
}

TEST_P(DiskContract, ReadsWholeObjectsUpToALimit) {
  Write("a", "12345");
  EXPECT_EQ(AsText(*ReadWhole(*disk_, "a", 5)), "12345");
  EXPECT_EQ(CodeOf(ReadWhole(*disk_, "a", 4)), ErrorCode::kTooLarge);
  EXPECT_EQ(CodeOf(ReadWhole(*disk_, "b", 4)), ErrorCode::kNotFound);
}

TEST_P(DiskContract, TakesWritesToDifferentRangesFromSeveralThreads) {
  constexpr int kThreads = 4;
  constexpr std::size_t kPieceBytes = 1000;
  constexpr int kPieces = 50;
  auto file = MustOpen("a", OpenMode::kCreate);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const std::string piece(kPieceBytes, static_cast<char>('a' + t));
      for (int i = 0; i < kPieces; ++i) {
        const auto at = static_cast<std::uint64_t>(i * kThreads + t) * kPieceBytes;
        EXPECT_TRUE(file->Write(at, AsBytes(piece)).ok());
        EXPECT_EQ(ReadAt(*file, at, kPieceBytes), piece);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = Read("a");
  ASSERT_EQ(text.size(), kThreads * kPieces * kPieceBytes);
  for (std::size_t i = 0; i < text.size(); ++i) {
    ASSERT_EQ(text[i], static_cast<char>('a' + i / kPieceBytes % kThreads)) << i;
  }
}

TEST_P(DiskContract, TakesNamesFromSeveralThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string name = "group" + std::to_string(i) + "/" + std::to_string(t);
        EXPECT_TRUE(WriteAtomically(*disk_, name, AsBytes(name)).ok());
        EXPECT_TRUE(disk_->List("").ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(List("").size(), 40u);
}

}  // namespace varve
