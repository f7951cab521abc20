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
  EXPECT_EQ(tail.GetChunk(kBody, 0).base, (Tail::Base{kBody, 0, kLsnNow}));
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
  EXPECT_TRUE(tail.GetChunk(kBody, 3).base.has_value());
  EXPECT_FALSE(tail.GetChunk(kBody, 4).base.has_value());
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

constexpr BodyId kCopy{10};

Tail::Base At(BodyId body, ChunkIndex chunk, std::uint64_t lsn) {
  return Tail::Base{body, chunk, Lsn{lsn}};
}

TEST(Tail, PointsAClonedChunkAtItsSourceAsOfThatMoment) {
  Tail tail;
  tail.Add(*MakeChange(2, {CloneChunks{kBody, Lsn{}, 4, kCopy, 10, 8}}));
  EXPECT_EQ(tail.GetChunk(kCopy, 9).base, (Tail::Base{kCopy, 9, kLsnNow}));
  EXPECT_EQ(tail.GetChunk(kCopy, 10).base, At(kBody, 4, 2));
  EXPECT_EQ(tail.GetChunk(kCopy, 17).base, At(kBody, 11, 2));
  EXPECT_EQ(tail.GetChunk(kCopy, 18).base, (Tail::Base{kCopy, 18, kLsnNow}));
  EXPECT_EQ(tail.GetChunk(kBody, 4).base, (Tail::Base{kBody, 4, kLsnNow}));
}

TEST(Tail, ClonesWhatItKnowsItselfOfTheSource) {
  Tail tail;
  tail.Add(*MakeChange(2, {WriteChunk{kBody, 1, {DataPiece(0, "before")}}}));
  tail.Add(*MakeChange(3, {CloneChunks{kBody, Lsn{}, 0, kCopy, 0, 4}}));
  tail.Add(*MakeChange(4, {WriteChunk{kBody, 1, {DataPiece(0, "later!")}}}));
  const Tail::ChunkOverlay copy = tail.GetChunk(kCopy, 1);
  ASSERT_EQ(copy.pieces.size(), 1u);
  EXPECT_EQ(AsText(*copy.pieces[0].pending->bytes()), "before");
  EXPECT_EQ(copy.base, At(kBody, 1, 3));
  EXPECT_EQ(tail.NextChunk(kCopy, 0), std::optional<ChunkIndex>(1));
}

TEST(Tail, ClonesNothingFromWhereTheSourceWasCut) {
  Tail tail;
  tail.Add(*MakeChange(2, {CutChunks{kBody, 2}}));
  tail.Add(*MakeChange(3, {CloneChunks{kBody, Lsn{}, 0, kCopy, 0, 4}}));
  EXPECT_EQ(tail.GetChunk(kCopy, 1).base, At(kBody, 1, 3));
  EXPECT_FALSE(tail.GetChunk(kCopy, 2).base.has_value());
  ASSERT_EQ(tail.CloneRuns(kCopy, 0).size(), 1u);
  EXPECT_EQ(tail.CloneRuns(kCopy, 0)[0].count, 2u);
}

TEST(Tail, FollowsAClonedClone) {
  Tail tail;
  tail.Add(*MakeChange(2, {CloneChunks{kBody, Lsn{}, 0, kCopy, 0, 8}}));
  tail.Add(*MakeChange(3, {CloneChunks{kCopy, Lsn{}, 6, BodyId{11}, 100, 4}}));
  EXPECT_EQ(tail.GetChunk(BodyId{11}, 101).base, At(kBody, 7, 2));
  EXPECT_EQ(tail.GetChunk(BodyId{11}, 102).base, At(kCopy, 8, 3));
}

TEST(Tail, LetsLaterChangesTakeTheirPartOutOfAClone) {
  Tail tail;
  tail.Add(*MakeChange(2, {CloneChunks{kBody, Lsn{}, 0, kCopy, 0, 10}}));
  tail.Add(*MakeChange(3, {PutChunk{kCopy, 4, {}}}));
  tail.Add(*MakeChange(4, {CutChunks{kCopy, 8}}));
  tail.Add(*MakeChange(5, {CloneChunks{BodyId{12}, Lsn{}, 0, kCopy, 1, 2}}));
  EXPECT_EQ(tail.GetChunk(kCopy, 0).base, At(kBody, 0, 2));
  EXPECT_EQ(tail.GetChunk(kCopy, 2).base, At(BodyId{12}, 1, 5));
  EXPECT_EQ(tail.GetChunk(kCopy, 3).base, At(kBody, 3, 2));
  EXPECT_FALSE(tail.GetChunk(kCopy, 4).base.has_value());
  EXPECT_EQ(tail.GetChunk(kCopy, 7).base, At(kBody, 7, 2));
  EXPECT_FALSE(tail.GetChunk(kCopy, 8).base.has_value());
}

TEST(Tail, ClonesFromThePastWithoutWhatItKnowsOfThePresent) {
  Tail tail;
  tail.Add(*MakeChange(5, {WriteChunk{kBody, 0, {DataPiece(0, "now")}}}));
  tail.Add(*MakeChange(6, {CloneChunks{kBody, Lsn{4}, 0, kCopy, 0, 2}}));
  EXPECT_TRUE(tail.GetChunk(kCopy, 0).pieces.empty());
  EXPECT_EQ(tail.GetChunk(kCopy, 1).base, At(kBody, 1, 4));
}

TEST(Tail, ForgetsAClonedRangeWhenItIsApplied) {
  Tail tail;
  auto write = MakeChange(2, {WriteChunk{kBody, 0, {DataPiece(0, "x")}}});
  auto clone = MakeChange(3, {CloneChunks{kBody, Lsn{}, 0, kCopy, 0, 4}});
  tail.Add(*write);
  tail.Add(*clone);
  tail.Trim(std::vector<std::shared_ptr<Change>>{write});
  EXPECT_EQ(tail.GetChunk(kCopy, 0).pieces.size(), 1u);
  tail.Trim(std::vector<std::shared_ptr<Change>>{clone});
  EXPECT_TRUE(tail.GetChunk(kCopy, 0).pieces.empty());
  EXPECT_EQ(tail.GetChunk(kCopy, 0).base, (Tail::Base{kCopy, 0, kLsnNow}));
}

}  // namespace
}  // namespace varve
