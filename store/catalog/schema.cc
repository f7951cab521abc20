#include "store/catalog/schema.h"

#include <array>
#include <string>

#include "store/catalog/disk_vfs.h"

namespace varve {
namespace {

// History is keyed (key…, from_lsn) and only ever grows: a row says what the key means from that
// LSN on, until the next row of the key. A tombstone says that it means nothing.
constexpr const char* kTables[] = {
    "CREATE TABLE meta ("
    "  id INTEGER PRIMARY KEY CHECK (id = 1), volume_uuid BLOB NOT NULL,"
    "  generation INTEGER NOT NULL, applied_lsn INTEGER NOT NULL,"
    "  applied_time_ns INTEGER NOT NULL, highest_id INTEGER NOT NULL) STRICT",
    // Attributes as EncodeAttributes writes them. Tombstone: NULL.
    "CREATE TABLE inode ("
    "  ino INTEGER NOT NULL, from_lsn INTEGER NOT NULL, attributes BLOB,"
    "  PRIMARY KEY (ino, from_lsn)) STRICT, WITHOUT ROWID",
    // Tombstone: ino is 0.
    "CREATE TABLE entry ("
    "  parent INTEGER NOT NULL, name BLOB NOT NULL, from_lsn INTEGER NOT NULL,"
    "  ino INTEGER NOT NULL, type INTEGER NOT NULL, cookie INTEGER NOT NULL,"
    "  PRIMARY KEY (parent, name, from_lsn)) STRICT, WITHOUT ROWID",
    // For naming an inode of which only the directory is known.
    "CREATE INDEX entry_of_inode ON entry (ino, parent) WHERE ino <> 0",
    // The present's entries in the order of their cookies. The name is in the key so that two
    // entries with one cookie, which must not be, could not hide each other.
    "CREATE TABLE listing ("
    "  parent INTEGER NOT NULL, cookie INTEGER NOT NULL, name BLOB NOT NULL,"
    "  ino INTEGER NOT NULL, type INTEGER NOT NULL,"
    "  PRIMARY KEY (parent, cookie, name)) STRICT, WITHOUT ROWID",
    // Pieces are a chunk's whole state. Tombstone: an empty blob.
    "CREATE TABLE chunk ("
    "  body INTEGER NOT NULL, idx INTEGER NOT NULL, from_lsn INTEGER NOT NULL,"
    "  pieces BLOB NOT NULL, PRIMARY KEY (body, idx, from_lsn)) STRICT, WITHOUT ROWID",
    // Tombstone: value is NULL.
    "CREATE TABLE xattr ("
    "  ino INTEGER NOT NULL, name BLOB NOT NULL, from_lsn INTEGER NOT NULL, value BLOB,"
    "  PRIMARY KEY (ino, name, from_lsn)) STRICT, WITHOUT ROWID",
    // The first time that an inode had a body.
    "CREATE TABLE body_owner ("
    "  body INTEGER NOT NULL, ino INTEGER NOT NULL, from_lsn INTEGER NOT NULL,"
    "  PRIMARY KEY (body, ino)) STRICT, WITHOUT ROWID",
    "CREATE TABLE segment (id INTEGER PRIMARY KEY, descriptor BLOB NOT NULL) STRICT",
    // The id says the segment in its upper bits; bytes are those on all disks together.
    "CREATE TABLE stripe ("
    "  id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, descriptor BLOB NOT NULL) STRICT",
    // A run of commits a row (commit_row.h); the last row grows until it is full.
    "CREATE TABLE commits (first_lsn INTEGER PRIMARY KEY, changes BLOB NOT NULL) STRICT",
    "CREATE TABLE snapshot ("
    "  name BLOB PRIMARY KEY, lsn INTEGER NOT NULL, time_ns INTEGER NOT NULL)"
    "  STRICT, WITHOUT ROWID",
    "CREATE TABLE orphan (ino INTEGER PRIMARY KEY) STRICT",
};

constexpr std::array kContentTables = {
    CatalogTable{"inode", "SELECT * FROM inode"},
    CatalogTable{"entry", "SELECT * FROM entry"},
    CatalogTable{"listing", "SELECT * FROM listing"},
    CatalogTable{"chunk", "SELECT * FROM chunk"},
    CatalogTable{"xattr", "SELECT * FROM xattr"},
    CatalogTable{"body_owner", "SELECT * FROM body_owner"},
    CatalogTable{"segment", "SELECT * FROM segment"},
    CatalogTable{"stripe", "SELECT * FROM stripe"},
    CatalogTable{"commits", "SELECT * FROM commits"},
    CatalogTable{"snapshot", "SELECT * FROM snapshot"},
    CatalogTable{"orphan", "SELECT * FROM orphan"},
};

constexpr const char* kInsertMeta =
    "INSERT INTO meta (id, volume_uuid, generation, applied_lsn, applied_time_ns, highest_id) "
    "VALUES (1, ?1, ?2, 0, 0, 0)";
constexpr const char* kReadMeta =
    "SELECT volume_uuid, generation, applied_lsn, applied_time_ns, highest_id FROM meta";
constexpr const char* kWriteProgress =
    "UPDATE meta SET applied_lsn = ?1, applied_time_ns = ?2, highest_id = ?3 WHERE id = 1";

Error Corrupt(const std::string& what) {
  return Error(ErrorCode::kCorrupt, std::string(kCatalogObject) + ": " + what);
}

}  // namespace

std::span<const CatalogTable> ContentTables() { return kContentTables; }

Status ConfigureConnection(Database& database, std::uint64_t cache_bytes) {
  const std::uint64_t cache_kib = std::max<std::uint64_t>(cache_bytes / 1024, 256);
  for (const std::string& pragma : {
           "cache_size = -" + std::to_string(cache_kib),
           std::string("temp_store = memory"),
           std::string("mmap_size = 0"),
           std::string("secure_delete = 0"),
           std::string("cell_size_check = on"),
           std::string("trusted_schema = off"),
           std::string("foreign_keys = off"),
           // In the log mode: the log is synced before it is folded, the database after.
           std::string("synchronous = normal"),
           std::string("wal_autocheckpoint = 0"),
       }) {
    RETURN_IF_ERROR(database.Execute("PRAGMA " + pragma));
  }
  return {};
}

Status CreateSchema(Database& database, const CatalogIdentity& identity) {
  RETURN_IF_ERROR(database.Execute("PRAGMA page_size = " + std::to_string(kCatalogPageBytes)));
  RETURN_IF_ERROR(database.Execute("PRAGMA auto_vacuum = none"));
  ASSIGN_OR_RETURN([[maybe_unused]] const int before, database.ReservePageEnd(kPageChecksumBytes));
  // Nothing is undone and nothing synced until BeginLog: a catalog half made is made anew.
  RETURN_IF_ERROR(database.LeaveOutJournal());
  RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  for (const char* table : kTables) RETURN_IF_ERROR(database.Execute(table));
  RETURN_IF_ERROR(
      database.Execute("PRAGMA application_id = " + std::to_string(kCatalogApplicationId)));
  RETURN_IF_ERROR(database.Execute("PRAGMA user_version = " + std::to_string(kCatalogVersion)));
  RETURN_IF_ERROR(
      database.Run(kInsertMeta, ByteSpan(identity.volume_uuid.bytes), identity.generation));
  return database.Execute("COMMIT");
}

Status BeginLog(Database& database) {
  ASSIGN_OR_RETURN(const std::string mode, database.Word("PRAGMA journal_mode = wal"));
  if (mode != "wal") return Error(ErrorCode::kUnsupported, "SQLite refuses its log mode: " + mode);
  // An empty transaction: there is a log for the others to open.
  RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(database.Execute("PRAGMA user_version = " + std::to_string(kCatalogVersion)));
  RETURN_IF_ERROR(database.Execute("COMMIT"));
  // From here on the file has a log to be recovered from, and is what it says even after a power
  // cut.
  ASSIGN_OR_RETURN([[maybe_unused]] const LogSize size, database.FoldLog(Fold::kTruncate));
  return {};
}

Result<CatalogProgress> CheckSchema(Database& database, const CatalogIdentity& identity) {
  ASSIGN_OR_RETURN(const std::int64_t application, database.Number("PRAGMA application_id"));
  if (application != kCatalogApplicationId) return Corrupt("not a Varve catalog");
  ASSIGN_OR_RETURN(const std::int64_t version, database.Number("PRAGMA user_version"));
  if (version > kCatalogVersion) {
    return Error(ErrorCode::kUnsupported, std::string(kCatalogObject) + ": has version " +
                                              std::to_string(version) + ", this program knows " +
                                              std::to_string(kCatalogVersion));
  }
  if (version != kCatalogVersion) {
    return Corrupt("has version " + std::to_string(version) + ", not " +
                   std::to_string(kCatalogVersion));
  }
  ASSIGN_OR_RETURN(const std::int64_t page_bytes, database.Number("PRAGMA page_size"));
  ASSIGN_OR_RETURN(const int reserved, database.ReservePageEnd(-1));
  if (page_bytes != kCatalogPageBytes || reserved != kPageChecksumBytes) {
    return Corrupt("has pages of another shape");
  }
  ASSIGN_OR_RETURN(const std::string mode, database.Word("PRAGMA journal_mode"));
  if (mode != "wal") return Corrupt("is not in log mode");

  ASSIGN_OR_RETURN(Query meta, database.Ask(kReadMeta));
  ASSIGN_OR_RETURN(const bool row, meta->Step());
  if (!row) return Corrupt("says nothing of its volume");
  Uuid uuid;
  const ByteSpan stored = meta->Blob(0);
  if (stored.size() != uuid.bytes.size()) return Corrupt("has no volume uuid");
  std::copy(stored.begin(), stored.end(), uuid.bytes.begin());
  if (uuid != identity.volume_uuid) {
    return Error(ErrorCode::kStale, std::string(kCatalogObject) + ": belongs to volume " +
                                        uuid.ToString() + ", not " +
                                        identity.volume_uuid.ToString());
  }
  if (meta->U64(1) != identity.generation) {
    return Error(ErrorCode::kStale, std::string(kCatalogObject) + ": is of generation " +
                                        std::to_string(meta->U64(1)) + ", not " +
                                        std::to_string(identity.generation));
  }
  CatalogProgress progress;
  progress.applied_lsn = Lsn(meta->U64(2));
  progress.applied_time_ns = meta->Int(3);
  progress.highest_id = meta->U64(4);
  if (meta->Int(2) < 0 || meta->Int(4) < 0) return Corrupt("says it has applied nonsense");
  return progress;
}

Status WriteProgress(Database& database, const CatalogProgress& progress) {
  return database.Run(kWriteProgress, progress.applied_lsn.value, progress.applied_time_ns,
                      progress.highest_id);
}

}  // namespace varve
