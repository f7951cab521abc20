// Whole-catalog questions: is it sound, what does it add up to.
#include <sys/stat.h>

#include <array>

#include "store/catalog/catalog_impl.h"
#include "store/catalog/rows.h"
#include "store/codec/checksum.h"

namespace varve {
namespace {

// SQLite never uses the page at this byte of the file: it holds its locks there.
constexpr std::uint64_t kLockBytePage = 0x40000000 / kCatalogPageBytes + 1;
constexpr std::size_t kMostProblems = 100;

constexpr const char* kAllInodes = "SELECT ino, attributes FROM inode ORDER BY ino, from_lsn";
constexpr const char* kStripeBytes = "SELECT coalesce(sum(bytes), 0) FROM stripe";
constexpr const char* kAllEntries =
    "SELECT name, ino, type, cookie, parent FROM entry ORDER BY parent, name, from_lsn";
constexpr const char* kWholeListing = "SELECT name, ino, type, cookie, parent FROM listing";
constexpr const char* kIntegrityCheck = "PRAGMA integrity_check(100)";

bool IsZero(ByteSpan bytes) {
  for (const std::byte byte : bytes) {
    if (byte != std::byte{0}) return false;
  }
  return true;
}

// Reads every page as it lies in the file, used or not.
Status CheckPages(Disk& disk, std::vector<std::string>& problems) {
  ASSIGN_OR_RETURN(const auto file, disk.Open(kCatalogObject, OpenMode::kRead));
  ASSIGN_OR_RETURN(const std::uint64_t size_bytes, file->Size());
  if (size_bytes % kCatalogPageBytes != 0) problems.push_back("the file ends within a page");
  std::array<std::byte, kCatalogPageBytes> page;
  for (std::uint64_t number = 1; number <= size_bytes / kCatalogPageBytes; ++number) {
    if (number == kLockBytePage) continue;
    const std::uint64_t offset = (number - 1) * kCatalogPageBytes;
    ASSIGN_OR_RETURN(const std::size_t got, file->Read(offset, page));
    // Free pages that SQLite has never written are holes.
    if (got == page.size() && (PageChecksumFits(page, number) || IsZero(page))) continue;
    problems.push_back("page " + std::to_string(number) + " fails its checksum");
    if (problems.size() >= kMostProblems) break;
  }
  return {};
}

// A sum over rows, so that their order does not matter.
std::uint64_t HashRow(const Statement& row, int columns, std::uint64_t seed) {
  Encoder out;
  for (int column = 0; column < columns; ++column) {
    if (row.IsNull(column)) {
      out.U8(0);
    } else if (row.IsInteger(column)) {
      out.U8(1);
      out.I64(row.Int(column));
    } else {
      out.U8(2);
      out.Sized(row.Blob(column));
    }
  }
  return Checksum(out.bytes(), seed);
}

// The present's listing must be what the history of entries ends in.
Status CheckListing(Database& database, std::vector<std::string>& problems) {
  std::uint64_t live = 0;
  {
    ASSIGN_OR_RETURN(const Query query, database.Ask(kAllEntries));
    std::string name;
    std::uint64_t parent = 0;
    std::uint64_t hash = 0;  // of the row before, if it is live
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, query->Step());
      if (!row) break;
      const std::string_view next = AsText(query->Blob(0));
      if (next != name || query->U64(4) != parent) live += hash;
      name = next;
      parent = query->U64(4);
      hash = query->Int(1) != 0 ? HashRow(*query, 5, 0) : 0;
    }
    live += hash;
  }
  std::uint64_t listed = 0;
  ASSIGN_OR_RETURN(const Query query, database.Ask(kWholeListing));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) break;
    listed += HashRow(*query, 5, 0);
  }
  if (live != listed) problems.push_back("the present's listing is not what its history says");
  return {};
}

Status CheckStructure(Database& database, std::vector<std::string>& problems) {
  ASSIGN_OR_RETURN(const Query query, database.Ask(kIntegrityCheck));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return {};
    std::string line = query->Text(0);
    if (line != "ok") problems.push_back(std::move(line));
  }
}

// What is broken is an answer here; only what kept us from looking is an error.
Status Note(Status status, std::vector<std::string>& problems) {
  if (status.ok()) return {};
  if (status.error().code() != ErrorCode::kCorrupt) return status;
  problems.push_back(status.error().message());
  return {};
}

}  // namespace

Result<std::vector<std::string>> Catalog::CheckIntegrity() {
  std::vector<std::string> problems;
  // Nothing may be folded meanwhile: a page being written would look torn. And pages that the log
  // still holds in a newer state are to be looked at in that state.
  std::lock_guard lock(impl_->writer_mutex);
  RETURN_IF_ERROR(Note(impl_->FoldLogLocked(), problems));
  RETURN_IF_ERROR(Note(CheckPages(*impl_->disk, problems), problems));
  const auto reader = impl_->readers.Take();
  RETURN_IF_ERROR(Note(CheckStructure(*reader, problems), problems));
  RETURN_IF_ERROR(Note(CheckListing(*reader, problems), problems));
  return problems;
}

Result<std::uint64_t> Catalog::ComputeDigest() {
  const auto reader = impl_->readers.Take();
  // One read transaction: the tables as of one moment.
  RETURN_IF_ERROR(reader->Run("BEGIN"));
  const auto compute = [&]() -> Result<std::uint64_t> {
    std::uint64_t digest = 0;
    std::uint64_t seed = 0;
    for (const CatalogTable& table : ContentTables()) {
      ++seed;
      ASSIGN_OR_RETURN(const Query query, reader->Ask(table.select_all));
      for (;;) {
        ASSIGN_OR_RETURN(const bool row, query->Step());
        if (!row) break;
        digest += HashRow(*query, query->columns(), seed);
      }
    }
    return digest;
  };
  auto digest = compute();
  RETURN_IF_ERROR(reader->Run("COMMIT"));
  return digest;
}

Result<Catalog::Totals> Catalog::ComputeTotals() {
  const auto reader = impl_->readers.Take();
  Totals totals;
  {
    ASSIGN_OR_RETURN(const Query query, reader->Ask(kStripeBytes));
    ASSIGN_OR_RETURN([[maybe_unused]] const bool row, query->Step());
    totals.stripe_bytes = query->U64(0);
  }
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kAllInodes));
  InodeId inode;
  std::optional<InodeAttributes> last;
  const auto count = [&] {
    if (!last) return;
    ++totals.inodes;
    if (S_ISREG(last->mode)) totals.logical_bytes += last->size;
  };
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) break;
    const InodeId next(query->U64(0));
    if (next != inode) count();
    inode = next;
    ASSIGN_OR_RETURN(last, ReadAttributes(*query, 1, inode));
    if (last) ++totals.versions;
  }
  count();
  return totals;
}

}  // namespace varve
