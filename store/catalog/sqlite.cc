#include "store/catalog/sqlite.h"

#include <sqlite3.h>

#include <limits>

#include "store/catalog/disk_vfs.h"

namespace varve {
namespace {

constexpr int kBusyTimeoutMs = 10'000;

ErrorCode CodeOf(int rc) {
  if (rc == SQLITE_IOERR_DATA || rc == SQLITE_IOERR_CORRUPTFS) return ErrorCode::kCorrupt;
  switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    // The SQL here is fixed and right for the schema, so what it trips over is the file's content.
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return ErrorCode::kCorrupt;
    case SQLITE_FULL:
      return ErrorCode::kNoSpace;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kBusy;
    case SQLITE_READONLY:
      return ErrorCode::kReadOnly;
    case SQLITE_TOOBIG:
      return ErrorCode::kTooLarge;
    case SQLITE_INTERRUPT:
      return ErrorCode::kCancelled;
    default:
      return ErrorCode::kIo;
  }
}

// What the disk itself said is more precise than SQLite's code for it.
Error MakeError(sqlite3* db, int rc, std::string_view what) {
  const int primary = rc & 0xff;
  if (primary == SQLITE_IOERR || primary == SQLITE_FULL || primary == SQLITE_CANTOPEN) {
    if (auto disk_error = DiskVfs::TakeError()) return disk_error->In(what);
  }
  std::string message(what);
  message += ": ";
  message += db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
  message += " (SQLite " + std::to_string(rc) + ")";
  return Error(CodeOf(rc), std::move(message));
}

}  // namespace

std::int64_t ToSql(std::uint64_t value) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  return value > static_cast<std::uint64_t>(kMax) ? kMax : static_cast<std::int64_t>(value);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::Bind(int index, std::int64_t value) {
  if (const int rc = sqlite3_bind_int64(statement_, index, value); rc != SQLITE_OK) {
    bind_error_ = rc;
  }
}

void Statement::Bind(int index, ByteSpan bytes) {
  // A null pointer would bind NULL, which is not an empty blob.
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  const int rc = sqlite3_bind_blob64(statement_, index, data, bytes.size(), SQLITE_STATIC);
  if (rc != SQLITE_OK) bind_error_ = rc;
}

void Statement::Bind(int index, std::nullptr_t) {
  if (const int rc = sqlite3_bind_null(statement_, index); rc != SQLITE_OK) bind_error_ = rc;
}

Result<bool> Statement::Step() {
  if (bind_error_ != 0) {
    return Error(CodeOf(bind_error_),
                 std::string("catalog: binding a value: ") + sqlite3_errstr(bind_error_));
  }
  const int rc = sqlite3_step(statement_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return MakeError(db_, rc, "catalog");
}

void Statement::Reset() {
  sqlite3_reset(statement_);  // repeats the error of Step, which has been answered already
  sqlite3_clear_bindings(statement_);
  bind_error_ = 0;
}

std::int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

ByteSpan Statement::Blob(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size_bytes = sqlite3_column_bytes(statement_, column);
  if (data == nullptr || size_bytes <= 0) return {};
  return {static_cast<const std::byte*>(data), static_cast<std::size_t>(size_bytes)};
}

std::size_t Statement::BlobSize(int column) const {
  return static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

bool Statement::IsInteger(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_INTEGER;
}

int Statement::columns() const { return sqlite3_column_count(statement_); }

Result<std::unique_ptr<Database>> Database::Open(const DiskVfs& vfs, std::string_view object,
                                                 OpenDatabase mode) {
  const std::string name(object);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  if (mode == OpenDatabase::kCreate) flags |= SQLITE_OPEN_CREATE;
  sqlite3* handle = nullptr;
  const int rc = sqlite3_open_v2(name.c_str(), &handle, flags, vfs.name().c_str());
  auto database = std::make_unique<Database>(handle);
  if (rc != SQLITE_OK) return MakeError(handle, rc, "opening " + name);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  // What is stored is data, never instructions.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  return database;
}

Database::~Database() {
  statements_.clear();
  sqlite3_close_v2(db_);
}

Status Database::Execute(const std::string& sql) {
  const int rc = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return MakeError(db_, rc, "catalog: " + sql.substr(0, 60));
  return {};
}

Result<std::int64_t> Database::Number(const std::string& sql) {
  ASSIGN_OR_RETURN(const std::string word, Word(sql));
  std::int64_t value = 0;
  for (const char c : word) {
    if (c < '0' || c > '9') return Error(ErrorCode::kCorrupt, "catalog: " + sql + ": " + word);
    value = (value * 10 + (c - '0')) & std::numeric_limits<std::int64_t>::max();
  }
  return value;
}

Result<std::string> Database::Word(const std::string& sql) {
  sqlite3_stmt* handle = nullptr;
  const int rc = sqlite3_prepare_v2(db_, sql.c_str(), -1, &handle, nullptr);
  if (rc != SQLITE_OK) return MakeError(db_, rc, "catalog: " + sql);
  Statement statement(db_, handle);
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return Error(ErrorCode::kCorrupt, "catalog: " + sql + ": no answer");
  return statement.Text(0);
}

Result<Statement*> Database::Cached(const char* sql) {
  if (const auto found = statements_.find(sql); found != statements_.end()) {
    return found->second.get();
  }
  sqlite3_stmt* handle = nullptr;
  const int rc = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (rc != SQLITE_OK) return MakeError(db_, rc, "catalog: preparing a statement");
  auto& statement = statements_[sql];
  statement = std::make_unique<Statement>(db_, handle);
  return statement.get();
}

bool Database::InTransaction() const { return sqlite3_get_autocommit(db_) == 0; }

void Database::TrackLog() {
  sqlite3_wal_hook(
      db_,
      [](void* self, sqlite3*, const char*, int frames) {
        static_cast<Database*>(self)->log_frames_ = static_cast<std::uint64_t>(frames);
        return SQLITE_OK;
      },
      this);
}

Result<LogSize> Database::FoldLog(Fold how) {
  int frames = 0;
  int folded = 0;
  const int mode = how == Fold::kPassive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
  const int rc = sqlite3_wal_checkpoint_v2(db_, nullptr, mode, &frames, &folded);
  if (rc != SQLITE_OK) return MakeError(db_, rc, "folding the catalog's log");
  if (how == Fold::kTruncate) log_frames_ = 0;
  LogSize size;
  size.frames = frames > 0 ? static_cast<std::uint64_t>(frames) : 0;
  size.folded = folded > 0 ? static_cast<std::uint64_t>(folded) : 0;
  return size;
}

void Database::LeaveLogOnClose() {
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

Status Database::LeaveOutJournal() {
  // SQLite allows it only to those who have said that they know what they do.
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
  auto mode = Word("PRAGMA journal_mode = off");
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (!mode.ok()) return mode.error();
  if (*mode != "off") {
    return Error(ErrorCode::kUnsupported, "SQLite insists on a journal: " + *mode);
  }
  return Execute("PRAGMA synchronous = off");
}

Result<int> Database::ReservePageEnd(int bytes) {
  int value = bytes;
  const int rc = sqlite3_file_control(db_, "main", SQLITE_FCNTL_RESERVE_BYTES, &value);
  if (rc != SQLITE_OK) return MakeError(db_, rc, "catalog: reserving bytes of pages");
  return value;
}

}  // namespace varve
