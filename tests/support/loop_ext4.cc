#include "tests/support/loop_ext4.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/support/mount_fixture.h"

namespace varve {
namespace {

constexpr const char* kLoopControl = "/dev/loop-control";

Error Failed(const std::string& what) { return Error::FromErrno(errno, what); }

Result<UniqueFd> MakeImage(const std::string& path, const LoopExt4Options& options) {
  UniqueFd image(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!image) return Failed("creating " + path);
  if (::ftruncate(image.get(), static_cast<off_t>(options.image_bytes)) != 0) {
    return Failed("sizing " + path);
  }
  std::vector<std::string> words{"/sbin/mkfs.ext4", "-q", "-F", "-b", "4096"};
  words.insert(words.end(), options.format_options.begin(), options.format_options.end());
  words.push_back(path);
  const RunResult made = RunProgram(words);
  if (made.status != 0) return Error(ErrorCode::kIo, "mkfs.ext4: " + made.err);
  return image;
}

// The device lets go of the image when nobody has it open any more.
Result<UniqueFd> AttachLoopDevice(const UniqueFd& image, std::string* path) {
  const UniqueFd control(::open(kLoopControl, O_RDWR | O_CLOEXEC));
  if (!control) return Failed(kLoopControl);
  loop_config config{};
  config.fd = static_cast<__u32>(image.get());
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  for (int round = 0; round < 100; ++round) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return Failed("asking for a loop device");
    *path = "/dev/loop" + std::to_string(number);
    UniqueFd device(::open(path->c_str(), O_RDWR | O_CLOEXEC));
    if (!device) return Failed(*path);
    if (::ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return device;
    if (errno != EBUSY) return Failed("configuring " + *path);
  }
  return Error(ErrorCode::kBusy, "others take every free loop device first");
}

}  // namespace

std::optional<std::string> WhyNoLoopExt4() {
  if (::geteuid() != 0) return "only root can mount an ext4 of its own";
  const UniqueFd control(::open(kLoopControl, O_RDWR | O_CLOEXEC));
  if (!control) return std::string(kLoopControl) + ": " + std::strerror(errno);
  return std::nullopt;
}

Result<UniqueFd> MountLoopExt4(const std::string& image_path, const LoopExt4Options& options) {
  ASSIGN_OR_RETURN(const UniqueFd image, MakeImage(image_path, options));
  std::string device_path;
  ASSIGN_OR_RETURN(const UniqueFd device, AttachLoopDevice(image, &device_path));
  const UniqueFd filesystem(::fsopen("ext4", FSOPEN_CLOEXEC));
  if (!filesystem) return Failed("fsopen of ext4");
  if (::fsconfig(filesystem.get(), FSCONFIG_SET_STRING, "source", device_path.c_str(), 0) != 0 ||
      ::fsconfig(filesystem.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Failed("mounting " + device_path);
  }
  UniqueFd mount(::fsmount(filesystem.get(), FSMOUNT_CLOEXEC, options.mount_attributes));
  if (!mount) return Failed("fsmount of " + device_path);
  return mount;
}

}  // namespace varve
