#include "tests/support/small_disks.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tests/support/loop_ext4.h"

namespace varve {

SmallDisks::~SmallDisks() {
  for (const std::string& directory : mounted_) ::umount2(directory.c_str(), MNT_DETACH);
}

Status SmallDisks::LeaveMountNamespace() {
  if (::unshare(CLONE_NEWNS) != 0) return Error::FromErrno(errno, "unshare");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) return {};
  // In a chroot the root is no mount, and what is mounted goes where the chroot's mounts go.
  if (errno == EINVAL) return {};
  return Error::FromErrno(errno, "making the mounts private");
}

Status SmallDisks::Add(const std::string& directory, std::uint64_t image_bytes) {
  if (::mkdir(directory.c_str(), 0755) != 0) return Error::FromErrno(errno, directory);
  LoopExt4Options options;
  options.image_bytes = image_bytes;
  // Nothing is kept back for root, so that "free" means the same to all; and no resize inode.
  options.format_options = {"-m", "0", "-O", "^resize_inode"};
  const std::string image = images_ / ("disk" + std::to_string(mounted_.size()));
  ASSIGN_OR_RETURN(const UniqueFd mount, MountLoopExt4(image, options));
  if (::unlinkat(mount.get(), "lost+found", AT_REMOVEDIR) != 0) {
    return Error::FromErrno(errno, "lost+found");
  }
  if (::move_mount(mount.get(), "", AT_FDCWD, directory.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return Error::FromErrno(errno, "mounting on " + directory);
  }
  mounted_.push_back(directory);
  return {};
}

Status SmallDisks::Lose(const std::string& directory) {
  if (::umount2(directory.c_str(), MNT_DETACH) != 0) return Error::FromErrno(errno, directory);
  std::erase(mounted_, directory);
  if (::rmdir(directory.c_str()) != 0) return Error::FromErrno(errno, directory);
  return {};
}

}  // namespace varve
