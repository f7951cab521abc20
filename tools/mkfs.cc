// varve mkfs: makes a volume of directories.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/filesystem.hpp>
#include <map>

#include "fs/control/wire.h"
#include "store/disk/disk_label.h"
#include "store/disk/posix_disk.h"
#include "store/volume/volume.h"
#include "tools/geometry.h"
#include "tools/paths.h"
#include "tools/verbs.h"

namespace varve {
namespace {

namespace bfs = boost::filesystem;

struct MkfsRequest {
  std::optional<int> data;
  std::optional<int> parity;
  std::string label;
  bool force = false;
  bool json = false;
  std::vector<std::string> paths;
};

struct Made {
  DiskLabel label;
  std::vector<std::string> paths;
  std::vector<std::string> warnings;
};

// Makes the last component if it is missing, as mkdir(1) would; what is there must be empty.
Result<std::string> PrepareDirectory(const std::string& path, bool force) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::FromErrno(errno, "making " + path);
  }
  ASSIGN_OR_RETURN(std::string canonical, CanonicalPath(path));
  boost::system::error_code error;
  if (!bfs::is_directory(canonical, error)) {
    return Error(ErrorCode::kNotDirectory, path + " is not a directory");
  }
  const bool empty = bfs::is_empty(canonical, error);
  if (error) return Error::FromErrno(error.value(), "reading " + path);
  if (empty || force) return canonical;
  if (bfs::exists(bfs::path(canonical) / std::string(kLabelObject), error)) {
    return Error(ErrorCode::kExists,
                 path +
                     " is a disk of a Varve volume already; --force makes a new one of it, and "
                     "what is on it is lost");
  }
  return Error(ErrorCode::kNotEmpty,
               path + " is not empty; name an empty directory, or use --force to use it anyway");
}

std::vector<std::string> WarningsFor(const Geometry& geometry,
                                     const std::vector<std::unique_ptr<Disk>>& disks) {
  std::vector<std::string> warnings;
  if (geometry.parity == 0) {
    warnings.emplace_back("no parity: the loss of any disk loses data");
  }
  std::map<std::uint64_t, std::vector<std::string>> by_device;
  for (const auto& disk : disks) {
    const auto space = disk->Space();
    if (space.ok() && space->device != 0) by_device[space->device].push_back(disk->Describe());
  }
  for (const auto& [device, paths] : by_device) {
    if (paths.size() < 2) continue;
    std::string line = "not independent: ";
    for (const std::string& path : paths) line += (path == paths[0] ? "" : ", ") + path;
    warnings.push_back(line + " share one device and may be lost together");
  }
  return warnings;
}

Result<Made> Make(const MkfsRequest& request) {
  const int count = static_cast<int>(request.paths.size());
  ASSIGN_OR_RETURN(const Geometry geometry, ChooseGeometry(count, request.data, request.parity));
  RETURN_IF_ERROR(CheckGeometry(geometry, count));
  Made made;
  std::vector<std::unique_ptr<Disk>> disks;
  for (const std::string& path : request.paths) {
    ASSIGN_OR_RETURN(const std::string canonical, PrepareDirectory(path, request.force));
    for (const std::string& other : made.paths) {
      if (IsWithin(canonical, other) || IsWithin(other, canonical)) {
        return Error(ErrorCode::kInvalidArgument,
                     "the disks " + other + " and " + canonical + " lie in one another");
      }
    }
    made.paths.push_back(canonical);
    ASSIGN_OR_RETURN(auto disk, OpenPosixDisk(canonical, DiskAccess::kReadWrite));
    disks.push_back(std::move(disk));
  }
  made.warnings = WarningsFor(geometry, disks);

  FormatOptions format{.geometry = geometry, .volume_name = request.label};
  if (request.force) format.existing = FormatOptions::Existing::kOverwrite;
  const RootOwner owner{.uid = ::geteuid(), .gid = ::getegid()};
  RETURN_IF_ERROR(Volume::Format(std::move(disks), format, owner, VolumeOptions{}));

  ASSIGN_OR_RETURN(const auto disk, OpenPosixDisk(made.paths[0], DiskAccess::kReadOnly));
  ASSIGN_OR_RETURN(made.label, ReadLabel(*disk));
  return made;
}

void Print(const Made& made, const MkfsRequest& request, Io& io) {
  const Geometry& geometry = made.label.geometry;
  if (request.json) {
    io.out << DumpPretty({{"volume_uuid", made.label.volume_uuid.ToString()},
                          {"name", made.label.volume_name},
                          {"data", geometry.data},
                          {"parity", geometry.parity},
                          {"disks", made.paths},
                          {"warnings", made.warnings}})
           << "\n";
    return;
  }
  for (const std::string& warning : made.warnings)
    io.err << "varve mkfs: warning: " << warning << "\n";
  io.out << "volume " << made.label.volume_uuid.ToString();
  if (!made.label.volume_name.empty()) io.out << " (" << made.label.volume_name << ")";
  io.out << ": " << geometry.data << "+" << geometry.parity << " over " << made.paths.size()
         << (made.paths.size() == 1 ? " disk" : " disks") << "; any " << geometry.parity
         << " of them may be lost\n"
         << "mount it: varve mount " << made.paths[0] << " MOUNTPOINT\n";
}

}  // namespace

int RunMkfs(const Args& args, Io& io) {
  MkfsRequest request;
  CLI::App app("Makes a volume of directories, each best on a device of its own.", "varve mkfs");
  app.add_option("--data", request.data,
                 "data columns K, 1 to 32 (default: from the disks' number)");
  app.add_option("--parity", request.parity, "disks that may be lost, M, 0 to 8");
  app.add_option("--label", request.label, "a name for people");
  app.add_flag("--force", request.force,
               "use directories that are not empty; their volume is lost");
  app.add_flag("--json", request.json, "print JSON");
  app.add_option("DISK", request.paths, "directories; the last component is made if it is missing")
      ->required()
      ->expected(1, kMaxDisks);
  if (const auto status = ParseArgs(app, args, io)) return *status;

  const auto made = Make(request);
  if (!made.ok()) return Fail(io, "mkfs", made.error());
  Print(*made, request, io);
  return kExitOk;
}

}  // namespace varve
