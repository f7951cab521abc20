#include "store/catalog/touched.h"

#include <algorithm>
#include <type_traits>

#include "store/log/change_check.h"

namespace varve {
namespace {

// Which lists are there.
constexpr std::uint8_t kInodes = 1;
constexpr std::uint8_t kEntries = 2;
constexpr std::uint8_t kChunks = 4;
constexpr std::uint8_t kCuts = 8;
constexpr std::uint8_t kXattrs = 16;
constexpr std::uint8_t kAllLists = 31;

template <typename T>
void SortUnique(std::vector<T>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

void EncodeMember(std::uint64_t id, Encoder& out) { out.Varint(id); }
void EncodeMember(const std::pair<std::uint64_t, std::string_view>& member, Encoder& out) {
  out.Varint(member.first);
  out.Sized(member.second);
}
void EncodeMember(const std::pair<std::uint64_t, std::uint64_t>& member, Encoder& out) {
  out.Varint(member.first);
  out.Varint(member.second);
}

// Sorted and without repetition, and emptied. A list without members is not there.
template <typename T>
void EncodeList(std::vector<T>& list, Encoder& out) {
  if (list.empty()) return;
  SortUnique(list);
  out.Varint(list.size());
  for (const T& member : list) EncodeMember(member, out);
  list.clear();
}

// Each member takes at least `least_bytes`, so that a count is bounded before anything is reserved.
std::size_t DecodeCount(Decoder& in, std::size_t least_bytes) {
  const std::uint64_t count = in.Varint();
  if (count > in.remaining() / least_bytes) {
    in.Fail();
    return 0;
  }
  return static_cast<std::size_t>(count);
}

std::string DecodeName(Decoder& in) {
  std::string name = in.SizedString();
  if (name.empty() || name.size() > kMaxNameBytes) in.Fail();
  return name;
}

}  // namespace

// Says what an operation touches.
struct TouchedEncoder::Add {
  TouchedEncoder& to;

  void operator()(const PutInode& op) { to.inodes_.push_back(op.inode.value); }
  void operator()(const RemoveInode& op) { to.inodes_.push_back(op.inode.value); }
  void operator()(const PutEntry& op) { to.entries_.emplace_back(op.parent.value, op.entry.name); }
  void operator()(const RemoveEntry& op) { to.entries_.emplace_back(op.parent.value, op.name); }
  void operator()(const PutXattr& op) { to.xattrs_.emplace_back(op.inode.value, op.name); }
  void operator()(const RemoveXattr& op) { to.xattrs_.emplace_back(op.inode.value, op.name); }
  void operator()(const WriteChunk& op) { to.chunks_.emplace_back(op.body.value, op.chunk); }
  void operator()(const PutChunk& op) { to.chunks_.emplace_back(op.body.value, op.chunk); }
  void operator()(const CutChunks& op) { to.cuts_.emplace_back(op.body.value, op.first); }
  // Said as a cut: everything from there on may have changed.
  void operator()(const CloneChunks& op) { to.cuts_.emplace_back(op.to.value, op.to_first); }
  void operator()(const PutSnapshot&) {}
  void operator()(const RemoveSnapshot&) {}
  void operator()(const PutSegment&) {}
  void operator()(const PutStripe&) {}
};

void TouchedEncoder::Encode(const Change& change, Encoder& out) {
  for (const Operation& operation : change.operations) std::visit(Add{*this}, operation);
  std::uint8_t there = 0;
  if (!inodes_.empty()) there |= kInodes;
  if (!entries_.empty()) there |= kEntries;
  if (!chunks_.empty()) there |= kChunks;
  if (!cuts_.empty()) there |= kCuts;
  if (!xattrs_.empty()) there |= kXattrs;
  out.U8(there);
  EncodeList(inodes_, out);
  EncodeList(entries_, out);
  EncodeList(chunks_, out);
  EncodeList(cuts_, out);
  EncodeList(xattrs_, out);
}

Status DecodeTouched(ByteSpan bytes, CommitRecord& record) {
  Decoder in(bytes);
  const std::uint8_t there = in.U8();
  if (there > kAllLists) in.Fail();
  const auto count = [&](std::uint8_t bit, std::size_t least_bytes) {
    return (there & bit) != 0 ? DecodeCount(in, least_bytes) : 0;
  };
  for (std::size_t left = count(kInodes, 1); left > 0 && in.ok(); --left) {
    record.inodes.emplace_back(in.Varint());
  }
  for (std::size_t left = count(kEntries, 3); left > 0 && in.ok(); --left) {
    const InodeId parent(in.Varint());
    record.entries.push_back({parent, DecodeName(in)});
  }
  for (auto [bit, list] : {std::pair(kChunks, &record.chunks), std::pair(kCuts, &record.cuts)}) {
    for (std::size_t left = count(bit, 2); left > 0 && in.ok(); --left) {
      const BodyId body(in.Varint());
      list->emplace_back(body, in.Varint());
    }
  }
  for (std::size_t left = count(kXattrs, 3); left > 0 && in.ok(); --left) {
    const InodeId inode(in.Varint());
    record.xattrs.emplace_back(inode, DecodeName(in));
  }
  if (!in.AtEnd()) {
    return Error(ErrorCode::kCorrupt,
                 "what commit " + std::to_string(record.lsn.value) + " touched cannot be read");
  }
  return {};
}

}  // namespace varve
