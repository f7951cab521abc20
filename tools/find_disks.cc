#include "tools/find_disks.h"

#include <algorithm>
#include <boost/filesystem.hpp>
#include <set>
#include <utility>

#include "store/disk/disk_label.h"

namespace varve {
namespace {

// The same directory under one name, so that it is opened (and locked) once.
std::string Canonical(const std::string& path) {
  boost::system::error_code failed;
  const auto canonical = boost::filesystem::canonical(path, failed);
  return failed ? path : canonical.string();
}

// Whatever else keeps a member from being opened (permissions, a lock) must not pass for its loss.
bool MeansAbsent(const Error& error) {
  return error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kNotDirectory ||
         error.code() == ErrorCode::kDiskLost || error.code() == ErrorCode::kIo;
}

class DiskFinder {
 public:
  explicit DiskFinder(DiskAccess access) : access_(access) {}

  Result<FoundDisks> Find(const std::vector<std::string>& given) {
    for (const std::string& path : given) RETURN_IF_ERROR(OpenGiven(path));
    // Members may know of other members by newer paths: until nothing new is named.
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      const DiskLabel label = labels_[i];
      for (const SlotRecord& member : label.slots) RETURN_IF_ERROR(TryMember(label, member));
    }
    DropFormerMembers();
    return std::move(found_);
  }

 private:
  Status OpenGiven(const std::string& path) {
    if (!tried_.insert(Canonical(path)).second) return {};
    ASSIGN_OR_RETURN(auto disk, OpenPosixDisk(path, access_));
    // A label that cannot be read is judged together with the others.
    if (auto label = ReadLabel(*disk); label.ok()) Remember(*std::move(label));
    found_.disks.push_back(std::move(disk));
    return {};
  }

  void Remember(DiskLabel label) {
    have_.insert(label.disk_uuid);
    labels_.push_back(std::move(label));
  }

  // A disk that has fallen behind may lead to one that has been replaced since. Unless it was given
  // by name, that one is none of the volume's any more.
  void DropFormerMembers() {
    if (labels_.empty()) return;
    const DiskLabel& newest = *std::ranges::max_element(labels_, {}, &DiskLabel::epoch);
    for (const Discovery& found : discovered_) {
      const auto is_it = [&](const SlotRecord& slot) { return slot.disk_uuid == found.uuid; };
      if (std::ranges::any_of(newest.slots, is_it)) continue;
      std::erase_if(found_.disks, [&](const auto& disk) { return disk->Describe() == found.path; });
      found_.notes.push_back(found.path + " holds a disk that has been replaced since");
    }
  }

  Status TryMember(const DiskLabel& by, const SlotRecord& member) {
    if (have_.contains(member.disk_uuid) || member.last_path.empty()) return {};
    if (!tried_.insert(Canonical(member.last_path)).second) return {};
    auto disk = OpenPosixDisk(member.last_path, access_);
    if (!disk.ok()) {
      if (!MeansAbsent(disk.error())) return disk.error();
      found_.notes.push_back("no disk at " + disk.error().message());
      return {};
    }
    auto label = ReadLabel(**disk);
    if (!label.ok() && label.error().code() == ErrorCode::kNotFound) {
      found_.notes.push_back(label.error().message());
      return {};
    }
    if (label.ok() && label->volume_uuid != by.volume_uuid) {
      found_.notes.push_back(member.last_path + " now holds a disk of another volume");
      return {};
    }
    if (label.ok() && have_.contains(label->disk_uuid)) return {};
    if (label.ok()) {
      discovered_.push_back({label->disk_uuid, (*disk)->Describe()});
      Remember(*std::move(label));
    }
    found_.disks.push_back(*std::move(disk));
    return {};
  }

  const DiskAccess access_;
  FoundDisks found_;
  std::vector<DiskLabel> labels_;
  struct Discovery {
    Uuid uuid;
    std::string path;
  };
  std::vector<Discovery> discovered_;  // members that were not given
  std::set<Uuid> have_;
  std::set<std::string> tried_;
};

}  // namespace

Result<FoundDisks> FindDisks(const std::vector<std::string>& given, DiskAccess access) {
  return DiskFinder(access).Find(given);
}

}  // namespace varve
