#include "fs/fuse/errno_map.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "fs/fuse/read_ahead.h"

namespace varve {
namespace {

TEST(ErrnoMap, EveryCodeHasAnErrno) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::kCancelled); ++code) {
    EXPECT_GT(ErrnoOf(Error(static_cast<ErrorCode>(code), "x")), 0) << code;
  }
}

TEST(ErrnoMap, TheCodeDecidesNotTheErrnoItBeganWith) {
  EXPECT_EQ(ErrnoOf(Error(ErrorCode::kDataLost, "x", ENOENT)), EIO);
  EXPECT_EQ(ErrnoOf(Error(ErrorCode::kDiskLost, "x", ENOENT)), EIO);
  EXPECT_EQ(ErrnoOf(Error(ErrorCode::kNotFound, "x", EIO)), ENOENT);
  EXPECT_EQ(ErrnoOf(Error(ErrorCode::kReadOnly, "x")), EROFS);
}

TEST(ErrnoMap, PermissionKeepsItsTwoKinds) {
  EXPECT_EQ(ErrnoOf(Error(ErrorCode::kPermission, "x")), EACCES);
  EXPECT_EQ(ErrnoOf(Error(ErrorCode::kPermission, "x", EPERM)), EPERM);
}

TEST(ErrnoMap, AnAbsentAttributeIsNoData) {
  EXPECT_EQ(XattrErrnoOf(Error(ErrorCode::kNotFound, "x")), ENODATA);
  EXPECT_EQ(XattrErrnoOf(Error(ErrorCode::kTooLarge, "x")), E2BIG);
  EXPECT_EQ(XattrErrnoOf(Error(ErrorCode::kIo, "x")), EIO);
}

TEST(ReadAhead, AMountThatIsNotThereIsAnErrorNotACrash) {
  EXPECT_FALSE(DeviceOfMount("/nowhere", "varve#none").ok());
  EXPECT_FALSE(SetReadAhead("0:0", 128).ok());
}

}  // namespace
}  // namespace varve
