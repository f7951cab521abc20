#include "fs/core/directory_listing.h"

#include <algorithm>
#include <utility>

#include "fs/core/attributes.h"

namespace varve {
namespace {

// Offsets: 1 after ".", 2 after "..", 3 after a visible ".snapshots", then the cookie of the entry
// and this. Cookies are never used again, so an offset stays where it is whatever is created or
// removed meanwhile.
constexpr std::uint64_t kAfterSelf = 1;
constexpr std::uint64_t kAfterParent = 2;
constexpr std::uint64_t kAfterSnapshots = 3;
// Entries fetched at once. A kernel that asks for 4 KiB at a time takes some 30 with attributes,
// and some 100 names.
constexpr std::size_t kFirstPageEntries = 32;
constexpr std::size_t kFirstPageNames = 128;
constexpr std::size_t kMostPageEntries = 256;

// "." and ".." count no reference, so they name no node; their numbers are all that is asked for.
DirectoryEntry Dot(std::string name, std::uint64_t inode_number, std::uint64_t next) {
  DirectoryEntry entry;
  entry.name = std::move(name);
  entry.attributes.stat.st_ino = inode_number;
  entry.attributes.stat.st_mode = S_IFDIR;
  entry.next = next;
  return entry;
}

}  // namespace

Status DirectoryListing::ListDirectory(DirectoryHandle& directory, std::uint64_t offset, List list,
                                       const Visit& visit) {
  return directory.past ? ListPast(directory, offset, list, visit)
                        : ListPresent(directory, offset, list, visit);
}

Result<bool> DirectoryListing::VisitPresent(const Entry& entry, List list, const Visit& visit) {
  DirectoryEntry out;
  out.name = entry.name;
  out.next = entry.cookie + kAfterSnapshots;
  if (list == List::kPlus) {
    const Result<InodeAttributes> attributes = [&] {  // the visitor is called without locks
      const Gate::Visit look = core_.BeginLook();
      const InodeLocks::Shared lock(core_.locks(), entry.inode);
      return core_.Load(entry.inode);
    }();
    if (!attributes.ok()) {
      if (attributes.error().code() == ErrorCode::kStale) return true;  // removed meanwhile
      return attributes.error();
    }
    ASSIGN_OR_RETURN(out.attributes, core_.Describe(entry.inode, *attributes));
  } else {
    out.attributes.node = NodeId(entry.inode.value);
    out.attributes.stat.st_ino = entry.inode.value;
    out.attributes.stat.st_mode = entry.type;
  }
  return visit(out);
}

Status DirectoryListing::ListPresent(DirectoryHandle& directory, std::uint64_t offset, List list,
                                     const Visit& taker) {
  const InodeId inode = directory.inode;
  const std::lock_guard handle_lock(directory.mutex);
  if (offset == 0 || offset < directory.from || offset > directory.to) {
    directory.upto = core_.volume().NextId();
  }
  directory.from = offset;
  directory.to = offset;
  const Visit visit = [&](const DirectoryEntry& entry) {
    const bool taken = taker(entry);
    if (taken) directory.to = entry.next;
    return taken;
  };
  InodeAttributes attributes;
  {
    const Gate::Visit look = core_.BeginLook();
    const InodeLocks::Shared lock(core_.locks(), inode);
    ASSIGN_OR_RETURN(attributes, core_.Load(inode));
    core_.NoteRead(inode, attributes);
  }
  if (offset < kAfterSelf && !visit(Dot(".", inode.value, kAfterSelf))) return {};
  if (offset < kAfterParent && !visit(Dot("..", attributes.parent.value, kAfterParent))) return {};
  if (attributes.nlink == 0) return {};  // removed while open
  if (offset < kAfterSnapshots && core_.options().snapdir == SnapshotDirectory::kVisible) {
    PastNode snapshots;
    snapshots.kind = PastNode::Kind::kSnapshots;
    snapshots.inode = inode;
    ASSIGN_OR_RETURN(const bool more,
                     VisitPast({std::string(kSnapshotsName), snapshots, S_IFDIR, 0}, list, visit));
    if (!more) return {};
  }
  Cookie after = offset > kAfterSnapshots ? offset - kAfterSnapshots : 0;
  const std::size_t first = list == List::kPlus ? kFirstPageEntries : kFirstPageNames;
  for (std::size_t wanted = first;; wanted = std::min(2 * wanted, kMostPageEntries)) {
    std::vector<Entry> page;
    {
      const Gate::Visit look = core_.BeginLook();
      ASSIGN_OR_RETURN(page, core_.volume().Now().List(inode, after, wanted));
    }
    for (const Entry& entry : page) {
      if (entry.cookie >= directory.upto) return {};
      ASSIGN_OR_RETURN(const bool more, VisitPresent(entry, list, visit));
      if (!more) return {};
      after = entry.cookie;
    }
    if (page.size() < wanted) return {};
  }
}

Result<bool> DirectoryListing::VisitPast(const PastTree::Item& item, List list,
                                         const Visit& visit) {
  DirectoryEntry out;
  out.name = item.name;
  out.next = item.cookie + kAfterSnapshots;
  if (list == List::kNames) {
    out.attributes.stat.st_ino = PastInodeNumber(item.node);
    out.attributes.stat.st_mode = item.type;
    return visit(out);
  }
  ASSIGN_OR_RETURN(const struct stat stat, past_.GetStat(item.node));
  out.attributes = past_.Acquire(item.node, stat);
  const bool more = visit(out);
  if (!more) past_.Forget(out.attributes.node, 1);
  return more;
}

Status DirectoryListing::ListPast(DirectoryHandle& directory, std::uint64_t offset, List list,
                                  const Visit& visit) {
  const PastNode& node = *directory.past;
  if (offset < kAfterSelf && !visit(Dot(".", PastInodeNumber(node), kAfterSelf))) return {};
  if (offset < kAfterParent) {
    std::uint64_t number = node.inode.value;  // above `.snapshots` is the present
    if (node.kind != PastNode::Kind::kSnapshots) {
      ASSIGN_OR_RETURN(const PastNode parent, past_.ParentOf(node));
      number = PastInodeNumber(parent);
    }
    if (!visit(Dot("..", number, kAfterParent))) return {};
  }
  const std::lock_guard lock(directory.mutex);
  if (offset < kAfterSnapshots) directory.page = {};  // from the beginning: look again
  Cookie seen = offset > kAfterSnapshots ? offset - kAfterSnapshots : 0;
  for (;;) {
    if (!directory.page.GoesOnFrom(seen)) RETURN_IF_ERROR(TurnTo(directory, seen));
    const auto& items = directory.page.items;
    const auto first = std::upper_bound(
        items.begin(), items.end(), seen,
        [](Cookie cookie, const PastTree::Item& item) { return cookie < item.cookie; });
    for (auto item = first; item != items.end(); ++item) {
      ASSIGN_OR_RETURN(const bool more, VisitPast(*item, list, visit));
      if (!more) return {};
    }
    if (directory.page.upto == PastTree::Page::kEnd) return {};
    seen = directory.page.upto;
  }
}

Status DirectoryListing::TurnTo(DirectoryHandle& directory, Cookie seen) {
  const PastNode& node = *directory.past;
  if (node.kind != PastNode::Kind::kThen) {
    ASSIGN_OR_RETURN(directory.page, past_.List(node, seen));
    return {};
  }
  // Pages that nobody has been to are gone through, once.
  std::vector<std::string>& ends = directory.page_ends;
  const std::uint64_t wanted = seen / PastTree::kPageItems;
  for (std::uint64_t number = std::min<std::uint64_t>(wanted, ends.size());; ++number) {
    const std::string_view after = number == 0 ? std::string_view() : ends[number - 1];
    ASSIGN_OR_RETURN(directory.page, past_.ListThen(node, number * PastTree::kPageItems, after));
    if (directory.page.upto == PastTree::Page::kEnd) return {};
    if (number == ends.size()) ends.push_back(directory.page.items.back().name);
    if (number == wanted) return {};
  }
}

}  // namespace varve
