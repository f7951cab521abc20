// The member disks of one volume and their states, and the one way to do I/O on several at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/base/finding.h"
#include "store/base/ids.h"
#include "store/base/result.h"
#include "store/disk/disk.h"
#include "store/disk/disk_label.h"

namespace varve {

enum class DiskState {
  kOnline,
  kMissing,  // not found when the volume was opened
  kStale,    // found, but of an older epoch: resync-only
  kFailed,   // gave an error or went away since
};
std::string_view ToString(DiskState state);

struct DiskStatus {
  DiskIndex slot;
  Uuid uuid;
  DiskState state = DiskState::kMissing;
  std::string path;    // where it is, or was last seen
  std::string reason;  // why it is not online, one line
  std::optional<DiskSpace> space;
};

// Thread-safe. Owns the disks and one I/O thread ("disk-3") a slot, ended by the destructor.
class DiskSet {
 public:
  // `disks[i]` is what was found for slot i, or null; order does not matter, the label says the
  // slot. Refused by name: a foreign disk (other volume), two disks of one slot, a newer format,
  // two epochs of the same number with different ids (a split volume), fewer online disks than k.
  // Disks behind the newest epoch, or failed in its opinion, become kStale.
  // Nothing is written.
  static Result<std::unique_ptr<DiskSet>> Assemble(std::vector<std::unique_ptr<Disk>> disks);
  ~DiskSet();

  // Membership as the newest label has it, with this set's epoch.
  DiskLabel label() const;
  const Geometry& geometry() const;
  int size() const;
  Epoch epoch() const;

  // Null unless the slot is online. The pointer stays valid as long as the caller holds it.
  std::shared_ptr<Disk> online(DiskIndex slot) const;
  std::vector<DiskIndex> OnlineSlots() const;
  DiskState state(DiskIndex slot) const;
  std::vector<DiskStatus> Report() const;

  // Goes on without every disk that is not online: if any active member of the label is not online,
  // marks it failed and writes epoch+1 to all online labels. To be called before the first write of
  // a session, and it is what Fail does. kTooFewDisks, and nothing written, when fewer than max(k,
  // m+1) disks remain (docs/decisions/0004).
  Status BeginEpoch();

  // Declares a disk failed: state kFailed, epoch+1 on the survivors' labels before it returns.
  // Idempotent. The disk's I/O still under way may finish or fail. kTooFewDisks as BeginEpoch, and
  // then writable() is false for good.
  // With `which`, only if that is still the disk in the slot: an error of a disk that has since
  // been replaced says nothing about the new one.
  Status Fail(DiskIndex slot, const Error& why, const Disk* which = nullptr);
  // At least max(k, m+1) disks online and every label write so far succeeded.
  bool writable() const;

  // Where the live catalog is. Written to all online labels.
  Status SetCatalogLocation(DiskIndex slot, std::uint64_t generation);

  // Puts `disk` into `slot`, which must not be online: the disk gets a label with a fresh disk uuid
  // (kExists / kNotEmpty if it holds a label or other objects), epoch+1, the slot is online and
  // kRebuilding in all labels. The caller then rebuilds what it should hold and calls MarkRebuilt.
  Status Replace(DiskIndex slot, std::unique_ptr<Disk> disk);
  // Takes back a stale disk: its journal and catalog objects are removed, its segments kept to be
  // verified one by one; epoch+1, online and kRebuilding.
  Status Rejoin(DiskIndex slot);
  // kRebuilding -> kActive in all labels.
  Status MarkRebuilt(DiskIndex slot);

  // Runs task(slot) for each slot at once, each on its disk's own thread but the last, which the
  // caller runs instead of sleeping, and waits for all. A slot that is not online answers kDiskLost
  // without running. Errors are returned, not acted on: the caller decides what a failure means.
  // Result[i] belongs to slots[i].
  using Task = std::function<Status(DiskIndex, Disk&)>;
  std::vector<Status> ForEach(std::span<const DiskIndex> slots, const Task& task);

  // The same in two steps, so that the caller can do something else meanwhile. The task, and what
  // it refers to, must live until Wait has returned or the Running is destroyed, which waits too.
  class Running {
   public:
    Running() = default;
    Running(Running&&) = default;
    Running& operator=(Running&& other);
    ~Running();
    // Waits for all; empty the second time.
    std::vector<Status> Wait();

   private:
    friend class DiskSet;
    struct State;
    std::shared_ptr<State> state_;
  };
  Running Start(std::vector<DiskIndex> slots, Task task);

  // Probes all online disks; those that fail are Fail()ed. Returns the slots lost by this call.
  std::vector<DiskIndex> ProbeAll();

  // Called after a disk has failed, from the thread that noticed, with no lock of the set held.
  // That thread may hold locks of its own, of fs/core above all: the callback takes none of those.
  void OnFailure(std::function<void(DiskIndex, const Error&)> callback);

 private:
  DiskSet();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Writes fresh labels onto `disks` (slot i = disks[i]). Refuses a disk that has a label (kExists,
// names it) or other objects (kNotEmpty) unless `overwrite`, which removes all its objects first.
struct FormatOptions {
  Geometry geometry;
  std::string volume_name;
  enum class Existing { kRefuse, kOverwrite } existing = Existing::kRefuse;
};
Status FormatDisks(std::span<const std::unique_ptr<Disk>> disks, const FormatOptions& options);

}  // namespace varve
