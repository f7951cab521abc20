#include "tools/geometry.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

Geometry Chosen(int disks, std::optional<int> data = {}, std::optional<int> parity = {}) {
  const auto geometry = ChooseGeometry(disks, data, parity);
  EXPECT_TRUE(geometry.ok());
  return geometry.ok() ? *geometry : Geometry{};
}

TEST(Geometry, IsChosenFromTheNumberOfDisks) {
  EXPECT_EQ(Chosen(1), (Geometry{1, 0}));
  EXPECT_EQ(Chosen(2), (Geometry{1, 1}));
  EXPECT_EQ(Chosen(3), (Geometry{2, 1}));
  EXPECT_EQ(Chosen(4), (Geometry{2, 2}));
  EXPECT_EQ(Chosen(5), (Geometry{3, 2}));
  EXPECT_EQ(Chosen(6), (Geometry{4, 2}));
  EXPECT_EQ(Chosen(10), (Geometry{8, 2}));
  EXPECT_EQ(Chosen(40), (Geometry{8, 2}));
}

TEST(Geometry, OneGivenLeavesTheRestToTheOther) {
  EXPECT_EQ(Chosen(6, 3, {}), (Geometry{3, 2}));
  EXPECT_EQ(Chosen(6, 6, {}), (Geometry{6, 0}));
  EXPECT_EQ(Chosen(6, {}, 3), (Geometry{3, 3}));
  EXPECT_EQ(Chosen(6, {}, 0), (Geometry{6, 0}));
  EXPECT_EQ(Chosen(6, 1, 5), (Geometry{1, 5}));
}

TEST(Geometry, NeverNeedsMoreDisksThanThereAre) {
  EXPECT_FALSE(ChooseGeometry(3, 2, 2).ok());
  EXPECT_FALSE(ChooseGeometry(3, 4, {}).ok());
  EXPECT_FALSE(ChooseGeometry(3, {}, 3).ok());
  EXPECT_FALSE(ChooseGeometry(3, 0, 1).ok());
  EXPECT_FALSE(ChooseGeometry(3, 2, -1).ok());
}

}  // namespace
}  // namespace varve
