#include "store/catalog/batch.h"

#include <limits>
#include <tuple>

#include "store/catalog/rows.h"
#include "store/catalog/touched.h"

namespace varve {
namespace {

constexpr const char* kLastCommits =
    "SELECT first_lsn, changes FROM commits ORDER BY first_lsn DESC LIMIT 1";
constexpr const char* kPutSnapshot =
    "INSERT OR REPLACE INTO snapshot (name, lsn, time_ns) VALUES (?1, ?2, ?3)";
constexpr const char* kRemoveSnapshot = "DELETE FROM snapshot WHERE name = ?1";

constexpr auto kLargestKey = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

// What was pending has its place by now.
void PutToRest(PieceList& pieces) {
  for (Piece& piece : pieces) {
    if (piece.pending == nullptr) continue;
    const auto place = piece.pending->place();
    CHECK(place.has_value(), "a change reaches the catalog before its bytes have a place");
    piece.extent = *place;
    piece.pending.reset();
  }
}

// Lays `over` over a chunk's whole state.
void LayOver(const PieceList& over, PieceList& state) {
  const bool hides_all = over.size() == 1 && !over.front().IsHole() &&
                         over.front().chunk_offset == 0 &&
                         (state.empty() || state.back().end() <= over.front().end());
  if (hides_all) {  // most writes are like this
    state = over;
    return PutToRest(state);
  }
  PieceList resting = over;
  PutToRest(resting);
  state = Overlay(state, resting, Holes::kDrop);
}

}  // namespace

Status Batch::NoteId(std::uint64_t id) {
  if (id >= kLargestKey) {
    return Error(ErrorCode::kInvalidArgument, "change " + std::to_string(lsn_) + ": number " +
                                                  std::to_string(id) + " is too large");
  }
  progress_.highest_id = std::max(progress_.highest_id, id);
  return {};
}

Status Batch::Add(const Change& change) {
  if (change.lsn <= progress_.applied_lsn || change.lsn.value >= kLargestKey) {
    return Error(ErrorCode::kInvalidArgument, "change " + std::to_string(change.lsn.value) +
                                                  " does not come after " +
                                                  std::to_string(progress_.applied_lsn.value));
  }
  lsn_ = change.lsn.value;
  for (const Operation& operation : change.operations) {
    RETURN_IF_ERROR(std::visit([this](const auto& op) { return Do(op); }, operation));
  }
  progress_.applied_lsn = change.lsn;
  progress_.applied_time_ns = change.time_ns;
  return AddCommit(change);
}

Status Batch::AddCommit(const Change& change) {
  if (!commits_begun_) {
    commits_begun_ = true;
    ASSIGN_OR_RETURN(const Query query, database_.Ask(kLastCommits));
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (row) {
      ASSIGN_OR_RETURN(commits_, CommitRow::Decode(Lsn(query->U64(0)), query->Blob(1)));
    }
    if (commits_.full()) commits_ = CommitRow();
  }
  touched_bytes_.Clear();
  touched_.Encode(change, touched_bytes_);
  commits_.Add({change.lsn, change.time_ns, change.kind, touched_bytes_.bytes()});
  if (!commits_.full()) return {};
  RETURN_IF_ERROR(WriteCommits());
  commits_ = CommitRow();
  return {};
}

Status Batch::Do(const PutInode& op) {
  RETURN_IF_ERROR(NoteId(op.inode.value));
  RETURN_IF_ERROR(NoteId(op.attributes.body.value));
  RETURN_IF_ERROR(NoteId(op.attributes.parent.value));
  const std::size_t begin = bytes_.size();
  EncodeAttributes(op.attributes, bytes_);
  inodes_.push_back(
      {op.inode.value, lsn_, {begin, bytes_.size() - begin}, op.attributes.nlink == 0});
  const BodyId body = op.attributes.body;
  if (body && !latest_.HasOwner(body.value, op.inode.value)) {
    body_owners_.push_back({body.value, op.inode.value, lsn_});
    latest_.PutOwner(body.value, op.inode.value);
  }
  return {};
}

Status Batch::Do(const RemoveInode& op) {
  RETURN_IF_ERROR(NoteId(op.inode.value));
  inodes_.push_back({op.inode.value, lsn_, {}});
  return {};
}

Status Batch::Do(const PutEntry& op) {
  RETURN_IF_ERROR(NoteId(op.parent.value));
  RETURN_IF_ERROR(NoteId(op.entry.inode.value));
  RETURN_IF_ERROR(NoteId(op.entry.cookie));
  entries_.push_back({op.parent.value, op.entry.name, lsn_, &op.entry});
  return {};
}

Status Batch::Do(const RemoveEntry& op) {
  RETURN_IF_ERROR(NoteId(op.parent.value));
  entries_.push_back({op.parent.value, op.name, lsn_, nullptr});
  return {};
}

Status Batch::Do(const PutXattr& op) {
  RETURN_IF_ERROR(NoteId(op.inode.value));
  xattrs_.push_back({op.inode.value, op.name, lsn_, &op.value});
  return {};
}

Status Batch::Do(const RemoveXattr& op) {
  RETURN_IF_ERROR(NoteId(op.inode.value));
  xattrs_.push_back({op.inode.value, op.name, lsn_, nullptr});
  return {};
}

Result<PieceList*> Batch::ChunkState(BodyId body, ChunkIndex chunk) {
  const auto [it, is_new] = chunk_states_.try_emplace({body.value, chunk});
  if (!is_new) return &it->second;
  if (const PieceList* known = latest_.FindChunk(body.value, chunk)) {
    it->second = *known;
    return &it->second;
  }
  auto pieces = ReadChunk(database_, body, chunk, kLsnNow);
  if (!pieces.ok()) return pieces.error();
  it->second = std::move(pieces).value();
  return &it->second;
}

void Batch::TellLatest() {
  for (auto& [key, pieces] : chunk_states_) {
    latest_.PutChunk(key.first, key.second, std::move(pieces));
  }
}

void Batch::AddChunkRow(BodyId body, ChunkIndex chunk, const PieceList& pieces) {
  const std::size_t begin = bytes_.size();
  if (!pieces.empty()) EncodePieces(pieces, bytes_);
  // Several operations of one change on one chunk make one row: the last counts.
  chunks_.push_back({body.value, chunk, lsn_, {begin, bytes_.size() - begin}});
}

Status Batch::Do(const WriteChunk& op) {
  RETURN_IF_ERROR(NoteId(op.body.value));
  if (op.chunk >= kLargestKey) {
    return Error(ErrorCode::kInvalidArgument, "a chunk beyond any file");
  }
  ASSIGN_OR_RETURN(PieceList * state, ChunkState(op.body, op.chunk));
  LayOver(op.pieces, *state);
  AddChunkRow(op.body, op.chunk, *state);
  return {};
}

Status Batch::Do(const PutChunk& op) {
  RETURN_IF_ERROR(NoteId(op.body.value));
  if (op.chunk >= kLargestKey) {
    return Error(ErrorCode::kInvalidArgument, "a chunk beyond any file");
  }
  PieceList& state = chunk_states_[{op.body.value, op.chunk}];
  state.clear();
  LayOver(op.pieces, state);
  AddChunkRow(op.body, op.chunk, state);
  return {};
}

Status Batch::Do(const CutChunks& op) {
  RETURN_IF_ERROR(NoteId(op.body.value));
  ASSIGN_OR_RETURN(const auto stored, ReadChunkStates(database_, op.body, op.first, kLargestKey,
                                                      kLsnNow, Load::kPresence));
  for (const auto& state : stored) {
    if (state.empty) continue;
    const auto [it, is_new] = chunk_states_.try_emplace({op.body.value, state.chunk});
    if (is_new) AddChunkRow(op.body, state.chunk, {});
  }
  for (auto it = chunk_states_.lower_bound({op.body.value, op.first});
       it != chunk_states_.end() && it->first.first == op.body.value; ++it) {
    if (it->second.empty()) continue;
    it->second.clear();
    AddChunkRow(op.body, it->first.second, {});
  }
  return {};
}

Result<std::map<ChunkIndex, PieceList>> Batch::ChunkStates(BodyId body, ChunkIndex first,
                                                           std::uint64_t count, Lsn at) {
  const ChunkIndex last = first + count - 1;
  std::map<ChunkIndex, PieceList> states;
  ASSIGN_OR_RETURN(auto stored, ReadChunkStates(database_, body, first, last, at, Load::kPieces));
  for (auto& state : stored) {
    if (!state.empty) states.emplace(state.chunk, std::move(state.pieces));
  }
  if (at != kLsnNow) return states;
  for (auto it = chunk_states_.lower_bound({body.value, first});
       it != chunk_states_.end() && it->first <= std::pair(body.value, last); ++it) {
    if (it->second.empty()) {
      states.erase(it->first.second);
    } else {
      states[it->first.second] = it->second;
    }
  }
  return states;
}

Status Batch::Do(const CloneChunks& op) {
  RETURN_IF_ERROR(NoteId(op.from.value));
  RETURN_IF_ERROR(NoteId(op.to.value));
  if (std::max(op.from_first, op.to_first) >= kLargestKey - op.count) {
    return Error(ErrorCode::kInvalidArgument, "a chunk beyond any file");
  }
  ASSIGN_OR_RETURN(const auto source,
                   ChunkStates(op.from, op.from_first, op.count, op.at ? op.at : kLsnNow));
  ASSIGN_OR_RETURN(const auto before, ChunkStates(op.to, op.to_first, op.count, kLsnNow));
  const auto put = [&](ChunkIndex chunk, const PieceList& pieces) {
    chunk_states_[{op.to.value, chunk}] = pieces;
    AddChunkRow(op.to, chunk, pieces);
  };
  for (const auto& [chunk, pieces] : before) {
    if (!source.contains(chunk - op.to_first + op.from_first)) put(chunk, {});
  }
  for (const auto& [chunk, pieces] : source) put(chunk - op.from_first + op.to_first, pieces);
  return {};
}

Status Batch::Do(const PutSnapshot& op) {
  return database_.Run(kPutSnapshot, std::string_view(op.name), op.lsn.value, op.time_ns);
}

Status Batch::Do(const RemoveSnapshot& op) {
  return database_.Run(kRemoveSnapshot, std::string_view(op.name));
}

Status Batch::Do(const PutSegment& op) {
  segments_[op.segment.id.value] = &op.segment;
  return {};
}

Status Batch::Do(const PutStripe& op) {
  if (op.stripe.id.value >= kLargestKey) {
    return Error(ErrorCode::kInvalidArgument, "a stripe's number is too large");
  }
  stripes_[op.stripe.id.value] = &op.stripe;
  return {};
}

}  // namespace varve
