#include "store/volume/tail.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <limits>
#include <string>

namespace varve {
namespace {

std::shared_ptr<Change> MakeChange(std::uint64_t lsn, std::vector<Operation> operations) {
  auto change = std::make_shared<Change>();
  change->lsn = Lsn{lsn};
  change->operations = std::move(operations);
  return change;
}

Piece DataPiece(std::uint32_t offset, std::string_view text) {
  Piece piece;
  piece.chunk_offset = offset;
  piece.length = static_cast<std::uint32_t>(text.size());
  const ByteSpan bytes = AsBytes(text);
  piece.pending = std::make_shared<PendingExtent>(ByteVector(bytes.begin(), bytes.end()));
  return piece;
}

constexpr InodeId kDirectory{1};
constexpr BodyId kBody{9};

TEST(Tail, KnowsNothingAtFirst) {
  Tail tail;
  EXPECT_FALSE(tail.GetInode(kDirectory).has_value());
  EXPECT_FALSE(tail.Lookup(kDirectory, "a").has_value());
  EXPECT_TRUE(tail.GetChunk(kBody, 0).pieces.empty());
  EXPECT_FALSE(tail.GetChunk(kBody, 0).hides_catalog);
}

TEST(Tail, TellsARemovedEntryFromAnUnknownOne) {
  Tail tail;
  auto change = MakeChange(2, {RemoveEntry{kDirectory, "a"}});
  tail.Add(*change);
  ASSERT_TRUE(tail.Lookup(kDirectory, "a").has_value());
  EXPECT_FALSE(tail.Lookup(kDirectory, "a")->has_value());
  EXPECT_FALSE(tail.Lookup(kDirectory, "b").has_value());
}

TEST(Tail, ForgetsOnlyWhatNoLaterChangeHasTouched) {
  Tail tail;
  auto first = MakeChange(2, {PutEntry{kDirectory, {"a", InodeId{5}, S_IFREG, 10}},
                              PutEntry{kDirectory, {"b", InodeId{6}, S_IFREG, 11}},
                              WriteChunk{kBody, 0, {DataPiece(0, "old!")}},
                              WriteChunk{kBody, 1, {DataPiece(0, "gone")}}});
  auto second = MakeChange(3, {PutEntry{kDirectory, {"a", InodeId{7}, S_IFREG, 12}},
                               WriteChunk{kBody, 0, {DataPiece(2, "new")}}});
  tail.Add(*first);
  tail.Add(*second);
  tail.Trim(std::vector<std::shared_ptr<Change>>{first});
  ASSERT_TRUE(tail.Lookup(kDirectory, "a").has_value());
  EXPECT_EQ((*tail.Lookup(kDirectory, "a"))->inode, InodeId{7});
  EXPECT_FALSE(tail.Lookup(kDirectory, "b").has_value());
  auto chunk = tail.GetChunk(kBody, 0);
  ASSERT_EQ(chunk.pieces.size(), 1u);
  EXPECT_EQ(chunk.pieces[0].chunk_offset, 2u);
  EXPECT_TRUE(tail.GetChunk(kBody, 1).pieces.empty());
  tail.Trim(std::vector<std::shared_ptr<Change>>{second});
  EXPECT_FALSE(tail.Lookup(kDirectory, "a").has_value());
  EXPECT_TRUE(tail.GetChunk(kBody, 0).pieces.empty());
}

TEST(Tail, AWriteSplitsWhatItCovers) {
  Tail tail;
  tail.Add(*MakeChange(2, {WriteChunk{kBody, 0, {DataPiece(0, "0123456789")}}}));
  tail.Add(*MakeChange(3, {WriteChunk{kBody, 0, {DataPiece(3, "xyz")}}}));
  auto chunk = tail.GetChunk(kBody, 0);
  ASSERT_EQ(chunk.pieces.size(), 3u);
  EXPECT_EQ(chunk.pieces[0].end(), 3u);
  EXPECT_EQ(chunk.pieces[1].chunk_offset, 3u);
  EXPECT_EQ(chunk.pieces[2].chunk_offset, 6u);
  EXPECT_EQ(chunk.pieces[2].raw_offset, 6u);
}

TEST(Tail, ACutHidesTheCatalogFromThereOn) {
  Tail tail;
  auto cut = MakeChange(2, {CutChunks{kBody, 4}});
  tail.Add(*MakeChange(1, {WriteChunk{kBody, 5, {DataPiece(0, "cut away")}}}));
  tail.Add(*cut);
  tail.Add(*MakeChange(3, {WriteChunk{kBody, 6, {DataPiece(0, "after")}}}));
  EXPECT_FALSE(tail.GetChunk(kBody, 3).hides_catalog);
  EXPECT_TRUE(tail.GetChunk(kBody, 4).hides_catalog);
  EXPECT_TRUE(tail.GetChunk(kBody, 5).pieces.empty());
  EXPECT_EQ(tail.GetChunk(kBody, 6).pieces.size(), 1u);
  EXPECT_EQ(tail.CatalogHiddenFrom(kBody), 4u);
  EXPECT_EQ(tail.NextChunk(kBody, 0), ChunkIndex{6});
  tail.Trim(std::vector<std::shared_ptr<Change>>{cut});
  EXPECT_EQ(tail.CatalogHiddenFrom(kBody), std::numeric_limits<ChunkIndex>::max());
}

TEST(Tail, MergesItsEntriesIntoThePagesOfADirectory) {
  Tail tail;
  tail.Add(*MakeChange(
      2, {RemoveEntry{kDirectory, "b"}, PutEntry{kDirectory, {"c", InodeId{8}, S_IFREG, 30}},
          PutEntry{kDirectory, {"n", InodeId{9}, S_IFREG, 15}}}));
  std::vector<Entry> page = {{"a", InodeId{5}, S_IFREG, 10},
                             {"b", InodeId{6}, S_IFREG, 11},
                             {"c", InodeId{7}, S_IFREG, 12},
                             {"d", InodeId{7}, S_IFREG, 20}};
  tail.OverlayEntries(kDirectory, 0, 20, 10, page);
  std::vector<std::string> names;
  for (const Entry& entry : page) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "n", "d"}));
  std::vector<Entry> rest;
  tail.OverlayEntries(kDirectory, 20, 100, 10, rest);
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].name, "c");
  EXPECT_EQ(rest[0].inode, InodeId{8});
  std::vector<Entry> first;
  tail.OverlayEntries(kDirectory, 0, 100, 1, first);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].name, "n");
}

TEST(Tail, MergesXattrNames) {
  Tail tail;
  tail.Add(
      *MakeChange(2, {PutXattr{InodeId{5}, "user.b", "1"}, RemoveXattr{InodeId{5}, "user.a"}}));
  std::vector<std::string> names = {"user.a", "user.z"};
  tail.OverlayXattrs(InodeId{5}, names);
  EXPECT_EQ(names, (std::vector<std::string>{"user.b", "user.z"}));
}

}  // namespace
}  // namespace varve
