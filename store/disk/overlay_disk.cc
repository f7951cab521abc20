#include "store/disk/overlay_disk.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>

namespace varve {
namespace {

constexpr std::uint64_t kPageBytes = 64 * 1024;
// As of files: an offset is said in 63 bits.
constexpr std::uint64_t kMaxOffset = std::numeric_limits<std::int64_t>::max();

// What all handles of one object share.
struct OverlayObject {
  // The base's object below, which outlives its name here; empty when there is none.
  std::string base_name;

  // Held over reads of the base: an overlay is for trying things out, not for speed.
  std::shared_mutex mutex;
  // Guarded by mutex. The bytes of the base that still show through; what lies beyond is zeros.
  std::uint64_t base_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::map<std::uint64_t, ByteVector> pages;  // by number; kPageBytes each
};

class OverlayFile : public DiskFile {
 public:
  // `base` is null when the object has nothing below it.
  OverlayFile(std::shared_ptr<OverlayObject> object, std::unique_ptr<DiskFile> base,
              std::string description, OpenMode mode)
      : object_(std::move(object)),
        base_(std::move(base)),
        description_(std::move(description)),
        mode_(mode) {}

  Result<std::size_t> Read(std::uint64_t offset, MutableByteSpan out) override;
  Status Write(std::uint64_t offset, ByteSpan bytes) override;
  Status Sync() override { return {}; }
  Result<std::uint64_t> Size() override;
  Status Truncate(std::uint64_t size_bytes) override;

 private:
  Status CheckWritable(std::uint64_t offset, std::uint64_t length_bytes) const;
  // Fills `out` as the base says, zeros where it has no say. The object's mutex is held.
  Status ReadBase(std::uint64_t offset, MutableByteSpan out);

  const std::shared_ptr<OverlayObject> object_;
  const std::unique_ptr<DiskFile> base_;
  const std::string description_;
  const OpenMode mode_;
};

Status OverlayFile::CheckWritable(std::uint64_t offset, std::uint64_t length_bytes) const {
  if (ForReading(mode_)) {
    return Error(ErrorCode::kReadOnly, description_ + " is open for reading only");
  }
  if (offset > kMaxOffset || length_bytes > kMaxOffset - offset) {
    return Error(ErrorCode::kInvalidArgument, description_ + ": no such offset");
  }
  return {};
}

Status OverlayFile::ReadBase(std::uint64_t offset, MutableByteSpan out) {
  std::size_t got_bytes = 0;
  if (base_ != nullptr && offset < object_->base_bytes) {
    const std::size_t want_bytes =
        std::min<std::uint64_t>(out.size(), object_->base_bytes - offset);
    ASSIGN_OR_RETURN(got_bytes, base_->Read(offset, out.first(want_bytes)));
    if (got_bytes != want_bytes) {
      return Error(ErrorCode::kIo, description_ + " has become shorter below the overlay");
    }
  }
  std::ranges::fill(out.subspan(got_bytes), std::byte{0});
  return {};
}

Result<std::size_t> OverlayFile::Read(std::uint64_t offset, MutableByteSpan out) {
  std::shared_lock lock(object_->mutex);
  if (offset >= object_->size_bytes) return std::size_t{0};
  out = out.first(std::min<std::uint64_t>(out.size(), object_->size_bytes - offset));
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t at = offset + done;
    const auto page = object_->pages.lower_bound(at / kPageBytes);
    const bool is_ours = page != object_->pages.end() && page->first == at / kPageBytes;
    // As far as the page goes, or the base shows through.
    std::uint64_t end = offset + out.size();
    if (page != object_->pages.end()) {
      end = std::min(end, (page->first + (is_ours ? 1 : 0)) * kPageBytes);
    }
    const MutableByteSpan part = out.subspan(done, end - at);
    if (is_ours) {
      std::ranges::copy(ByteSpan(page->second).subspan(at % kPageBytes, part.size()), part.begin());
    } else {
      RETURN_IF_ERROR(ReadBase(at, part));
    }
    done += part.size();
  }
  return done;
}

Status OverlayFile::Write(std::uint64_t offset, ByteSpan bytes) {
  RETURN_IF_ERROR(CheckWritable(offset, bytes.size()));
  std::unique_lock lock(object_->mutex);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::uint64_t at = offset + done;
    const std::size_t within = at % kPageBytes;
    const std::size_t length_bytes = std::min(bytes.size() - done, kPageBytes - within);
    auto page = object_->pages.find(at / kPageBytes);
    if (page == object_->pages.end()) {
      ByteVector fresh(kPageBytes);
      if (length_bytes < kPageBytes) RETURN_IF_ERROR(ReadBase(at - within, fresh));
      page = object_->pages.emplace(at / kPageBytes, std::move(fresh)).first;
    }
    std::ranges::copy(bytes.subspan(done, length_bytes),
                      MutableByteSpan(page->second).subspan(within).begin());
    done += length_bytes;
    object_->size_bytes = std::max(object_->size_bytes, at + length_bytes);
  }
  return {};
}

Result<std::uint64_t> OverlayFile::Size() {
  std::shared_lock lock(object_->mutex);
  return object_->size_bytes;
}

Status OverlayFile::Truncate(std::uint64_t size_bytes) {
  RETURN_IF_ERROR(CheckWritable(size_bytes, 0));
  std::unique_lock lock(object_->mutex);
  object_->base_bytes = std::min(object_->base_bytes, size_bytes);
  if (size_bytes < object_->size_bytes) {
    // Pages wholly beyond the end go; in the one that it cuts, what lies beyond must read as zeros
    // if the object grows again.
    auto page = object_->pages.lower_bound(size_bytes / kPageBytes);
    if (page != object_->pages.end() && page->first == size_bytes / kPageBytes) {
      std::ranges::fill(MutableByteSpan(page->second).subspan(size_bytes % kPageBytes),
                        std::byte{0});
      ++page;
    }
    object_->pages.erase(page, object_->pages.end());
  }
  object_->size_bytes = size_bytes;
  return {};
}

}  // namespace

struct OverlayDisk::Impl {
  // What a name stands for: an object, or nothing (null) where the base may have one.
  using Names = std::map<std::string, std::shared_ptr<OverlayObject>, std::less<>>;

  // The object that `name` stands for, or null; looks at the base the first time. Mutex held.
  Result<std::shared_ptr<OverlayObject>> Find(std::string_view name);
  Status Require(std::string_view name, const std::shared_ptr<OverlayObject>& object) const;

  std::unique_ptr<Disk> base;
  std::mutex mutex;
  Names names;  // guarded by mutex
};

Result<std::shared_ptr<OverlayObject>> OverlayDisk::Impl::Find(std::string_view name) {
  if (auto found = names.find(name); found != names.end()) return found->second;
  auto below = base->Open(name, OpenMode::kRead);
  if (!below.ok() && below.error().code() == ErrorCode::kNotFound) {
    return std::shared_ptr<OverlayObject>();
  }
  if (!below.ok()) return below.error();
  ASSIGN_OR_RETURN(std::uint64_t size_bytes, below.value()->Size());
  auto object = std::make_shared<OverlayObject>();
  object->base_name = name;
  object->base_bytes = size_bytes;
  object->size_bytes = size_bytes;
  names.emplace(name, object);
  return object;
}

Status OverlayDisk::Impl::Require(std::string_view name,
                                  const std::shared_ptr<OverlayObject>& object) const {
  if (object != nullptr) return {};
  return Error(ErrorCode::kNotFound, base->Describe() + "/" + std::string(name) + ": not found");
}

OverlayDisk::OverlayDisk(std::unique_ptr<Disk> base) : impl_(std::make_unique<Impl>()) {
  impl_->base = std::move(base);
}

OverlayDisk::~OverlayDisk() = default;

Result<std::unique_ptr<DiskFile>> OverlayDisk::Open(std::string_view name, OpenMode mode) {
  RETURN_IF_ERROR(CheckObjectName(name));
  std::lock_guard lock(impl_->mutex);
  ASSIGN_OR_RETURN(auto object, impl_->Find(name));
  if (object != nullptr && MustBeNew(mode)) {
    return Error(ErrorCode::kExists, Describe() + "/" + std::string(name) + " exists");
  }
  if (!Creates(mode)) {
    RETURN_IF_ERROR(impl_->Require(name, object));
  }
  if (object == nullptr) {
    object = std::make_shared<OverlayObject>();
    impl_->names[std::string(name)] = object;
  }
  std::unique_ptr<DiskFile> below;
  if (!object->base_name.empty()) {
    ASSIGN_OR_RETURN(below,
                     impl_->base->Open(object->base_name,
                                       IsStream(mode) ? OpenMode::kReadStream : OpenMode::kRead));
  }
  return std::make_unique<OverlayFile>(std::move(object), std::move(below),
                                       Describe() + "/" + std::string(name), mode);
}

Status OverlayDisk::Remove(std::string_view name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  std::lock_guard lock(impl_->mutex);
  ASSIGN_OR_RETURN(auto object, impl_->Find(name));
  RETURN_IF_ERROR(impl_->Require(name, object));
  impl_->names[std::string(name)] = nullptr;
  return {};
}

Status OverlayDisk::Rename(std::string_view from, std::string_view to) {
  RETURN_IF_ERROR(CheckObjectName(from));
  RETURN_IF_ERROR(CheckObjectName(to));
  std::lock_guard lock(impl_->mutex);
  ASSIGN_OR_RETURN(auto object, impl_->Find(from));
  RETURN_IF_ERROR(impl_->Require(from, object));
  impl_->names[std::string(from)] = nullptr;
  impl_->names[std::string(to)] = std::move(object);
  return {};
}

Result<std::vector<std::string>> OverlayDisk::List(std::string_view prefix) {
  std::lock_guard lock(impl_->mutex);
  ASSIGN_OR_RETURN(std::vector<std::string> names, impl_->base->List(prefix));
  std::erase_if(names, [&](const std::string& name) { return impl_->names.contains(name); });
  for (const auto& [name, object] : impl_->names) {
    if (object != nullptr && name.starts_with(prefix)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

Result<DiskSpace> OverlayDisk::Space() { return impl_->base->Space(); }

std::string OverlayDisk::Describe() const { return impl_->base->Describe(); }

Status OverlayDisk::Probe() { return impl_->base->Probe(); }

}  // namespace varve
