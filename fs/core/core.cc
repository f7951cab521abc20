#include "fs/core/core.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "fs/core/attributes.h"

namespace varve {
namespace {

constexpr int kCountAttempts = 3;

// Whether what such a change removes was known to the kernel by its name.
bool Unlinks(ChangeKind kind) {
  return kind == ChangeKind::kUnlink || kind == ChangeKind::kRemoveDirectory ||
         kind == ChangeKind::kRename;
}

}  // namespace

Result<Gate::Visit> Core::BeginChange() {
  Gate::Visit visit(writers_);
  if (refusing_) return Error(ErrorCode::kReadOnly, "the filesystem is shutting down");
  return visit;
}

Result<InodeAttributes> Core::Load(InodeId inode) {
  if (const FileState* state = states_.Find(inode)) {
    InodeAttributes attributes = state->attributes;
    attributes.atime_ns = read_times_.Newest(inode, attributes.atime_ns);
    return attributes;
  }
  ASSIGN_OR_RETURN(std::optional<InodeAttributes> attributes, volume_.Now().GetInode(inode));
  if (!attributes) {
    return Error(ErrorCode::kStale, "inode " + std::to_string(inode.value) + " is gone");
  }
  attributes->atime_ns = read_times_.Newest(inode, attributes->atime_ns);
  return *std::move(attributes);
}

Result<InodeAttributes> Core::LoadDirectory(InodeId inode) {
  ASSIGN_OR_RETURN(InodeAttributes attributes, Load(inode));
  if (!S_ISDIR(attributes.mode)) {
    return Error(ErrorCode::kNotDirectory,
                 "inode " + std::to_string(inode.value) + " is not a directory");
  }
  if (attributes.nlink == 0) {
    return Error(ErrorCode::kNotFound,
                 "directory " + std::to_string(inode.value) + " has been removed");
  }
  return attributes;
}

Result<NodeAttributes> Core::Describe(InodeId inode, const InodeAttributes& attributes) {
  NodeAttributes node = ToNode(inode, attributes);
  if (has_generations_) {
    auto generations = generations_.Lock();
    const auto found = generations->find(inode);
    if (found != generations->end()) node.generation = found->second;
  }
  if (!attributes.sparse) return node;
  const Gate::Visit look = BeginLook();
  // What is dirty is cut at any time, and would count twice or not at all: then once more. Who
  // writes faster than this counts gets a number that was never quite true.
  for (int attempt = 0; attempt < kCountAttempts; ++attempt) {
    const DirtyRanges dirty = LookAtDirty(inode);
    RETURN_IF_ERROR(CountBlocks(volume_.Now(), attributes, node.stat, dirty.ranges));
    if (LookAtDirty(inode).last_change == dirty.last_change) break;
  }
  return node;
}

Core::DirtyRanges Core::LookAtDirty(InodeId inode) {
  const InodeLocks::Shared lock(locks_, inode);
  const FileState* state = states_.Find(inode);
  if (state == nullptr) return {};
  return {state->buffer.Ranges(), state->last_change};
}

Status Core::CountBlocks(const View& view, const InodeAttributes& attributes, struct stat& stat,
                         std::span<const View::ByteRange> dirty) {
  if (!S_ISREG(attributes.mode) || !attributes.sparse) return {};
  ASSIGN_OR_RETURN(std::uint64_t data, data_counts_.Of(view, attributes));
  ASSIGN_OR_RETURN(const std::uint64_t more, view.CountHoles(attributes.body, dirty));
  data += more;
  stat.st_blocks = BlocksOf(std::min(data, attributes.size));
  return {};
}

bool Core::IsReadDue(InodeId inode, const InodeAttributes& attributes) const {
  const bool counts = options_.atime == AtimePolicy::kRelative ||
                      (options_.atime == AtimePolicy::kNotDirectories && !S_ISDIR(attributes.mode));
  return counts && read_times_.IsDue(inode, attributes, Now());
}

void Core::NoteRead(InodeId inode, const InodeAttributes& attributes) {
  if (IsReadDue(inode, attributes)) read_times_.Note(inode, Now());
}

void Core::CommitReadTimes() {
  constexpr std::size_t kTogether = InodeLocks::kMaxAtOnce;
  std::vector<InodeId> known = read_times_.Known();
  std::sort(known.begin(), known.end());  // as they lie in the catalog
  for (std::size_t first = 0; first < known.size(); first += kTogether) {
    std::array<InodeId, kTogether> inodes{};
    std::copy_n(known.begin() + static_cast<std::ptrdiff_t>(first),
                std::min(kTogether, known.size() - first), inodes.begin());
    const InodeLocks::Exclusive lock(
        locks_, {inodes[0], inodes[1], inodes[2], inodes[3], inodes[4], inodes[5]});
    Change change;
    change.kind = ChangeKind::kMaintenance;
    for (const InodeId inode : inodes) {
      if (!inode || !CheckStored(inode).ok()) continue;
      Result<InodeAttributes> attributes = Load(inode);
      if (!attributes.ok() || attributes->nlink == 0) continue;
      change.operations.push_back(PutInode{inode, *std::move(attributes)});
    }
    if (!change.operations.empty() && !Commit(std::move(change)).ok()) return;
  }
}

Status Core::CheckStored(InodeId inode) {
  const FileState* state = states_.Find(inode);
  if (state == nullptr || !state->removed) return {};
  return Error(ErrorCode::kStale, "inode " + std::to_string(inode.value) + " has been removed");
}

Result<std::optional<std::string>> Core::GetXattr(InodeId inode, std::string_view name) {
  if (auto kept = states_.KeptXattr(inode, name)) return *std::move(kept);
  FileState* state = name == kCapabilityName ? states_.Find(inode) : nullptr;
  if (state != nullptr && state->without_capability) return std::optional<std::string>();
  ASSIGN_OR_RETURN(std::optional<std::string> value, volume_.Now().GetXattr(inode, name));
  if (state != nullptr && !value) state->without_capability = true;
  return value;
}

bool Core::StaysRemoved(const FileState& state, const Change& change) {
  if (!state.removed) return false;
  for (const Operation& operation : change.operations) {
    const auto* put = std::get_if<PutInode>(&operation);
    if (put != nullptr && put->inode == state.inode) return put->attributes.nlink == 0;
  }
  return false;
}

void Core::KeepXattrs(FileState& state, const Change& change) {
  for (const Operation& operation : change.operations) {
    if (const auto* put = std::get_if<PutXattr>(&operation)) {
      state.kept_xattrs[put->name] = put->value;
    } else if (const auto* remove = std::get_if<RemoveXattr>(&operation)) {
      state.kept_xattrs[remove->name] = std::nullopt;
    }
  }
}

void Core::AppendKeptXattrs(const FileState& state, Change& change) {
  for (const auto& [name, value] : state.kept_xattrs) {
    if (value) {
      change.operations.push_back(PutXattr{state.inode, name, *value});
    } else {
      change.operations.push_back(RemoveXattr{state.inode, name});
    }
  }
}

Result<Lsn> Core::Commit(Change change) {
  std::vector<std::pair<FileState*, InodeAttributes>> changed;
  std::vector<std::pair<InodeId, InodeAttributes>> unlinked;
  std::vector<InodeId> told;  // whose times of reading went along
  FileState* kept = nullptr;  // a removed inode, which is changed in memory only
  for (Operation& operation : change.operations) {
    if (auto* put = std::get_if<PutInode>(&operation)) {
      put->attributes.atime_ns = read_times_.Newest(put->inode, put->attributes.atime_ns);
      told.push_back(put->inode);
      FileState* state = states_.Find(put->inode);
      if (state == nullptr) continue;
      changed.emplace_back(state, put->attributes);
      if (state->removed && put->attributes.nlink == 0) kept = state;
    } else if (const auto* xattr = std::get_if<PutXattr>(&operation)) {
      if (FileState* state = states_.Find(xattr->inode)) state->without_capability = false;
    } else if (const auto* remove = std::get_if<RemoveInode>(&operation)) {
      told.push_back(remove->inode);
      if (!Unlinks(change.kind)) continue;
      ASSIGN_OR_RETURN(InodeAttributes attributes, Load(remove->inode));
      unlinked.emplace_back(remove->inode, std::move(attributes));
    }
  }
  const ChangeKind kind = change.kind;
  Lsn lsn = volume_.last_lsn();
  if (kept != nullptr) {
    KeepXattrs(*kept, change);
  } else {
    const std::vector<BodyId> bodies = DataCounts::ChangedBy(change);
    const Result<Lsn> committed = volume_.Commit(std::move(change));
    data_counts_.Forget(bodies);  // after an error too: nothing is known of them then
    if (!committed.ok()) return committed;
    lsn = *committed;
  }
  for (const InodeId inode : told) read_times_.Forget(inode);
  for (auto& [state, attributes] : changed) {
    if (attributes.nlink > 0) Raise(*state);
    if (attributes.nlink == 0 && S_ISDIR(attributes.mode) && Unlinks(kind)) state->dead = true;
    state->attributes = std::move(attributes);
    state->last_change = lsn;
  }
  for (auto& [inode, attributes] : unlinked) Bury(inode, std::move(attributes), lsn);
  return lsn;
}

void Core::Bury(InodeId inode, InodeAttributes attributes, Lsn lsn) {
  attributes.nlink = 0;
  attributes.ctime_ns = Now();
  FileState* state = states_.Find(inode);
  if (state == nullptr) {
    state = &states_.Make(inode, std::move(attributes), lsn);
  } else {
    state->attributes = std::move(attributes);
  }
  state->removed = true;
  state->dead = S_ISDIR(state->attributes.mode);
}

void Core::Raise(FileState& state) {
  state.removed = state.forgotten = false;
  state.kept_xattrs.clear();
  if (std::exchange(state.dead, false)) StartAnew(state.inode);
}

void Core::StartAnew(InodeId inode) {
  ++(*generations_.Lock())[inode];
  has_generations_ = true;
}

void Core::Forget(InodeId inode) {
  const Gate::Visit visit = BeginLook();  // or a rollback would find the states changing under it
  {
    // Nearly always there is nothing to be done; then nobody waits.
    const InodeLocks::Shared lock(locks_, inode);
    const FileState* state = states_.Find(inode);
    if (state == nullptr || (state->attributes.nlink > 0 && state->handles > 0)) return;
  }
  const InodeLocks::Exclusive lock(locks_, {inode});
  FileState* state = states_.Find(inode);
  if (state == nullptr) return;
  if (state->attributes.nlink == 0) {
    state->forgotten = true;
    if (state->handles == 0) DropDirty(*state);
  }
  states_.DropIfIdle(*state);
}

Result<Lsn> Core::CommitWithDirty(FileState* state, Change change) {
  // What is changed of a removed inode is changed in memory, and so its bytes stay there.
  if (state == nullptr || !state->IsDirty() || StaysRemoved(*state, change)) {
    return Commit(std::move(change));
  }
  return CommitDirty(*state, std::move(change));
}

Result<Lsn> Core::CommitDirty(FileState& state, Change change) {
  const std::uint64_t bytes_before = state.buffer.bytes();
  const BodyId body = state.attributes.body;
  std::optional<DataCounts::Count> data;
  if (state.attributes.sparse && DataCounts::ChangedBy(change).empty()) {
    data = data_counts_.With(volume_.Now(), body, state.buffer.Ranges());
  }
  const std::vector<WriteChunkPieces> chunks = state.buffer.Take();
  std::vector<Operation> operations;
  operations.reserve(chunks.size() + change.operations.size());
  for (const WriteChunkPieces& chunk : chunks) {
    operations.push_back(WriteChunk{body, chunk.chunk, chunk.pieces});
  }
  std::move(change.operations.begin(), change.operations.end(), std::back_inserter(operations));
  change.operations = std::move(operations);
  Result<Lsn> lsn = Commit(std::move(change));
  if (!lsn.ok()) {
    state.buffer.Restore(chunks);
    return lsn;
  }
  state.last_change = *lsn;
  if (data) data_counts_.Set(body, *data);
  SetDirtyMark(state, bytes_before);
  return lsn;
}

Status Core::Cut(InodeId inode) {
  FileState* state = states_.Find(inode);
  // Nobody will ever see a version of a file without a name: its bytes wait for the last close.
  if (state == nullptr || state->attributes.nlink == 0) return {};
  return CutState(*state);
}

Status Core::CutState(FileState& state) {
  if (!state.IsDirty()) return {};
  Change change;
  change.kind = ChangeKind::kWrite;
  // A removed inode's bytes go to its body alone: opened anew, it finds them there.
  if (!state.removed) change.operations.push_back(PutInode{state.inode, state.attributes});
  RETURN_IF_ERROR(CommitDirty(state, std::move(change)));
  return {};
}

void Core::SetDirtyMark(const FileState& state, std::uint64_t bytes_before) {
  const std::uint64_t bytes_now = state.buffer.bytes();
  dirty_bytes_ += bytes_now - bytes_before;  // wraps as it should when there are fewer
  if ((bytes_now == 0) == (bytes_before == 0)) return;
  auto dirty = dirty_since_.Lock();
  if (bytes_now == 0) {
    dirty->erase(state.inode);
  } else {
    dirty->emplace(state.inode, std::chrono::steady_clock::now());
  }
}

void Core::AddDirty(FileState& state, std::uint64_t offset, ByteSpan bytes) {
  const std::uint64_t bytes_before = state.buffer.bytes();
  state.buffer.Write(offset, bytes);
  SetDirtyMark(state, bytes_before);
}

void Core::DropDirty(FileState& state) {
  const std::uint64_t bytes_before = state.buffer.bytes();
  state.buffer.Clear();
  SetDirtyMark(state, bytes_before);
}

std::vector<Core::Dirty> Core::ListDirty() const {
  std::vector<Dirty> list;
  for (auto dirty = dirty_since_.Lock(); const auto& [inode, since] : *dirty) {
    list.push_back({inode, since});
  }
  std::sort(list.begin(), list.end(),
            [](const Dirty& a, const Dirty& b) { return a.since < b.since; });
  return list;
}

Status Core::CutOne(InodeId inode) {
  const InodeLocks::Exclusive lock(locks_, {inode});
  RETURN_IF_ERROR(Cut(inode));
  if (FileState* state = states_.Find(inode)) states_.DropIfIdle(*state);
  return {};
}

Status Core::CutOlderThan(std::chrono::steady_clock::duration age) {
  Status first_error;
  const auto now = std::chrono::steady_clock::now();
  for (const Dirty& dirty : ListDirty()) {
    if (now - dirty.since < age) break;
    const Status status = CutOne(dirty.inode);
    if (!status.ok() && first_error.ok()) first_error = status;
  }
  return first_error;
}

Status Core::CutDownTo(std::uint64_t bytes) {
  for (const Dirty& dirty : ListDirty()) {
    if (dirty_bytes_ <= bytes) break;
    const InodeLocks::Exclusive lock(locks_, {dirty.inode});
    FileState* state = states_.Find(dirty.inode);
    if (state == nullptr) continue;
    RETURN_IF_ERROR(CutState(*state));  // memory is short: files without a name are cut as well
    states_.DropIfIdle(*state);
  }
  return {};
}

Status Core::CutAll() {
  ASSIGN_OR_RETURN(const Gate::Visit visit, BeginChange());
  return CutOlderThan(std::chrono::steady_clock::duration::zero());
}

Status Core::CheckSpace(std::uint64_t bytes) {
  if (volume_.CheckSpace(dirty_bytes_ + bytes).ok()) return {};
  RETURN_IF_ERROR(CutDownTo(0));
  return volume_.CheckSpace(dirty_bytes_ + bytes);
}

}  // namespace varve
