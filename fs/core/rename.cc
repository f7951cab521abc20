// NamespaceOperations::Rename.
#include <utility>

#include "fs/core/attributes.h"
#include "fs/core/namespace_operations.h"

namespace varve {

// What is moved where, as seen under the locks.
struct NamespaceOperations::RenameCall {
  InodeId parent;
  std::string_view name;
  InodeId new_parent;
  std::string_view new_name;
  RenameMode mode;
  std::optional<Entry> source;
  std::optional<Entry> target;

  bool SameDirectory() const { return parent == new_parent; }
  bool MovesDirectory() const { return S_ISDIR(source->type) || (target && S_ISDIR(target->type)); }
};

Result<bool> NamespaceOperations::IsWithin(InodeId inode, InodeId ancestor) {
  return IsInTree(core_.volume().Now(), inode, ancestor);
}

Status NamespaceOperations::Rename(InodeId parent, std::string_view name, InodeId new_parent,
                                   std::string_view new_name, RenameMode mode) {
  RETURN_IF_ERROR(CheckName(name));
  RETURN_IF_ERROR(CheckName(new_name));
  RETURN_IF_ERROR(CheckNotReserved(name, ErrorCode::kPermission));
  RETURN_IF_ERROR(CheckNotReserved(new_name, ErrorCode::kPermission));
  ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
  for (;;) {
    RenameCall call{parent, name, new_parent, new_name, mode, {}, {}};
    const View now = core_.volume().Now();
    ASSIGN_OR_RETURN(call.source, now.Lookup(parent, name));
    ASSIGN_OR_RETURN(call.target, now.Lookup(new_parent, new_name));
    if (!call.source) return NoSuchName(name);
    std::unique_lock<std::mutex> rename_lock(core_.rename_mutex(), std::defer_lock);
    if (!call.SameDirectory() && call.MovesDirectory()) rename_lock.lock();
    bool retry = false;
    const Status status = TryRename(call, &retry);
    if (!retry) return status;
  }
}

// Takes the locks; *retry when the names have come to mean something else before they were had.
Status NamespaceOperations::TryRename(const RenameCall& call, bool* retry) {
  const InodeId source = call.source->inode;
  const InodeId target = call.target ? call.target->inode : InodeId{};
  const InodeLocks::Exclusive lock(core_.locks(), {call.parent, call.new_parent, source, target});
  const View now = core_.volume().Now();
  ASSIGN_OR_RETURN(const std::optional<Entry> source_now, now.Lookup(call.parent, call.name));
  ASSIGN_OR_RETURN(const std::optional<Entry> target_now,
                   now.Lookup(call.new_parent, call.new_name));
  if (source_now != call.source || target_now != call.target) {
    *retry = true;
    return {};
  }
  RETURN_IF_ERROR(CheckRename(call));
  if (source == target) return {};  // two names of one file: nothing to do, says POSIX
  RETURN_IF_ERROR(core_.Cut(source));
  if (target) RETURN_IF_ERROR(core_.Cut(target));
  ASSIGN_OR_RETURN(Change change,
                   call.mode == RenameMode::kExchange ? BuildExchange(call) : BuildRename(call));
  RETURN_IF_ERROR(core_.Commit(std::move(change)));
  if (target) {
    if (FileState* state = core_.states().Find(target)) core_.states().DropIfIdle(*state);
  }
  return {};
}

Status NamespaceOperations::CheckRename(const RenameCall& call) {
  RETURN_IF_ERROR(core_.LoadDirectory(call.parent));
  RETURN_IF_ERROR(core_.LoadDirectory(call.new_parent));
  const bool exchange = call.mode == RenameMode::kExchange;
  if (exchange && !call.target) return NoSuchName(call.new_name);
  if (call.mode == RenameMode::kNoReplace && call.target) return NameExists(call.new_name);
  if (call.target && call.target->inode == call.source->inode) return {};
  const bool moves_directory = S_ISDIR(call.source->type);
  const bool onto_directory = call.target && S_ISDIR(call.target->type);
  const Error into_itself(ErrorCode::kInvalidArgument, "a directory cannot be moved into itself");
  if (!call.SameDirectory() && moves_directory) {
    ASSIGN_OR_RETURN(const bool within, IsWithin(call.new_parent, call.source->inode));
    if (within) return into_itself;
  }
  if (exchange) {
    if (call.SameDirectory() || !onto_directory) return {};
    ASSIGN_OR_RETURN(const bool within, IsWithin(call.parent, call.target->inode));
    return within ? Status(into_itself) : Status();
  }
  if (!call.target) return {};
  if (moves_directory && !onto_directory) {
    return Error(ErrorCode::kNotDirectory,
                 "'" + std::string(call.new_name) + "' is not a directory");
  }
  if (!moves_directory && onto_directory) {
    return Error(ErrorCode::kIsDirectory, "'" + std::string(call.new_name) + "' is a directory");
  }
  if (onto_directory) {
    ASSIGN_OR_RETURN(const bool empty, core_.volume().Now().IsEmptyDirectory(call.target->inode));
    if (!empty) {
      return Error(ErrorCode::kNotEmpty, "'" + std::string(call.new_name) + "' is not empty");
    }
  }
  return {};
}

Result<Change> NamespaceOperations::BuildRename(const RenameCall& call) {
  const bool is_directory = S_ISDIR(call.source->type);
  const TimeNs now = core_.Now();
  ASSIGN_OR_RETURN(InodeAttributes from, core_.Load(call.parent));
  ASSIGN_OR_RETURN(InodeAttributes moved, core_.Load(call.source->inode));
  InodeAttributes to;
  if (!call.SameDirectory()) {
    ASSIGN_OR_RETURN(to, core_.Load(call.new_parent));
  }
  InodeAttributes& onto = call.SameDirectory() ? from : to;

  Change change;
  change.kind = ChangeKind::kRename;
  change.operations.push_back(RemoveEntry{call.parent, std::string(call.name)});
  change.operations.push_back(PutEntry{
      call.new_parent, Entry{std::string(call.new_name), call.source->inode, call.source->type,
                             // a name that is taken over stays where it is in listings
                             call.target ? call.target->cookie : core_.volume().AllocateId()}});
  from.size -= 1;
  onto.size += 1;
  if (is_directory) {
    from.nlink -= 1;
    onto.nlink += 1;
  }
  if (call.target) {
    ASSIGN_OR_RETURN(InodeAttributes victim, core_.Load(call.target->inode));
    onto.size -= 1;
    if (S_ISDIR(victim.mode)) onto.nlink -= 1;
    AppendUnlinked(call.target->inode, std::move(victim), call.new_parent, now, change);
  }
  moved.ctime_ns = now;
  moved.parent = call.new_parent;
  change.operations.push_back(PutInode{call.source->inode, std::move(moved)});
  from.mtime_ns = from.ctime_ns = now;
  change.operations.push_back(PutInode{call.parent, from});
  if (!call.SameDirectory()) {
    to.mtime_ns = to.ctime_ns = now;
    change.operations.push_back(PutInode{call.new_parent, to});
  }
  return change;
}

Result<Change> NamespaceOperations::BuildExchange(const RenameCall& call) {
  const TimeNs now = core_.Now();
  Change change;
  change.kind = ChangeKind::kRename;
  const auto put_entry = [&](InodeId parent, const Entry& place, const Entry& entry) {
    change.operations.push_back(
        PutEntry{parent, Entry{place.name, entry.inode, entry.type, place.cookie}});
  };
  put_entry(call.parent, *call.source, *call.target);
  put_entry(call.new_parent, *call.target, *call.source);
  const auto put_moved = [&](InodeId inode, InodeId parent) -> Status {
    ASSIGN_OR_RETURN(InodeAttributes attributes, core_.Load(inode));
    attributes.ctime_ns = now;
    attributes.parent = parent;
    change.operations.push_back(PutInode{inode, std::move(attributes)});
    return {};
  };
  RETURN_IF_ERROR(put_moved(call.source->inode, call.new_parent));
  RETURN_IF_ERROR(put_moved(call.target->inode, call.parent));
  const std::uint32_t source_is_directory = S_ISDIR(call.source->type) ? 1 : 0;
  const std::uint32_t target_is_directory = S_ISDIR(call.target->type) ? 1 : 0;
  ASSIGN_OR_RETURN(InodeAttributes from, core_.Load(call.parent));
  from.mtime_ns = from.ctime_ns = now;
  if (!call.SameDirectory()) {
    from.nlink = from.nlink - source_is_directory + target_is_directory;
    ASSIGN_OR_RETURN(InodeAttributes to, core_.Load(call.new_parent));
    to.nlink = to.nlink - target_is_directory + source_is_directory;
    to.mtime_ns = to.ctime_ns = now;
    change.operations.push_back(PutInode{call.new_parent, std::move(to)});
  }
  change.operations.push_back(PutInode{call.parent, std::move(from)});
  return change;
}

}  // namespace varve
