#include "fs/control/wire.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

TEST(Wire, EveryByteOfANameGetsThrough) {
  std::string name;
  for (int byte = 0; byte < 256; ++byte) name += static_cast<char>(byte);
  const auto request = ParseObject(Dump({{"path", BytesToJson(name)}}));
  ASSERT_TRUE(request.ok());
  const auto back = GetBytes(*request, "path");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, name);
}

TEST(Wire, StringsThatAreNotBytesAreRefused) {
  EXPECT_FALSE(BytesFromJson(Json("\u20ac")).ok());  // a code point beyond U+00FF
  EXPECT_FALSE(BytesFromJson(Json(5)).ok());
  EXPECT_FALSE(GetBytes(Json::object(), "path").ok());
}

TEST(Wire, RubbishIsAnErrorNotAnException) {
  for (const char* line : {"", "{", "[]", "null", "\xff\xfe", "{\"a\":}", "5"}) {
    EXPECT_FALSE(ParseObject(line).ok()) << line;
  }
  EXPECT_TRUE(ParseObject("{}").ok());
}

TEST(Wire, ErrorsKeepTheirCodeAndMessage) {
  const Error error(ErrorCode::kNotFound, "no such th\xffing");
  const Error back = ErrorFromJson(*ParseObject(Dump(ErrorToJson(error))));
  EXPECT_EQ(back.code(), error.code());
  EXPECT_EQ(back.message(), error.message());
}

TEST(Wire, AnErrorWithoutSenseIsStillAnError) {
  EXPECT_EQ(ErrorFromJson({{"code", 999}}).code(), ErrorCode::kIo);
  EXPECT_EQ(ErrorFromJson({{"code", "x"}, {"message", 7}}).code(), ErrorCode::kIo);
}

TEST(Wire, TextThatIsNotUnicodeIsShownAnyway) { EXPECT_NE(Dump({{"name", "\xff"}}), ""); }

}  // namespace
}  // namespace varve
