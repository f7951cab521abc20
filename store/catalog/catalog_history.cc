// Time and history.
#include <algorithm>
#include <map>

#include "store/catalog/catalog_impl.h"
#include "store/catalog/commit_row.h"
#include "store/catalog/rows.h"
#include "store/catalog/touched.h"

namespace varve {
namespace {

constexpr const char* kCommitsAt =
    "SELECT first_lsn, changes FROM commits WHERE first_lsn <= ?1 ORDER BY first_lsn DESC LIMIT 1";
// The first commits wanted may stand in a row that begins before them.
#define VARVE_COMMIT_ROWS                                                          \
  "SELECT first_lsn, changes FROM commits WHERE first_lsn <= ?2 AND first_lsn >= " \
  "coalesce((SELECT max(first_lsn) FROM commits WHERE first_lsn <= ?1), ?1) ORDER BY first_lsn "
constexpr const char* kCommitsUp = VARVE_COMMIT_ROWS "LIMIT ?3";
constexpr const char* kCommitsDown = VARVE_COMMIT_ROWS "DESC LIMIT ?3";
#undef VARVE_COMMIT_ROWS
constexpr const char* kEntryVersions =
    "SELECT name, ino, type, cookie, from_lsn FROM entry "
    "WHERE parent = ?1 AND name = ?2 ORDER BY from_lsn";
constexpr const char* kInodeVersions =
    "SELECT from_lsn, attributes FROM inode WHERE ino = ?1 ORDER BY from_lsn";
constexpr const char* kNamesOf =
    "SELECT name, from_lsn FROM entry INDEXED BY entry_of_inode "
    "WHERE ino = ?1 AND ino <> 0 AND parent = ?2 AND from_lsn <= ?3";
constexpr const char* kAllNamesOf =
    "SELECT parent, name, from_lsn FROM entry INDEXED BY entry_of_inode "
    "WHERE ino = ?1 AND ino <> 0 AND from_lsn <= ?2";
constexpr const char* kSnapshots = "SELECT name, lsn, time_ns FROM snapshot ORDER BY lsn, name";
constexpr const char* kOrphans = "SELECT ino FROM orphan ORDER BY ino";

// Rows of commits read before the connection is given back and they are visited.
constexpr std::uint64_t kCommitRowsAtOnce = 8;

struct Moment {
  std::uint64_t lsn = 0;
  TimeNs time_ns = 0;
};

// The last commit at or before `lsn`.
Result<std::optional<Moment>> ReadMoment(Database& database, std::uint64_t lsn) {
  ASSIGN_OR_RETURN(const Query query, database.Ask(kCommitsAt, lsn));
  ASSIGN_OR_RETURN(const bool row, query->Step());
  if (!row) return std::optional<Moment>();
  ASSIGN_OR_RETURN(const auto commits, DecodeCommitRow(Lsn(query->U64(0)), query->Blob(1)));
  Moment moment;
  for (const CommitInRow& commit : commits) {
    if (commit.lsn.value > lsn) break;
    moment = {commit.lsn.value, commit.time_ns};
  }
  return std::optional<Moment>(moment);
}

struct CommitsRead {
  std::vector<CommitRecord> commits;
  bool more = false;  // there may be
};

// The next rows' commits of those wanted, in the order asked for.
Result<CommitsRead> ReadCommits(Database& database, std::uint64_t first, std::uint64_t last,
                                Catalog::Order order) {
  CommitsRead read;
  const bool up = order == Catalog::Order::kOldestFirst;
  ASSIGN_OR_RETURN(const Query query,
                   database.Ask(up ? kCommitsUp : kCommitsDown, first, last, kCommitRowsAtOnce));
  std::uint64_t rows = 0;
  for (;; ++rows) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) break;
    ASSIGN_OR_RETURN(auto commits, DecodeCommitRow(Lsn(query->U64(0)), query->Blob(1)));
    if (!up) std::reverse(commits.begin(), commits.end());
    for (const CommitInRow& in_row : commits) {
      if (in_row.lsn.value < first || in_row.lsn.value > last) continue;
      CommitRecord commit;
      commit.lsn = in_row.lsn;
      commit.time_ns = in_row.time_ns;
      commit.kind = in_row.kind;
      RETURN_IF_ERROR(DecodeTouched(in_row.touched, commit));
      read.commits.push_back(std::move(commit));
    }
  }
  read.more = rows == kCommitRowsAtOnce && !read.commits.empty();
  return read;
}

}  // namespace

Result<Lsn> Catalog::LsnAt(TimeNs time_ns) {
  const auto reader = impl_->readers.Take();
  // Times never decrease with LSNs. Up to `low` no change is later than the time (or there is
  // none); from `high`+1 on every change is.
  std::uint64_t low = 0;
  std::uint64_t high = applied_lsn().value;
  while (low < high) {
    const std::uint64_t middle = low + (high - low + 1) / 2;
    ASSIGN_OR_RETURN(const auto moment, ReadMoment(*reader, middle));
    if (!moment || moment->time_ns <= time_ns) {
      low = middle;
    } else {
      high = moment->lsn - 1;
    }
    if (low > high) return BadRow("commits", "times out of order");
  }
  ASSIGN_OR_RETURN(const auto moment, ReadMoment(*reader, low));
  return moment ? Lsn(moment->lsn) : Lsn();
}

Result<std::optional<TimeNs>> Catalog::TimeOf(Lsn lsn) {
  const auto reader = impl_->readers.Take();
  ASSIGN_OR_RETURN(const auto moment, ReadMoment(*reader, impl_->Clamp(lsn).value));
  if (!moment) return std::optional<TimeNs>();
  return std::optional<TimeNs>(moment->time_ns);
}

Status Catalog::ForEachCommit(Lsn first, Lsn last, Order order,
                              const std::function<Result<bool>(const CommitRecord&)>& visit) {
  std::uint64_t low = first.value;
  std::uint64_t high = impl_->Clamp(last).value;
  while (low <= high) {
    CommitsRead read;
    {
      // The connection is given back before visiting, so that the visitor may ask the catalog too.
      const auto reader = impl_->readers.Take();
      ASSIGN_OR_RETURN(read, ReadCommits(*reader, low, high, order));
    }
    for (const CommitRecord& commit : read.commits) {
      ASSIGN_OR_RETURN(const bool go_on, visit(commit));
      if (!go_on) return {};
    }
    if (!read.more) return {};
    const std::uint64_t reached = read.commits.back().lsn.value;
    if (order == Order::kOldestFirst) {
      low = reached + 1;
    } else {
      if (reached == 0) return {};
      high = reached - 1;
    }
  }
  return {};
}

Result<std::vector<EntryVersion>> Catalog::EntryHistory(InodeId parent, std::string_view name) {
  const auto reader = impl_->readers.Take();
  std::vector<EntryVersion> versions;
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kEntryVersions, parent.value, name));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return versions;
    ASSIGN_OR_RETURN(auto entry, ReadEntry(*query, 0, parent));
    versions.push_back({Lsn(query->U64(4)), std::move(entry)});
  }
}

Result<std::vector<InodeVersion>> Catalog::InodeHistory(InodeId inode) {
  const auto reader = impl_->readers.Take();
  std::vector<InodeVersion> versions;
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kInodeVersions, inode.value));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return versions;
    ASSIGN_OR_RETURN(auto attributes, ReadAttributes(*query, 1, inode));
    versions.push_back({Lsn(query->U64(0)), std::move(attributes)});
  }
}

Result<std::optional<std::string>> Catalog::NameOf(InodeId parent, InodeId inode, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  std::vector<std::pair<std::uint64_t, std::string>> candidates;
  {
    ASSIGN_OR_RETURN(const Query query,
                     reader->Ask(kNamesOf, inode.value, parent.value, moment.value));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, query->Step());
      if (!row) break;
      candidates.emplace_back(query->U64(1), query->Text(0));
    }
  }
  // The name given last, of those that still meant the inode then.
  std::sort(candidates.rbegin(), candidates.rend());
  for (auto& [from, name] : candidates) {
    ASSIGN_OR_RETURN(const auto entry, ReadEntryAt(*reader, parent, name, moment));
    if (entry && entry->inode == inode) return std::optional<std::string>(std::move(name));
  }
  return std::optional<std::string>();
}

Result<std::vector<Catalog::Link>> Catalog::LinksOf(InodeId inode, Lsn at) {
  const Lsn moment = impl_->Clamp(at);
  const auto reader = impl_->readers.Take();
  std::map<std::pair<InodeId, std::string>, std::uint64_t> given;  // when last
  {
    ASSIGN_OR_RETURN(const Query query, reader->Ask(kAllNamesOf, inode.value, moment.value));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, query->Step());
      if (!row) break;
      auto& from = given[{InodeId(query->U64(0)), query->Text(1)}];
      from = std::max(from, query->U64(2));
    }
  }
  std::vector<std::pair<std::uint64_t, Link>> found;
  for (const auto& [place, from] : given) {
    ASSIGN_OR_RETURN(const auto entry, ReadEntryAt(*reader, place.first, place.second, moment));
    if (entry && entry->inode == inode) found.push_back({from, {place.first, place.second}});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Link> links;
  links.reserve(found.size());
  for (auto& [from, link] : found) links.push_back(std::move(link));
  return links;
}

Result<std::optional<Catalog::Link>> Catalog::LinkOf(InodeId inode, InodeId likely, Lsn at) {
  if (likely) {
    ASSIGN_OR_RETURN(auto name, NameOf(likely, inode, at));
    if (name) return std::optional<Link>({likely, *std::move(name)});
  }
  ASSIGN_OR_RETURN(std::vector<Link> links, LinksOf(inode, at));
  if (links.empty()) return std::optional<Link>();
  return std::optional<Link>(std::move(links.front()));
}

Result<std::vector<SnapshotRecord>> Catalog::Snapshots() {
  const auto reader = impl_->readers.Take();
  std::vector<SnapshotRecord> snapshots;
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kSnapshots));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return snapshots;
    snapshots.push_back({query->Text(0), Lsn(query->U64(1)), query->Int(2)});
  }
}

Result<std::vector<InodeId>> Catalog::Orphans() {
  const auto reader = impl_->readers.Take();
  std::vector<InodeId> orphans;
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kOrphans));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return orphans;
    orphans.emplace_back(query->U64(0));
  }
}

}  // namespace varve
