// A small RAII wrapper over SQLite: Database is one connection, Statement one prepared statement,
// Query a borrowed cached statement with its values bound. Errors are Results with SQLite's
// message.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "store/base/bytes.h"
#include "store/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace varve {

class DiskVfs;

// SQLite's integers are signed; numbers beyond are clamped, which as a bound ("<= now") means the
// same and as a key finds nothing, for no such key is ever stored.
std::int64_t ToSql(std::uint64_t value);

class Statement {
 public:
  Statement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Parameters count from 1. Bytes are not copied: they must live until Reset.
  void Bind(int index, std::int64_t value);
  void Bind(int index, ByteSpan bytes);
  void Bind(int index, std::nullptr_t);
  void Bind(int index, std::string_view bytes) { Bind(index, AsBytes(bytes)); }
  // Clamped, see ToSql.
  template <std::unsigned_integral T>
  void Bind(int index, T value) {
    Bind(index, ToSql(value));
  }

  // True: there is a row to look at.
  Result<bool> Step();
  // Ends the run and forgets the values; harmless at any time.
  void Reset();

  // Columns count from 0. A column of another type than asked for makes Step's row untrue: look at
  // is_blob and is_integer where it matters. Bytes live until the next Step or Reset.
  std::int64_t Int(int column) const;
  std::uint64_t U64(int column) const { return static_cast<std::uint64_t>(Int(column)); }
  ByteSpan Blob(int column) const;
  std::string Text(int column) const { return std::string(AsText(Blob(column))); }
  // Length of a blob without reading its overflow pages.
  std::size_t BlobSize(int column) const;
  bool IsNull(int column) const;
  bool IsInteger(int column) const;
  int columns() const;

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;
  int bind_error_ = 0;
};

// A cached statement in use; resets it at the end, so that no read transaction stays open.
class Query {
 public:
  explicit Query(Statement* statement) : statement_(statement) {}
  ~Query() {
    if (statement_ != nullptr) statement_->Reset();
  }
  Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Query& operator=(Query&& other) = delete;
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Statement* operator->() const { return statement_; }
  Statement& operator*() const { return *statement_; }

 private:
  Statement* statement_;
};

struct LogSize {
  std::uint64_t frames = 0;  // in SQLite's log
  std::uint64_t folded = 0;  // of them in the database file
};

enum class OpenDatabase { kExisting, kCreate };
enum class Fold { kPassive, kTruncate };

// One connection, used by one thread at a time. The DiskVfs outlives it.
class Database {
 public:
  static Result<std::unique_ptr<Database>> Open(const DiskVfs& vfs, std::string_view object,
                                                OpenDatabase mode);
  // Takes the connection over.
  explicit Database(sqlite3* db) : db_(db) {}
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs statements without values and without looking at rows.
  Status Execute(const std::string& sql);
  // The first column of the first row; kCorrupt if there is none.
  Result<std::int64_t> Number(const std::string& sql);
  Result<std::string> Word(const std::string& sql);

  // `sql` must be a string that lives as long as the program: statements are cached by its address.
  template <typename... Values>
  Result<Query> Ask(const char* sql, const Values&... values) {
    ASSIGN_OR_RETURN(Statement * statement, Cached(sql));
    Query query(statement);
    int index = 0;
    (statement->Bind(++index, values), ...);
    return query;
  }
  // For statements that answer no rows.
  template <typename... Values>
  Status Run(const char* sql, const Values&... values) {
    ASSIGN_OR_RETURN(Query query, Ask(sql, values...));
    ASSIGN_OR_RETURN([[maybe_unused]] bool row, query->Step());
    return {};
  }

  bool InTransaction() const;
  // Frames in SQLite's log after the last commit of this connection, from TrackLog on; 0 if there
  // was none.
  void TrackLog();
  std::uint64_t log_frames() const { return log_frames_; }
  // Moves SQLite's log into the database file. kBusy: a reader or writer is in the way.
  Result<LogSize> FoldLog(Fold how);
  // Closing neither folds the log nor removes it.
  void LeaveLogOnClose();
  // From now on, until a log mode is chosen and `synchronous` is set: no journal and no sync.
  // Nothing can be rolled back.
  Status LeaveOutJournal();
  // Bytes kept free at the end of each page. Set before the database has pages; `bytes` < 0 asks.
  Result<int> ReservePageEnd(int bytes);

 private:
  Result<Statement*> Cached(const char* sql);

  sqlite3* db_;
  std::uint64_t log_frames_ = 0;
  std::unordered_map<const char*, std::unique_ptr<Statement>> statements_;
};

}  // namespace varve
