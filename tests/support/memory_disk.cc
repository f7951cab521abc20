#include "tests/support/memory_disk.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <utility>
#include <variant>

namespace varve {
namespace {

constexpr std::uint64_t kSectorBytes = 512;
// As of files: an offset is said in 63 bits.
constexpr std::uint64_t kMaxOffset = std::numeric_limits<std::int64_t>::max();

// One change of bytes that is not durable yet, with what it takes to undo and redo it.
struct PendingBytes {
  enum class Kind { kWrite, kTruncate };
  Kind kind = Kind::kWrite;
  std::uint64_t offset = 0;  // of a truncation: the new size
  ByteVector fresh;          // what was written
  ByteVector former;         // what was there; of a truncation: the tail cut off
  std::uint64_t former_size_bytes = 0;
};

struct MemoryObject {
  ByteVector bytes;
  std::vector<PendingBytes> pending;
  int names = 0;  // how many live names it has: 0 or 1
};

void Overwrite(ByteVector& bytes, std::uint64_t offset, ByteSpan fresh) {
  if (fresh.empty()) return;
  if (bytes.size() < offset + fresh.size()) bytes.resize(offset + fresh.size());
  std::ranges::copy(fresh, bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

void Undo(ByteVector& bytes, const PendingBytes& change) {
  bytes.resize(change.former_size_bytes);
  const std::uint64_t former_at = change.offset;
  if (!change.former.empty()) Overwrite(bytes, former_at, change.former);
}

bool Toss(std::mt19937_64& random) { return (random() & 1) != 0; }

void Redo(ByteVector& bytes, const PendingBytes& change, std::mt19937_64& random) {
  if (change.kind == PendingBytes::Kind::kTruncate) {
    if (Toss(random)) bytes.resize(change.offset);
    return;
  }
  // Sectors are those of the object, not of the write.
  std::uint64_t at = change.offset;
  const std::uint64_t end = change.offset + change.fresh.size();
  while (at < end) {
    const std::uint64_t stop = std::min(end, (at / kSectorBytes + 1) * kSectorBytes);
    if (Toss(random)) {
      Overwrite(bytes, at, ByteSpan(change.fresh).subspan(at - change.offset, stop - at));
    }
    at = stop;
  }
}

void CutPowerOf(MemoryObject& object, std::mt19937_64& random) {
  std::vector<PendingBytes> pending = std::exchange(object.pending, {});
  for (auto change = pending.rbegin(); change != pending.rend(); ++change) {
    Undo(object.bytes, *change);
  }
  for (const PendingBytes& change : pending) Redo(object.bytes, change, random);
}

using Object = std::shared_ptr<MemoryObject>;
using Names = std::map<std::string, Object, std::less<>>;

struct Creation {
  std::string name;
  Object object;
};
struct Removal {
  std::string name;
};
struct Renaming {
  std::string from;
  std::string to;
  Object object;
};
using PendingName = std::variant<Creation, Removal, Renaming>;

void Redo(Names& names, const PendingName& change) {
  if (const auto* creation = std::get_if<Creation>(&change)) {
    names[creation->name] = creation->object;
  } else if (const auto* removal = std::get_if<Removal>(&change)) {
    names.erase(removal->name);
  } else if (const auto* renaming = std::get_if<Renaming>(&change)) {
    auto from = names.find(renaming->from);
    if (from != names.end() && from->second == renaming->object) names.erase(from);
    names[renaming->to] = renaming->object;
  }
}

}  // namespace

struct MemoryPlatter::Impl {
  explicit Impl(MemoryPlatterOptions wanted) : options(std::move(wanted)) {}

  // Every call from a MemoryDisk or its handles begins with this; mutex held.
  Status CheckSession(std::uint64_t caller) const {
    if (caller == session) return {};
    return Error(ErrorCode::kIo, options.description + ": the power was cut");
  }
  Result<Object> Find(std::string_view name) const {
    auto found = names.find(name);
    if (found != names.end()) return found->second;
    return Error(ErrorCode::kNotFound,
                 options.description + "/" + std::string(name) + ": not found");
  }
  void Unname(const Object& object) {
    object->names = 0;
    used_bytes -= object->bytes.size();
  }
  // Accounts for an object's change of size; kNoSpace if it cannot have that.
  Status Resize(const MemoryObject& object, std::uint64_t size_bytes) {
    if (object.names == 0) return {};
    const std::uint64_t others = used_bytes - object.bytes.size();
    if (size_bytes > object.bytes.size() &&
        (others > options.capacity_bytes || size_bytes > options.capacity_bytes - others)) {
      return Error(ErrorCode::kNoSpace, options.description + " is full");
    }
    used_bytes = others + size_bytes;
    return {};
  }
  void CountNames() {
    used_bytes = 0;
    for (auto& [name, object] : names) {
      object->names = 1;
      used_bytes += object->bytes.size();
    }
  }

  mutable std::mutex mutex;
  // Guarded by mutex.
  MemoryPlatterOptions options;
  std::uint64_t session = 0;
  std::uint64_t used_bytes = 0;
  Names names;
  Names durable_names;
  std::vector<PendingName> pending_names;
};

// One handle.
class MemoryFile : public DiskFile {
 public:
  MemoryFile(std::shared_ptr<MemoryPlatter::Impl> platter, std::uint64_t session, Object object,
             std::string name, OpenMode mode)
      : platter_(std::move(platter)),
        session_(session),
        object_(std::move(object)),
        name_(std::move(name)),
        mode_(mode) {}

  Result<std::size_t> Read(std::uint64_t offset, MutableByteSpan out) override {
    std::lock_guard lock(platter_->mutex);
    RETURN_IF_ERROR(platter_->CheckSession(session_));
    if (offset >= object_->bytes.size()) return std::size_t{0};
    const std::size_t length_bytes =
        std::min<std::uint64_t>(out.size(), object_->bytes.size() - offset);
    std::ranges::copy(ByteSpan(object_->bytes).subspan(offset, length_bytes), out.begin());
    return length_bytes;
  }

  Status Write(std::uint64_t offset, ByteSpan bytes) override {
    std::lock_guard lock(platter_->mutex);
    RETURN_IF_ERROR(CheckWritable(offset, bytes.size()));
    if (bytes.empty()) return {};
    ByteVector& old = object_->bytes;
    PendingBytes change;
    change.offset = offset;
    change.former_size_bytes = old.size();
    const std::uint64_t end = offset + bytes.size();
    RETURN_IF_ERROR(platter_->Resize(*object_, std::max<std::uint64_t>(end, old.size())));
    if (offset < old.size()) {
      const ByteSpan covered =
          ByteSpan(old).subspan(offset, std::min<std::uint64_t>(bytes.size(), old.size() - offset));
      change.former.assign(covered.begin(), covered.end());
    }
    change.fresh.assign(bytes.begin(), bytes.end());
    Overwrite(old, offset, bytes);
    object_->pending.push_back(std::move(change));
    return {};
  }

  Status Sync() override {
    std::lock_guard lock(platter_->mutex);
    RETURN_IF_ERROR(platter_->CheckSession(session_));
    object_->pending.clear();
    return {};
  }

  Result<std::uint64_t> Size() override {
    std::lock_guard lock(platter_->mutex);
    RETURN_IF_ERROR(platter_->CheckSession(session_));
    return object_->bytes.size();
  }

  Status Truncate(std::uint64_t size_bytes) override {
    std::lock_guard lock(platter_->mutex);
    RETURN_IF_ERROR(CheckWritable(size_bytes, 0));
    ByteVector& old = object_->bytes;
    if (size_bytes == old.size()) return {};
    PendingBytes change;
    change.kind = PendingBytes::Kind::kTruncate;
    change.offset = size_bytes;
    change.former_size_bytes = old.size();
    RETURN_IF_ERROR(platter_->Resize(*object_, size_bytes));
    if (size_bytes < old.size()) {
      const ByteSpan tail = ByteSpan(old).subspan(size_bytes);
      change.former.assign(tail.begin(), tail.end());
    }
    old.resize(size_bytes);
    object_->pending.push_back(std::move(change));
    return {};
  }

 private:
  Status CheckWritable(std::uint64_t offset, std::uint64_t length_bytes) const {
    RETURN_IF_ERROR(platter_->CheckSession(session_));
    if (ForReading(mode_)) {
      return Error(ErrorCode::kReadOnly, name_ + " is open for reading only");
    }
    if (offset > kMaxOffset || length_bytes > kMaxOffset - offset) {
      return Error(ErrorCode::kInvalidArgument, name_ + ": no such offset");
    }
    return {};
  }

  const std::shared_ptr<MemoryPlatter::Impl> platter_;
  const std::uint64_t session_;
  const Object object_;
  const std::string name_;
  const OpenMode mode_;
};

MemoryPlatter::MemoryPlatter(MemoryPlatterOptions options)
    : impl_(std::make_shared<Impl>(std::move(options))) {}

MemoryPlatter::~MemoryPlatter() = default;

void MemoryPlatter::CutPower(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::lock_guard lock(impl_->mutex);
  ++impl_->session;
  // Objects are visited in an order that does not depend on addresses, so that a seed replays.
  std::vector<Object> order;
  auto visit = [&](const Object& object) {
    if (std::ranges::find(order, object) == order.end()) order.push_back(object);
  };
  Names left = impl_->durable_names;
  for (const auto& [name, object] : left) visit(object);
  for (const PendingName& change : impl_->pending_names) {
    if (const auto* creation = std::get_if<Creation>(&change)) visit(creation->object);
    if (Toss(random)) Redo(left, change);
  }
  for (const Object& object : order) CutPowerOf(*object, random);
  impl_->names = left;
  impl_->durable_names = std::move(left);
  impl_->pending_names.clear();
  impl_->CountNames();
}

void MemoryPlatter::SetCapacity(std::uint64_t capacity_bytes) {
  std::lock_guard lock(impl_->mutex);
  impl_->options.capacity_bytes = capacity_bytes;
}

void MemoryPlatter::Wipe() {
  std::lock_guard lock(impl_->mutex);
  ++impl_->session;
  impl_->names.clear();
  impl_->durable_names.clear();
  impl_->pending_names.clear();
  impl_->used_bytes = 0;
}

std::uint64_t MemoryPlatter::used_bytes() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->used_bytes;
}

bool MemoryPlatter::IsDurable() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->pending_names.empty() && std::ranges::all_of(impl_->names, [](const auto& entry) {
           return entry.second->pending.empty();
         });
}

MemoryDisk::MemoryDisk() : MemoryDisk(std::make_shared<MemoryPlatter>()) {}

MemoryDisk::MemoryDisk(const std::shared_ptr<MemoryPlatter>& platter)
    : platter_(platter->impl_), session_([this] {
        std::lock_guard lock(platter_->mutex);
        return platter_->session;
      }()) {}

MemoryDisk::~MemoryDisk() = default;

Result<std::unique_ptr<DiskFile>> MemoryDisk::Open(std::string_view name, OpenMode mode) {
  RETURN_IF_ERROR(CheckObjectName(name));
  std::lock_guard lock(platter_->mutex);
  RETURN_IF_ERROR(platter_->CheckSession(session_));
  Result<Object> found = platter_->Find(name);
  if (!found.ok() && !Creates(mode)) return found.error();
  if (found.ok() && MustBeNew(mode)) {
    return Error(ErrorCode::kExists,
                 platter_->options.description + "/" + std::string(name) + " exists");
  }
  Object object;
  if (found.ok()) {
    object = *found;
  } else {
    object = std::make_shared<MemoryObject>();
    object->names = 1;
    platter_->names[std::string(name)] = object;
    platter_->pending_names.emplace_back(Creation{std::string(name), object});
  }
  return std::make_unique<MemoryFile>(platter_, session_, std::move(object), std::string(name),
                                      mode);
}

Status MemoryDisk::Remove(std::string_view name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  std::lock_guard lock(platter_->mutex);
  RETURN_IF_ERROR(platter_->CheckSession(session_));
  ASSIGN_OR_RETURN(Object object, platter_->Find(name));
  platter_->Unname(object);
  platter_->names.erase(platter_->names.find(name));
  platter_->pending_names.emplace_back(Removal{std::string(name)});
  return {};
}

Status MemoryDisk::Rename(std::string_view from, std::string_view to) {
  RETURN_IF_ERROR(CheckObjectName(from));
  RETURN_IF_ERROR(CheckObjectName(to));
  std::lock_guard lock(platter_->mutex);
  RETURN_IF_ERROR(platter_->CheckSession(session_));
  ASSIGN_OR_RETURN(Object object, platter_->Find(from));
  if (from == to) return {};
  if (Result<Object> replaced = platter_->Find(to); replaced.ok()) platter_->Unname(*replaced);
  platter_->names.erase(platter_->names.find(from));
  platter_->names[std::string(to)] = object;
  platter_->pending_names.emplace_back(Renaming{std::string(from), std::string(to), object});
  return {};
}

Result<std::vector<std::string>> MemoryDisk::List(std::string_view prefix) {
  std::lock_guard lock(platter_->mutex);
  RETURN_IF_ERROR(platter_->CheckSession(session_));
  std::vector<std::string> names;
  for (const auto& [name, object] : platter_->names) {
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

Status MemoryDisk::SyncNames() {
  std::lock_guard lock(platter_->mutex);
  RETURN_IF_ERROR(platter_->CheckSession(session_));
  if (platter_->pending_names.empty()) return {};
  platter_->pending_names.clear();
  platter_->durable_names = platter_->names;
  return {};
}

Result<DiskSpace> MemoryDisk::Space() {
  std::lock_guard lock(platter_->mutex);
  RETURN_IF_ERROR(platter_->CheckSession(session_));
  DiskSpace space;
  space.total_bytes = platter_->options.capacity_bytes;
  space.free_bytes = space.total_bytes - std::min(space.total_bytes, platter_->used_bytes);
  space.device = platter_->options.device;
  return space;
}

std::string MemoryDisk::Describe() const {
  std::lock_guard lock(platter_->mutex);
  return platter_->options.description;
}

Status MemoryDisk::Probe() {
  std::lock_guard lock(platter_->mutex);
  return platter_->CheckSession(session_);
}

std::vector<std::shared_ptr<MemoryPlatter>> MakeMemoryPlatters(int count) {
  std::vector<std::shared_ptr<MemoryPlatter>> platters;
  for (int i = 0; i < count; ++i) {
    MemoryPlatterOptions options;
    options.description = "memory-" + std::to_string(i);
    platters.push_back(std::make_shared<MemoryPlatter>(std::move(options)));
  }
  return platters;
}

std::vector<std::unique_ptr<Disk>> OpenMemoryDisks(
    const std::vector<std::shared_ptr<MemoryPlatter>>& platters) {
  std::vector<std::unique_ptr<Disk>> disks;
  for (const auto& platter : platters) disks.push_back(std::make_unique<MemoryDisk>(platter));
  return disks;
}

}  // namespace varve
