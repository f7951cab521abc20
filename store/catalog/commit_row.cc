#include "store/catalog/commit_row.h"

#include <string>

#include "store/base/check.h"
#include "store/catalog/rows.h"
#include "store/log/change_format.h"

namespace varve {

Result<std::vector<CommitInRow>> DecodeCommitRow(Lsn first, ByteSpan bytes) {
  const auto bad = [&](const char* why) {
    return BadRow("commits from " + std::to_string(first.value), why);
  };
  std::vector<CommitInRow> commits;
  Decoder in(bytes);
  CommitInRow commit;
  commit.lsn = first;
  while (in.ok() && in.remaining() > 0) {
    if (commits.size() == kCommitsOfARow) return bad("more than belong into a row");
    const std::uint64_t step = in.Varint();
    const bool is_first = commits.empty();
    if (is_first ? step != 0 : step == 0 || step > kLsnNow.value - commit.lsn.value) {
      return bad("out of order");
    }
    commit.lsn = Lsn(commit.lsn.value + step);
    commit.time_ns =
        static_cast<TimeNs>(static_cast<std::uint64_t>(commit.time_ns) + UnZigZag(in.Varint()));
    const std::uint8_t kind = in.U8();
    if (kind > static_cast<std::uint8_t>(ChangeKind::kMaintenance))
      return bad("of an unknown kind");
    commit.kind = static_cast<ChangeKind>(kind);
    commit.touched = in.Sized();
    commits.push_back(commit);
  }
  if (!in.ok() || commits.empty()) return bad("cut short");
  return commits;
}

Result<CommitRow> CommitRow::Decode(Lsn first, ByteSpan bytes) {
  ASSIGN_OR_RETURN(const auto commits, DecodeCommitRow(first, bytes));
  CommitRow row;
  row.out_.Raw(bytes);
  row.count_ = commits.size();
  row.first_ = first;
  row.last_ = commits.back().lsn;
  row.last_time_ns_ = commits.back().time_ns;
  return row;
}

void CommitRow::Add(const CommitInRow& commit) {
  CHECK(empty() || commit.lsn > last_, "commits come in order");
  if (empty()) first_ = last_ = commit.lsn;
  out_.Varint(commit.lsn.value - last_.value);
  out_.Varint(ZigZag(static_cast<std::uint64_t>(commit.time_ns) -
                     static_cast<std::uint64_t>(last_time_ns_)));
  out_.U8(static_cast<std::uint8_t>(commit.kind));
  out_.Sized(commit.touched);
  last_ = commit.lsn;
  last_time_ns_ = commit.time_ns;
  ++count_;
}

}  // namespace varve
