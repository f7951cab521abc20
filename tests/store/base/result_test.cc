#include "store/base/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace varve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Base {
  virtual ~Base() = default;
  virtual int Number() const { return 1; }
};
struct Derived : Base {
  int Number() const override { return 2; }
};

Result<int> Half(int number) {
  if (number % 2 != 0) return Error(ErrorCode::kInvalidArgument, "odd");
  return number / 2;
}

Status CheckEven(int number) {
  RETURN_IF_ERROR(Half(number));
  return {};
}

Result<std::unique_ptr<Base>> Make(int number) {
  ASSIGN_OR_RETURN(int half, Half(number));
  ASSIGN_OR_RETURN(half, Half(half));
  return std::make_unique<Derived>();
}

TEST(Result, HoldsAValueOrAnError) {
  EXPECT_TRUE(Half(4).ok());
  EXPECT_EQ(Half(4).value(), 2);
  EXPECT_EQ(*Half(4), 2);
  EXPECT_FALSE(Half(3));
  EXPECT_EQ(Half(3).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Half(3).error().os_errno(), 0);
}

TEST(Result, PassesErrorsOn) {
  EXPECT_TRUE(CheckEven(2).ok());
  EXPECT_EQ(CheckEven(1).error().message(), "odd");
  EXPECT_FALSE(Make(2).ok());
  EXPECT_EQ(Make(4).value()->Number(), 2);
}

TEST(Result, MovesItsValueOut) {
  Result<std::unique_ptr<Base>> result = Make(4);
  ASSERT_TRUE(result.ok());
  std::unique_ptr<Base> value = *std::move(result);
  EXPECT_EQ(value->Number(), 2);
}

TEST(Result, DiesWhenTheWrongSideIsTaken) {
  EXPECT_DEATH(static_cast<void>(Half(3).value()), "odd");
  EXPECT_DEATH(static_cast<void>(Half(4).error()), "holds a value");
  EXPECT_DEATH(static_cast<void>(CheckEven(4).error()), "is ok");
}

TEST(Error, ComesFromErrno) {
  const Error error = Error::FromErrno(ENOSPC, "writing /srv/a");
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  EXPECT_EQ(error.os_errno(), ENOSPC);
  EXPECT_THAT(error.message(), StartsWith("writing /srv/a: "));
  EXPECT_EQ(Error::FromErrno(EDQUOT, "").code(), ErrorCode::kNoSpace);
  EXPECT_EQ(Error::FromErrno(ENOENT, "").code(), ErrorCode::kNotFound);
  EXPECT_EQ(Error::FromErrno(EROFS, "").code(), ErrorCode::kReadOnly);
  EXPECT_EQ(Error::FromErrno(ENODEV, "").code(), ErrorCode::kIo);
}

TEST(Error, KeepsItsOriginUnderContext) {
  const Error error = Error::FromErrno(EIO, "pread").In("reading label").In("disk 3");
  EXPECT_THAT(error.message(), StartsWith("disk 3: reading label: pread: "));
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_EQ(error.os_errno(), EIO);
}

TEST(Error, EveryCodeHasAName) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kCancelled); ++i) {
    EXPECT_NE(ToString(static_cast<ErrorCode>(i)), "unknown error") << i;
  }
}

}  // namespace
}  // namespace varve
