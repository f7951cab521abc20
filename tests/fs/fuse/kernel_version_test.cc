#include "fs/fuse/kernel_version.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

TEST(KernelVersion, IsTrustedFromTheFirstOnThatFlushes) {
  for (const char* release : {"6.16.0", "6.16.3+deb13-amd64", "6.18.44-fc-v769", "7.0", "10.1.2"}) {
    EXPECT_TRUE(FlushesBeforeDirectWrites(release)) << release;
  }
  for (const char* release : {"6.1.0-37-amd64", "6.12.48+deb13-amd64", "6.2", "5.15.0"}) {
    EXPECT_FALSE(FlushesBeforeDirectWrites(release)) << release;
  }
}

TEST(KernelVersion, IsNotTrustedWhenItCannotBeRead) {
  for (const char* release : {"", "6", "6.", ".12", "six.twelve", "6-16"}) {
    EXPECT_FALSE(FlushesBeforeDirectWrites(release)) << release;
  }
}

}  // namespace
}  // namespace varve
