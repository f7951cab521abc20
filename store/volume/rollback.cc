#include "store/volume/rollback.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>

#include "store/volume/rollback_touched.h"

namespace varve {
namespace {

constexpr std::size_t kPage = 1024;

bool IsDirectory(std::uint32_t mode_or_type) { return (mode_or_type & S_IFMT) == S_IFDIR; }

Result<std::map<std::string, Entry>> ListAll(const View& view, InodeId directory) {
  std::map<std::string, Entry> all;
  Cookie after = 0;
  std::string after_name;
  while (true) {
    ASSIGN_OR_RETURN(std::vector<Entry> page, view.IsNow()
                                                  ? view.List(directory, after, kPage)
                                                  : view.ListThen(directory, after_name, kPage));
    if (page.empty()) return all;
    after = page.back().cookie;
    after_name = page.back().name;
    const bool last = page.size() < kPage;
    for (Entry& entry : page) {
      std::string name = entry.name;
      all.emplace(std::move(name), std::move(entry));
    }
    if (last) return all;
  }
}

// Plans the rollback of one directory. T is the tree below it then, N the tree below it now. Only
// directories on the way to something touched are looked into ("marked"), for a file by any of its
// names.
class TreeRollback {
 public:
  TreeRollback(Volume& volume, InodeId root, const View& then)
      : volume_(volume),
        root_(root),
        then_(then),
        now_(volume.Now()),
        budget_(volume.max_rollback_bytes()) {}

  Result<RollbackPlan> Plan() {
    ASSIGN_OR_RETURN(touched_, CollectTouched(volume_, then_.at()));
    if (touched_.inodes.empty() && touched_.entries.empty()) return std::move(plan_);
    time_ns_ = volume_.NextTime();
    ASSIGN_OR_RETURN(marked_, MarkWays(volume_, then_, touched_));
    RETURN_IF_ERROR(WalkNow(root_));
    RETURN_IF_ERROR(Reconcile(root_));
    RETURN_IF_ERROR(FinishFiles());
    plan_.change.kind = ChangeKind::kRollback;
    plan_.bytes = budget_.taken_bytes();
    return std::move(plan_);
  }

 private:
  struct File {
    std::uint32_t links_now_inside = 0;   // links in N that were looked at
    std::uint32_t links_then_inside = 0;  // links in T for which the inode itself comes back
    std::uint32_t kept = 0;  // links in T for which it serves unchanged, though linked outside too
    bool wanted = false;     // comes back as itself
  };

  Status Put(Operation operation) {
    RETURN_IF_ERROR(budget_.Take(operation));
    plan_.change.operations.push_back(std::move(operation));
    return {};
  }

  bool LookInto(InodeId directory) const { return marked_.contains(directory); }

  // Counts the links of files in N and remembers which directories are in it.
  Status WalkNow(InodeId directory) {
    inside_now_.insert(directory);
    if (!LookInto(directory)) return {};
    ASSIGN_OR_RETURN(auto entries, ListAll(now_, directory));
    for (const auto& [name, entry] : entries) {
      if (IsDirectory(entry.type)) {
        RETURN_IF_ERROR(WalkNow(entry.inode));
      } else {
        ++files_[entry.inode].links_now_inside;
      }
    }
    entries_now_[directory] = std::move(entries);
    return {};
  }

  // Makes `directory`, which stays or comes back under its own inode, what it was: its attributes,
  // its entries, and what is below.
  Status Reconcile(InodeId directory) {
    reconciled_.insert(directory);
    RETURN_IF_ERROR(RestoreDirectory(directory));
    if (!LookInto(directory)) return {};
    ASSIGN_OR_RETURN(auto want, ListAll(then_, directory));
    const auto have_it = entries_now_.find(directory);
    const std::map<std::string, Entry> none;
    const std::map<std::string, Entry>& have =
        have_it == entries_now_.end() ? none : have_it->second;
    for (const auto& [name, entry] : have) {
      auto wanted = want.find(name);
      if (wanted != want.end() && wanted->second == entry) continue;
      if (wanted == want.end()) {
        RETURN_IF_ERROR(Put(RemoveEntry{directory, name}));
        plan_.entries.push_back({directory, name});
      }
      if (wanted == want.end() || wanted->second.inode != entry.inode) {
        Drop(entry);
      }
    }
    for (const auto& [name, entry] : want) {
      auto present = have.find(name);
      const bool same_inode = present != have.end() && present->second.inode == entry.inode;
      RETURN_IF_ERROR(
          Want(directory, entry, same_inode, present != have.end() && present->second == entry));
    }
    return {};
  }

  // An entry of N goes away. Files are counted in the end; directories that T does not know are
  // emptied, those it knows are reconciled where it wants them.
  void Drop(const Entry& entry) {
    if (IsDirectory(entry.type)) dropped_directories_.push_back(entry.inode);
  }

  Status Want(InodeId parent, const Entry& entry, bool same_inode, bool same_entry) {
    Entry wanted = entry;
    if (IsDirectory(entry.type)) {
      ASSIGN_OR_RETURN(bool stays, CanStay(entry.inode));
      if (stays) {
        parents_then_[entry.inode] = parent;
        RETURN_IF_ERROR(Reconcile(entry.inode));
      } else {
        ASSIGN_OR_RETURN(wanted.inode, CopyTree(entry.inode, parent));
      }
    } else {
      ASSIGN_OR_RETURN(wanted.inode, WantFile(entry.inode, parent, same_inode));
    }
    if (same_entry && wanted.inode == entry.inode) return {};
    RETURN_IF_ERROR(Put(PutEntry{parent, wanted}));
    plan_.entries.push_back({parent, wanted.name});
    return {};
  }

  // A directory of T can come back as itself if it is in N or nowhere at present.
  Result<bool> CanStay(InodeId directory) {
    if (inside_now_.contains(directory)) return true;
    ASSIGN_OR_RETURN(auto attributes, now_.GetInode(directory));
    return !attributes || attributes->nlink == 0;
  }

  // A file of T comes back as itself if nothing outside links it now; else as a copy, one for all
  // its links in T. A file that nobody touched is left alone.
  Result<InodeId> WantFile(InodeId inode, InodeId parent, bool same_inode) {
    if (same_inode && !touched_.inodes.contains(inode)) {
      ++files_[inode].kept;
      return inode;
    }
    if (auto copy = copies_.find(inode); copy != copies_.end()) {
      ++copied_links_[copy->second];
      return copy->second;
    }
    ASSIGN_OR_RETURN(auto attributes, now_.GetInode(inode));
    const std::uint32_t links_now = attributes ? attributes->nlink : 0;
    if (links_now == files_[inode].links_now_inside) {
      File& file = files_[inode];
      file.wanted = true;
      ++file.links_then_inside;
      parents_then_[inode] = parent;
      return inode;
    }
    ASSIGN_OR_RETURN(bool changed, Differs(inode));
    if (!changed) {
      ++files_[inode].kept;
      return inode;
    }
    return CopyFile(inode, parent);
  }

  // Whether the file itself (not its links) is other than it was.
  Result<bool> Differs(InodeId inode) {
    ASSIGN_OR_RETURN(auto want, then_.GetInode(inode));
    ASSIGN_OR_RETURN(auto have, now_.GetInode(inode));
    if (!want || !have) return true;
    if (want->body != have->body || want->size != have->size || want->mode != have->mode ||
        want->uid != have->uid || want->gid != have->gid || want->mtime_ns != have->mtime_ns) {
      return true;
    }
    RollbackBudget passing(volume_.max_rollback_bytes());  // nothing of it is kept
    ASSIGN_OR_RETURN(auto chunks, RestoreChunks(then_, now_, want->body, touched_, passing));
    ASSIGN_OR_RETURN(auto xattrs, RestoreXattrs(then_, now_, inode, touched_, passing));
    return !chunks.empty() || !xattrs.empty();
  }

  Result<InodeId> CopyFile(InodeId inode, InodeId parent) {
    ASSIGN_OR_RETURN(auto attributes, then_.GetInode(inode));
    if (!attributes) return Missing(inode);
    const InodeId copy{volume_.AllocateId()};
    copies_[inode] = copy;
    copied_links_[copy] = 1;
    InodeAttributes fresh = *attributes;
    fresh.parent = parent;
    fresh.ctime_ns = time_ns_;
    if (attributes->body) {
      fresh.body = BodyId{volume_.AllocateId()};
      ASSIGN_OR_RETURN(auto chunks, CopyChunks(then_, attributes->body, fresh.body, budget_));
      Append(plan_.change.operations, std::move(chunks));
    }
    ASSIGN_OR_RETURN(auto xattrs, CopyXattrs(then_, inode, copy, budget_));
    Append(plan_.change.operations, std::move(xattrs));
    copied_attributes_[copy] = fresh;
    return copy;
  }

  // A directory that lives outside now comes back as a copy, whole.
  Result<InodeId> CopyTree(InodeId directory, InodeId parent) {
    ASSIGN_OR_RETURN(auto attributes, then_.GetInode(directory));
    if (!attributes) return Missing(directory);
    const InodeId copy{volume_.AllocateId()};
    InodeAttributes fresh = *attributes;
    fresh.parent = parent;
    fresh.ctime_ns = time_ns_;
    RETURN_IF_ERROR(Put(PutInode{copy, fresh}));
    ASSIGN_OR_RETURN(auto xattrs, CopyXattrs(then_, directory, copy, budget_));
    Append(plan_.change.operations, std::move(xattrs));
    ASSIGN_OR_RETURN(auto entries, ListAll(then_, directory));
    for (auto& [name, entry] : entries) {
      if (IsDirectory(entry.type)) {
        ASSIGN_OR_RETURN(bool stays, CanStay(entry.inode));
        if (stays) {
          parents_then_[entry.inode] = copy;
          RETURN_IF_ERROR(Reconcile(entry.inode));
        } else {
          ASSIGN_OR_RETURN(entry.inode, CopyTree(entry.inode, copy));
        }
      } else {
        ASSIGN_OR_RETURN(entry.inode, WantFile(entry.inode, copy, false));
      }
      RETURN_IF_ERROR(Put(PutEntry{copy, entry}));
    }
    return copy;
  }

  Status RestoreDirectory(InodeId directory) {
    if (!touched_.inodes.contains(directory) && !parents_then_.contains(directory)) return {};
    ASSIGN_OR_RETURN(auto want, then_.GetInode(directory));
    if (!want) return Missing(directory);
    ASSIGN_OR_RETURN(auto have, now_.GetInode(directory));
    InodeAttributes restored = *want;
    if (directory == root_) {
      // Where the directory itself is, is not below it.
      if (!have) return Missing(directory);
      restored.parent = have->parent;
    } else {
      restored.parent = parents_then_[directory];
    }
    if (have && *have == restored) return {};
    restored.ctime_ns = time_ns_;
    RETURN_IF_ERROR(Put(PutInode{directory, restored}));
    plan_.inodes.push_back(directory);
    ASSIGN_OR_RETURN(auto xattrs, RestoreXattrs(then_, now_, directory, touched_, budget_));
    Append(plan_.change.operations, std::move(xattrs));
    return {};
  }

  // Directories that left N and that T does not want anywhere: emptied and unlinked.
  Status EmptyDropped() {
    for (std::size_t i = 0; i < dropped_directories_.size(); ++i) {
      const InodeId directory = dropped_directories_[i];
      if (reconciled_.contains(directory)) continue;
      auto known = entries_now_.find(directory);
      std::map<std::string, Entry> entries;
      if (known != entries_now_.end()) {
        entries = known->second;
      } else {
        ASSIGN_OR_RETURN(entries, ListAll(now_, directory));
        for (const auto& [name, entry] : entries) {
          if (!IsDirectory(entry.type)) ++files_[entry.inode].links_now_inside;
        }
      }
      for (const auto& [name, entry] : entries) {
        RETURN_IF_ERROR(Put(RemoveEntry{directory, name}));
        plan_.entries.push_back({directory, name});
        Drop(entry);
      }
      ASSIGN_OR_RETURN(auto attributes, now_.GetInode(directory));
      if (!attributes) continue;
      attributes->nlink = 0;
      attributes->ctime_ns = time_ns_;
      RETURN_IF_ERROR(Put(PutInode{directory, *attributes}));
      plan_.inodes.push_back(directory);
    }
    return {};
  }

  Status FinishFiles() {
    RETURN_IF_ERROR(EmptyDropped());
    for (const auto& [inode, file] : files_) {
      if (file.wanted) {
        RETURN_IF_ERROR(RestoreFile(inode, file));
      } else if (file.kept != file.links_now_inside) {
        RETURN_IF_ERROR(RecountFile(inode, file));
      }
    }
    for (auto& [copy, attributes] : copied_attributes_) {
      attributes.nlink = copied_links_[copy];
      RETURN_IF_ERROR(Put(PutInode{copy, attributes}));
    }
    return {};
  }

  Status RestoreFile(InodeId inode, const File& file) {
    ASSIGN_OR_RETURN(auto want, then_.GetInode(inode));
    if (!want) return Missing(inode);
    ASSIGN_OR_RETURN(auto have, now_.GetInode(inode));
    want->nlink = file.links_then_inside + file.kept;
    want->parent = parents_then_[inode];
    std::vector<Operation> operations;
    if (want->body) {
      ASSIGN_OR_RETURN(operations, RestoreChunks(then_, now_, want->body, touched_, budget_));
    }
    ASSIGN_OR_RETURN(auto xattrs, RestoreXattrs(then_, now_, inode, touched_, budget_));
    Append(operations, std::move(xattrs));
    if (operations.empty() && have && *have == *want) return {};
    want->ctime_ns = time_ns_;
    Append(plan_.change.operations, std::move(operations));
    RETURN_IF_ERROR(Put(PutInode{inode, *want}));
    plan_.inodes.push_back(inode);
    return {};
  }

  // The file stays what it is; its links in N give way to those the plan keeps.
  Status RecountFile(InodeId inode, const File& file) {
    ASSIGN_OR_RETURN(auto attributes, now_.GetInode(inode));
    if (!attributes) return {};
    attributes->nlink =
        attributes->nlink - std::min(attributes->nlink, file.links_now_inside) + file.kept;
    attributes->ctime_ns = time_ns_;
    RETURN_IF_ERROR(Put(PutInode{inode, *attributes}));
    plan_.inodes.push_back(inode);
    return {};
  }

  static Error Missing(InodeId inode) {
    return Error(ErrorCode::kCorrupt, "the catalog lists inode " + std::to_string(inode.value) +
                                          " in a directory of that time but does not know it; run "
                                          "varve fsck");
  }

  Volume& volume_;
  const InodeId root_;
  const View then_;
  const View now_;
  RollbackBudget budget_;
  TimeNs time_ns_ = 0;
  Touched touched_;
  std::unordered_set<InodeId> marked_;
  std::unordered_set<InodeId> inside_now_;  // directories of N
  std::unordered_set<InodeId> reconciled_;
  std::map<InodeId, std::map<std::string, Entry>> entries_now_;
  std::map<InodeId, File> files_;
  std::map<InodeId, InodeId> parents_then_;
  std::vector<InodeId> dropped_directories_;
  std::map<InodeId, InodeId> copies_;
  std::map<InodeId, std::uint32_t> copied_links_;
  std::map<InodeId, InodeAttributes> copied_attributes_;
  RollbackPlan plan_;
};

}  // namespace

Result<RollbackPlan> PlanTreeRollback(Volume& volume, InodeId directory, Lsn to) {
  ASSIGN_OR_RETURN(View then, volume.At(to));
  ASSIGN_OR_RETURN(auto existed, then.GetInode(directory));
  if (!existed || !IsDirectory(existed->mode)) {
    return Error(ErrorCode::kNotFound, "the directory did not exist at that time");
  }
  return TreeRollback(volume, directory, then).Plan();
}

}  // namespace varve
