#include "store/catalog/touched.h"

#include <algorithm>
#include <type_traits>

#include "store/log/change_check.h"

namespace varve {
namespace {

// Order matters for the encoding's size only: a list without members costs one byte.
struct Touched {
  std::vector<std::uint64_t> inodes;
  std::vector<std::pair<std::uint64_t, std::string_view>> entries;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> chunks;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> cuts;
  std::vector<std::pair<std::uint64_t, std::string_view>> xattrs;

  void Add(const PutInode& op) { inodes.push_back(op.inode.value); }
  void Add(const RemoveInode& op) { inodes.push_back(op.inode.value); }
  void Add(const PutEntry& op) { entries.emplace_back(op.parent.value, op.entry.name); }
  void Add(const RemoveEntry& op) { entries.emplace_back(op.parent.value, op.name); }
  void Add(const PutXattr& op) { xattrs.emplace_back(op.inode.value, op.name); }
  void Add(const RemoveXattr& op) { xattrs.emplace_back(op.inode.value, op.name); }
  void Add(const WriteChunk& op) { chunks.emplace_back(op.body.value, op.chunk); }
  void Add(const PutChunk& op) { chunks.emplace_back(op.body.value, op.chunk); }
  void Add(const CutChunks& op) { cuts.emplace_back(op.body.value, op.first); }
  // Said as a cut: everything from there on may have changed.
  void Add(const CloneChunks& op) { cuts.emplace_back(op.to.value, op.to_first); }
  void Add(const PutSnapshot&) {}
  void Add(const RemoveSnapshot&) {}
  void Add(const PutSegment&) {}
  void Add(const PutStripe&) {}
};

template <typename T>
void SortUnique(std::vector<T>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

void EncodePairs(const std::vector<std::pair<std::uint64_t, std::string_view>>& list,
                 Encoder& out) {
  out.Varint(list.size());
  for (const auto& [id, name] : list) {
    out.Varint(id);
    out.Sized(name);
  }
}

void EncodePairs(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& list, Encoder& out) {
  out.Varint(list.size());
  for (const auto& [id, number] : list) {
    out.Varint(id);
    out.Varint(number);
  }
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

ByteVector EncodeTouched(const Change& change) {
  Touched touched;
  for (const Operation& operation : change.operations) {
    std::visit([&](const auto& op) { touched.Add(op); }, operation);
  }
  SortUnique(touched.inodes);
  SortUnique(touched.entries);
  SortUnique(touched.chunks);
  SortUnique(touched.cuts);
  SortUnique(touched.xattrs);
  Encoder out;
  out.Varint(touched.inodes.size());
  for (const std::uint64_t inode : touched.inodes) out.Varint(inode);
  EncodePairs(touched.entries, out);
  EncodePairs(touched.chunks, out);
  EncodePairs(touched.cuts, out);
  EncodePairs(touched.xattrs, out);
  return out.Take();
}

Status DecodeTouched(ByteSpan bytes, CommitRecord& record) {
  Decoder in(bytes);
  for (std::size_t left = DecodeCount(in, 1); left > 0 && in.ok(); --left) {
    record.inodes.emplace_back(in.Varint());
  }
  for (std::size_t left = DecodeCount(in, 3); left > 0 && in.ok(); --left) {
    const InodeId parent(in.Varint());
    record.entries.push_back({parent, DecodeName(in)});
  }
  for (auto* list : {&record.chunks, &record.cuts}) {
    for (std::size_t left = DecodeCount(in, 2); left > 0 && in.ok(); --left) {
      const BodyId body(in.Varint());
      list->emplace_back(body, in.Varint());
    }
  }
  for (std::size_t left = DecodeCount(in, 3); left > 0 && in.ok(); --left) {
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
