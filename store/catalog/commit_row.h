// Rows of the table `commits`: each holds a run of commits, so that one costs a few bytes and not a
// row of its own. Which commits share a row follows from their sequence alone, not from how they
// were batched: two catalogs of one history have the same rows.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "store/catalog/catalog.h"

namespace varve {

// A row is full with so many commits, or as soon as it has so many bytes.
inline constexpr std::size_t kCommitsOfARow = 64;
inline constexpr std::size_t kFullRowBytes = 1024;

// A commit as it stands in a row; `touched` points into the row's bytes.
struct CommitInRow {
  Lsn lsn;
  TimeNs time_ns = 0;
  ChangeKind kind{};
  ByteSpan touched;  // as EncodeTouched writes it
};

// The commits of a row, oldest first, at least one. kCorrupt on any bound broken.
Result<std::vector<CommitInRow>> DecodeCommitRow(Lsn first, ByteSpan bytes);

// A row that grows at its end.
class CommitRow {
 public:
  CommitRow() = default;
  // The table's last row, to be gone on with.
  static Result<CommitRow> Decode(Lsn first, ByteSpan bytes);

  bool empty() const { return count_ == 0; }
  bool full() const { return count_ >= kCommitsOfARow || out_.size() >= kFullRowBytes; }
  // `commit` comes after all that is in it.
  void Add(const CommitInRow& commit);

  Lsn first() const { return first_; }
  ByteSpan bytes() const { return out_.bytes(); }

 private:
  Encoder out_;
  std::size_t count_ = 0;
  Lsn first_;
  Lsn last_;
  TimeNs last_time_ns_ = 0;
};

}  // namespace varve
