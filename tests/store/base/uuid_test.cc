#include "store/base/uuid.h"

#include <gtest/gtest.h>

#include <set>

namespace varve {
namespace {

TEST(Uuid, RandomOnesDiffer) {
  std::set<Uuid> seen;
  for (int i = 0; i < 100; ++i) seen.insert(Uuid::Random());
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_FALSE(Uuid::Random().IsNil());
  EXPECT_TRUE(Uuid().IsNil());
}

TEST(Uuid, RandomOnesAreVersion4) {
  const std::string text = Uuid::Random().ToString();
  EXPECT_EQ(text[14], '4');
  EXPECT_TRUE(text[19] == '8' || text[19] == '9' || text[19] == 'a' || text[19] == 'b');
}

TEST(Uuid, SurvivesItsText) {
  const Uuid id = Uuid::Random();
  EXPECT_EQ(Uuid::Parse(id.ToString()).value(), id);
  const std::string text = "01234567-89ab-cdef-0123-456789abcdef";
  EXPECT_EQ(Uuid::Parse(text).value().ToString(), text);
  EXPECT_EQ(Uuid::Parse("01234567-89AB-CDEF-0123-456789ABCDEF").value().ToString(), text);
}

TEST(Uuid, RefusesWhatIsNone) {
  const std::string text = "01234567-89ab-cdef-0123-456789abcdef";
  EXPECT_FALSE(Uuid::Parse("").ok());
  EXPECT_FALSE(Uuid::Parse(text + "0").ok());
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(Uuid::Parse(text.substr(0, i)).ok());
    std::string bad = text;
    bad[i] = 'g';
    EXPECT_FALSE(Uuid::Parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace varve
