#include "fs/core/past_nodes.h"

#include <gtest/gtest.h>

#include <set>

namespace varve {
namespace {

PastNode Then(std::uint64_t inode, std::uint64_t lsn, std::uint64_t origin = 0) {
  PastNode node;
  node.inode = InodeId(inode);
  node.at = Lsn(lsn);
  node.origin = origin;
  return node;
}

TEST(PastNodes, GivesOneIdToOneNodeForAsLongAsItIsKnown) {
  PastNodes nodes;
  const NodeId first = nodes.Acquire(Then(5, 7));
  EXPECT_EQ(nodes.Acquire(Then(5, 7)), first);
  EXPECT_NE(nodes.Acquire(Then(5, 8)), first);
  EXPECT_NE(nodes.Acquire(Then(5, 7, 1)), first);
  EXPECT_TRUE(IsPastNode(first));
  EXPECT_FALSE(IsPastNode(NodeId(5)));
  const Result<PastNode> found = nodes.Find(first);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->Key(), Then(5, 7).Key());
}

TEST(PastNodes, ForgetsWhenEveryReferenceIsGone) {
  PastNodes nodes;
  const NodeId id = nodes.Acquire(Then(5, 7));
  nodes.Acquire(Then(5, 7));
  nodes.Acquire(Then(5, 7));
  nodes.Forget(id, 2);
  EXPECT_TRUE(nodes.Find(id).ok());
  nodes.Forget(id, 1);
  ASSERT_FALSE(nodes.Find(id).ok());
  EXPECT_EQ(nodes.Find(id).error().code(), ErrorCode::kStale);
  EXPECT_EQ(nodes.size(), 0u);
  nodes.Forget(id, 3);  // the kernel may say so twice
  EXPECT_NE(nodes.Acquire(Then(5, 7)), id) << "ids are never used again";
}

TEST(PastNodes, NumbersAreStableDistinctAndApartFromThePresent) {
  std::set<std::uint64_t> numbers;
  for (std::uint64_t inode = 1; inode <= 100; ++inode) {
    for (std::uint64_t lsn = 1; lsn <= 100; ++lsn) {
      const std::uint64_t number = PastInodeNumber(Then(inode, lsn));
      EXPECT_EQ(number >> 62, 1u);
      EXPECT_EQ(number, PastInodeNumber(Then(inode, lsn, 99))) << "whichever way it was reached";
      numbers.insert(number);
    }
  }
  EXPECT_EQ(numbers.size(), 10000u);
}

}  // namespace
}  // namespace varve
