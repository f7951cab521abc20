#include "tests/support/ext4_reference.h"

#include <sys/mount.h>

#include "tests/support/loop_ext4.h"

namespace varve {

std::optional<std::string> Ext4Reference::WhyCannotMount() { return WhyNoLoopExt4(); }

Status Ext4Reference::Mount(Atime atime) {
  LoopExt4Options options;
  options.mount_attributes = atime == Atime::kNever ? MOUNT_ATTR_NOATIME : 0;
  ASSIGN_OR_RETURN(mount_, MountLoopExt4(directory_ / "ext4.img", options));
  return {};
}

}  // namespace varve
