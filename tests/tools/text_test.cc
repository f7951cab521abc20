#include "tools/text.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

TEST(Text, ShowsBytesInFittingUnits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(FormatBytes(~0ULL), "16.0 EiB");
}

TEST(Text, ReadsSizes) {
  for (const auto& [text, bytes] :
       std::vector<std::pair<std::string, std::uint64_t>>{{"0", 0},
                                                          {"512", 512},
                                                          {"64K", 65536},
                                                          {"64k", 65536},
                                                          {"1.5G", 3ULL << 29},
                                                          {"2GiB", 2ULL << 30},
                                                          {"1tb", 1ULL << 40},
                                                          {"10B", 10}}) {
    const auto parsed = ParseBytes(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, bytes) << text;
  }
  for (const char* text :
       {"", "K", "-1", "1X", "1Kx", "1 K", "1..5G", "99999999999999999999", "18014398509481984K"}) {
    EXPECT_FALSE(ParseBytes(text).ok()) << text;
  }
}

TEST(Text, ShowsModesAsLsDoes) {
  EXPECT_EQ(FormatMode(S_IFREG | 0644), "-rw-r--r--");
  EXPECT_EQ(FormatMode(S_IFDIR | 01777), "drwxrwxrwt");
  EXPECT_EQ(FormatMode(S_IFREG | 06711), "-rws--s--x");
  EXPECT_EQ(FormatMode(S_IFREG | 06600), "-rwS--S---");
  EXPECT_EQ(FormatMode(S_IFLNK | 0777), "lrwxrwxrwx");
}

TEST(Text, NamesCannotSpeakToTheTerminal) {
  EXPECT_EQ(ForTerminal("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
  EXPECT_EQ(ForTerminal("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(Text, TablesAlignTheirColumns) {
  EXPECT_EQ(FormatTable({{"a", "bbb", "c"}, {"aaa", "b"}}, " "), " a    bbb  c\n aaa  b\n");
}

}  // namespace
}  // namespace varve
