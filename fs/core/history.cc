#include "fs/core/history.h"

#include <algorithm>
#include <utility>

#include "fs/core/attributes.h"
#include "fs/core/when.h"

namespace varve {

std::string History::JoinPath(const std::string& directory, std::string_view name) {
  return (directory == "/" ? directory : directory + "/") + std::string(name);
}

Result<Lsn> History::Resolve(std::string_view text) {
  Volume& volume = core_.volume();
  const TimeNs now = core_.Now();
  ASSIGN_OR_RETURN(const When when, ParseWhen(text, now));
  if (const auto* name = std::get_if<std::string>(&when)) {
    ASSIGN_OR_RETURN(const std::vector<SnapshotRecord> snapshots, volume.Snapshots());
    for (const SnapshotRecord& snapshot : snapshots) {
      if (snapshot.name == *name) return snapshot.lsn;
    }
    return Error(ErrorCode::kNotFound,
                 "there is no snapshot '" + *name + "', and it does not read as a time either");
  }
  if (const auto* lsn = std::get_if<Lsn>(&when)) {
    if (*lsn <= volume.last_lsn()) return *lsn;
    return Error(ErrorCode::kInvalidArgument, "history ends at @" +
                                                  std::to_string(volume.last_lsn().value) +
                                                  ", before " + std::string(text));
  }
  const TimeNs time_ns = std::get<TimeNs>(when);
  if (time_ns >= now - kNsPerSecond) {
    // What has been written until now belongs to now. A failure to cut is the writers' to hear of,
    // at their next flush; the past can be read all the same.
    static_cast<void>(core_.CutAll());
  }
  if (time_ns == now) return volume.last_lsn();  // also when the clock has been set back
  return volume.LsnAtTime(time_ns);
}

Result<InodeId> History::FormerDirectory(InodeId directory, std::string_view name) {
  ASSIGN_OR_RETURN(const std::vector<Reign> reigns, ReignsOf(directory, name));
  for (auto reign = reigns.rbegin(); reign != reigns.rend(); ++reign) {
    if (reign->entry && S_ISDIR(reign->entry->type)) return reign->entry->inode;
  }
  return InodeId{};
}

Result<History::Place> History::Locate(std::string_view path, Directories directories) {
  Place place;
  place.inode = kRootInode;
  place.is_directory = true;
  const View now = core_.volume().Now();
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    if (name.empty() || name == ".") continue;
    RETURN_IF_ERROR(CheckName(name));
    if (!place.is_directory && directories == Directories::kEver) {
      ASSIGN_OR_RETURN(const InodeId former, FormerDirectory(place.parent, place.name));
      place.is_directory = former != InodeId{};
      if (place.is_directory) place.inode = former;
    }
    if (!place.inode) {
      return Error(ErrorCode::kNotFound, "'" + std::string(path) + "': there is no '" + place.name +
                                             "' now; name the directory by its present path");
    }
    if (!place.is_directory) {
      return Error(ErrorCode::kNotDirectory,
                   "'" + std::string(path) + "': '" + place.name + "' is not a directory");
    }
    ASSIGN_OR_RETURN(const std::optional<Entry> entry, now.Lookup(place.inode, name));
    place.parent = place.inode;
    place.name = name;
    place.inode = entry ? entry->inode : InodeId{};
    place.is_directory = entry && S_ISDIR(entry->type);
  }
  return place;
}

Result<std::vector<History::Reign>> History::ReignsOf(InodeId directory, std::string_view name) {
  ASSIGN_OR_RETURN(std::vector<EntryVersion> versions,
                   core_.volume().EntryHistory(directory, name));
  std::sort(versions.begin(), versions.end(),
            [](const EntryVersion& a, const EntryVersion& b) { return a.from < b.from; });
  std::vector<Reign> reigns;
  for (EntryVersion& version : versions) {
    if (!reigns.empty()) reigns.back().until = version.from;
    reigns.push_back({version.from, kLsnNow, std::move(version.entry)});
  }
  return reigns;
}

Result<CommitRecord> History::CommitAt(Lsn lsn) {
  std::optional<CommitRecord> found;
  RETURN_IF_ERROR(core_.volume().ForEachCommit(lsn, lsn, Catalog::Order::kOldestFirst,
                                               [&](const CommitRecord& commit) -> Result<bool> {
                                                 found = commit;
                                                 return false;
                                               }));
  if (!found) {
    return Error(ErrorCode::kCorrupt,
                 "the record of change @" + std::to_string(lsn.value) + " is missing");
  }
  return *std::move(found);
}

Result<bool> History::ChangedContent(const InodeVersion& version, const InodeAttributes& before,
                                     const CommitRecord& commit) const {
  const InodeAttributes& after = *version.attributes;
  if (after.size != before.size || after.body != before.body) return true;
  const auto touches = [&](const std::pair<BodyId, ChunkIndex>& chunk) {
    return chunk.first == after.body;
  };
  return std::any_of(commit.chunks.begin(), commit.chunks.end(), touches) ||
         std::any_of(commit.cuts.begin(), commit.cuts.end(), touches);
}

Result<std::vector<FileVersion>> History::VersionsOf(InodeId directory, std::string_view name) {
  ASSIGN_OR_RETURN(const std::vector<Reign> reigns, ReignsOf(directory, name));
  std::vector<FileVersion> versions;
  for (const Reign& reign : reigns) {
    if (!reign.entry || !S_ISREG(reign.entry->type)) continue;
    const InodeId inode = reign.entry->inode;
    ASSIGN_OR_RETURN(const std::vector<InodeVersion> history, core_.volume().InodeHistory(inode));
    ASSIGN_OR_RETURN(const View at_start, core_.volume().At(reign.from));
    ASSIGN_OR_RETURN(std::optional<InodeAttributes> attributes, at_start.GetInode(inode));
    if (!attributes) continue;
    ASSIGN_OR_RETURN(const TimeNs start_ns, core_.volume().TimeOf(reign.from));
    versions.push_back({reign.from, start_ns, inode, *attributes, {}});
    for (const InodeVersion& version : history) {
      if (version.from <= reign.from || version.from >= reign.until) continue;
      if (!version.attributes) continue;
      ASSIGN_OR_RETURN(const CommitRecord commit, CommitAt(version.from));
      ASSIGN_OR_RETURN(const bool changed, ChangedContent(version, *attributes, commit));
      attributes = version.attributes;
      if (changed) {
        versions.push_back({version.from, commit.time_ns, inode, *version.attributes, {}});
      }
    }
  }
  for (std::size_t i = 0, same = 1; i < versions.size(); ++i) {
    same = i > 0 && versions[i].time_ns == versions[i - 1].time_ns ? same + 1 : 1;
    versions[i].file_name = FormatTimeForName(versions[i].time_ns);
    if (same > 1) versions[i].file_name += "." + std::to_string(same);
  }
  return versions;
}

Status History::Log(std::string_view path, const Visit& visit) {
  static_cast<void>(core_.CutAll());  // as in Resolve
  ASSIGN_OR_RETURN(const Place place, Locate(path, Directories::kEver));
  return place.is_directory ? LogDirectory(place.inode, visit) : LogFile(place, visit);
}

Status History::LogFile(const Place& place, const Visit& visit) {
  ASSIGN_OR_RETURN(const std::vector<Reign> reigns, ReignsOf(place.parent, place.name));
  if (reigns.empty()) {
    return Error(ErrorCode::kNotFound, "there has never been a '" + place.name + "' in " +
                                           core_.volume().PathOf(place.parent, kLsnNow));
  }
  for (auto reign = reigns.rbegin(); reign != reigns.rend(); ++reign) {
    ASSIGN_OR_RETURN(const bool more, LogReign(place, *reign, visit));
    if (!more) break;
  }
  return {};
}

Result<bool> History::LogReign(const Place& place, const Reign& reign, const Visit& visit) {
  Volume& volume = core_.volume();
  const auto describe = [&](Lsn lsn,
                            const std::optional<InodeAttributes>& attributes) -> Result<LogRecord> {
    ASSIGN_OR_RETURN(const CommitRecord commit, CommitAt(lsn));
    LogRecord record;
    record.lsn = lsn;
    record.time_ns = commit.time_ns;
    record.kind = commit.kind;
    record.path = JoinPath(volume.PathOf(place.parent, lsn), place.name);
    record.deleted = !attributes;
    if (attributes) {
      record.size = attributes->size;
      record.mode = attributes->mode;
    }
    return record;
  };
  std::optional<InodeAttributes> first;
  if (reign.entry) {
    ASSIGN_OR_RETURN(std::vector<InodeVersion> history, volume.InodeHistory(reign.entry->inode));
    std::sort(history.begin(), history.end(),
              [](const InodeVersion& a, const InodeVersion& b) { return a.from > b.from; });
    for (const InodeVersion& version : history) {
      if (version.from >= reign.until || version.from <= reign.from) continue;
      ASSIGN_OR_RETURN(const LogRecord record, describe(version.from, version.attributes));
      if (record.kind == ChangeKind::kMaintenance) continue;  // nobody's doing
      if (!visit(record)) return false;
    }
    ASSIGN_OR_RETURN(const View view, volume.At(reign.from));
    ASSIGN_OR_RETURN(first, view.GetInode(reign.entry->inode));
  }
  ASSIGN_OR_RETURN(const LogRecord record, describe(reign.from, first));
  return visit(record);
}

Status History::CreateSnapshot(std::string_view name) {
  RETURN_IF_ERROR(CheckSnapshotName(name));
  Lsn lsn;
  {
    ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
    const std::lock_guard lock(core_.snapshot_mutex());
    ASSIGN_OR_RETURN(const std::vector<SnapshotRecord> taken, core_.volume().Snapshots());
    for (const SnapshotRecord& snapshot : taken) {
      if (snapshot.name == name) {
        return Error(ErrorCode::kExists, "snapshot '" + std::string(name) + "' exists");
      }
    }
    RETURN_IF_ERROR(core_.CutOlderThan(std::chrono::steady_clock::duration::zero()));
    PutSnapshot put{std::string(name), core_.volume().last_lsn(), 0};
    ASSIGN_OR_RETURN(put.time_ns, core_.volume().TimeOf(put.lsn));
    Change change;
    change.kind = ChangeKind::kSnapshot;
    change.operations.push_back(std::move(put));
    ASSIGN_OR_RETURN(lsn, core_.volume().Commit(std::move(change)));
  }
  return core_.volume().Sync(lsn);
}

Status History::DeleteSnapshot(std::string_view name) {
  Lsn lsn;
  {
    ASSIGN_OR_RETURN(const Gate::Visit visit, core_.BeginChange());
    const std::lock_guard lock(core_.snapshot_mutex());
    ASSIGN_OR_RETURN(const std::vector<SnapshotRecord> taken, core_.volume().Snapshots());
    const bool known = std::any_of(taken.begin(), taken.end(), [&](const SnapshotRecord& snapshot) {
      return snapshot.name == name;
    });
    if (!known) {
      return Error(ErrorCode::kNotFound, "there is no snapshot '" + std::string(name) + "'");
    }
    Change change;
    change.kind = ChangeKind::kSnapshot;
    change.operations.push_back(RemoveSnapshot{std::string(name)});
    ASSIGN_OR_RETURN(lsn, core_.volume().Commit(std::move(change)));
  }
  return core_.volume().Sync(lsn);
}

}  // namespace varve
