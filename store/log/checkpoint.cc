#include "store/log/checkpoint.h"

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "store/codec/checksum.h"
#include "store/log/change_check.h"
#include "store/log/corrupt.h"

namespace varve {
namespace {

constexpr std::string_view kLinkMagic = "VRVCKPT1";
constexpr std::uint32_t kLinkVersion = 1;
constexpr std::size_t kFixedBytes = 48;  // before the previous reference
constexpr std::size_t kChecksumBytes = 8;
// The shortest segment, stripe and part that could be encoded: bounds counts before any is read.
constexpr std::size_t kMinSegmentBytes = 2;
constexpr std::size_t kMinStripeBytes = 8;
constexpr std::size_t kMinPartBytes = 12;

// A reference must be walkable by itself: every part in a stripe it describes, every stripe in a
// segment it describes.
Status CheckRef(const CheckpointRef& ref) {
  if (!ref.first_lsn || ref.first_lsn > ref.last_lsn || ref.last_lsn == kLsnNow) {
    return Corrupt("checkpoint from LSN " + std::to_string(ref.first_lsn.value) + " to " +
                   std::to_string(ref.last_lsn.value));
  }
  std::unordered_set<SegmentId> segments;
  for (const SegmentDescriptor& segment : ref.segments) segments.insert(segment.id);
  std::unordered_map<StripeId, const StripeDescriptor*> stripes;
  for (const StripeDescriptor& stripe : ref.stripes) {
    if (!segments.contains(stripe.id.segment())) {
      return Corrupt("checkpoint stripe " + std::to_string(stripe.id.value) +
                     " in a segment that is not described");
    }
    stripes.emplace(stripe.id, &stripe);
  }
  if (ref.parts.empty()) return Corrupt("checkpoint without bytes");
  for (const ExtentRef& part : ref.parts) {
    RETURN_IF_ERROR(CheckExtentRef(part));
    auto stripe = stripes.find(part.stripe);
    if (stripe == stripes.end()) {
      return Corrupt("checkpoint part in stripe " + std::to_string(part.stripe.value) +
                     " that is not described");
    }
    std::uint64_t end = std::uint64_t{part.fragment_offset} + part.stored_bytes;
    if (part.column >= stripe->second->data || end > stripe->second->payload_bytes()) {
      return Corrupt("checkpoint part not within stripe " + std::to_string(part.stripe.value));
    }
  }
  return {};
}

// Links follow one another without a gap, from the first change on.
Status CheckOrder(const std::optional<CheckpointRef>& previous, Lsn first, Lsn last) {
  if (!first || first > last || last == kLsnNow) return Corrupt("checkpoint link's LSNs");
  Lsn before{previous.has_value() ? previous->last_lsn.value : 0};
  if (first.value != before.value + 1) {
    return Corrupt("checkpoint link begins at LSN " + std::to_string(first.value) +
                   ", the one before it ends at " + std::to_string(before.value));
  }
  return {};
}

std::string_view MessageOf(const Status& status) {
  return status.ok() ? std::string_view() : std::string_view(status.error().message());
}

// Reads `count` items, each at least `min_bytes` long, with `decode`.
template <typename T, typename DecodeItem>
Result<std::vector<T>> DecodeList(Decoder& in, std::size_t min_bytes, DecodeItem decode) {
  std::uint64_t count = in.Varint();
  if (!in.ok() || count > in.remaining() / min_bytes) return Corrupt("checkpoint list's count");
  std::vector<T> items;
  for (std::uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(T item, decode(in));
    items.push_back(std::move(item));
  }
  return items;
}

Status DecodeLinkChanges(Decoder& in, CheckpointLink& link) {
  std::uint64_t next = link.first.value;
  while (in.ok() && in.remaining() > 0) {
    ASSIGN_OR_RETURN(Change change, DecodeChange(in));
    if (change.lsn.value != next || change.lsn > link.last) {
      return Corrupt("checkpoint holds LSN " + std::to_string(change.lsn.value) + " where " +
                     std::to_string(next) + " belongs");
    }
    ++next;
    link.changes.push_back(std::move(change));
  }
  if (next != link.last.value + 1) {
    return Corrupt("checkpoint ends before LSN " + std::to_string(next));
  }
  return {};
}

}  // namespace

void EncodeCheckpointRef(const CheckpointRef& ref, Encoder& out) {
  Status status = CheckRef(ref);
  CHECK(status.ok(), MessageOf(status));
  out.Varint(ref.first_lsn.value);
  out.Varint(ref.last_lsn.value);
  out.Varint(ref.segments.size());
  for (const SegmentDescriptor& segment : ref.segments) EncodeSegment(segment, out);
  out.Varint(ref.stripes.size());
  for (const StripeDescriptor& stripe : ref.stripes) EncodeStripe(stripe, out);
  out.Varint(ref.parts.size());
  for (const ExtentRef& part : ref.parts) EncodeExtentRef(part, out);
}

Result<CheckpointRef> DecodeCheckpointRef(Decoder& in) {
  CheckpointRef ref;
  ref.first_lsn = Lsn{in.Varint()};
  ref.last_lsn = Lsn{in.Varint()};
  ASSIGN_OR_RETURN(ref.segments,
                   DecodeList<SegmentDescriptor>(in, kMinSegmentBytes, DecodeSegment));
  ASSIGN_OR_RETURN(ref.stripes, DecodeList<StripeDescriptor>(in, kMinStripeBytes, DecodeStripe));
  ASSIGN_OR_RETURN(ref.parts, DecodeList<ExtentRef>(in, kMinPartBytes, DecodeExtentRef));
  if (!in.ok()) return Corrupt("checkpoint reference cut short");
  RETURN_IF_ERROR(CheckRef(ref));
  return ref;
}

ByteVector EncodeCheckpointLink(const std::optional<CheckpointRef>& previous, Lsn first, Lsn last,
                                ByteSpan encoded_changes) {
  Status status = CheckOrder(previous, first, last);
  CHECK(status.ok(), MessageOf(status));
  Encoder previous_bytes;
  if (previous.has_value()) EncodeCheckpointRef(*previous, previous_bytes);
  Encoder out;
  out.Raw(kLinkMagic);
  out.U32(kLinkVersion);
  out.U32(0);
  out.U64(first.value);
  out.U64(last.value);
  out.U64(previous_bytes.size());
  out.U64(encoded_changes.size());
  out.Raw(previous_bytes.bytes());
  out.Raw(encoded_changes);
  out.U64(Checksum(out.bytes()));
  return out.Take();
}

namespace {

// The fields of fixed length, behind the magic.
struct Lengths {
  Lsn first;
  Lsn last;
  std::uint64_t previous_bytes = 0;
  std::uint64_t changes_bytes = 0;
};

Result<Lengths> DecodeLengths(Decoder& in) {
  std::uint32_t version = in.U32();
  if (version != kLinkVersion) {
    return Error(ErrorCode::kUnsupported, "checkpoint link of format " + std::to_string(version) +
                                              ", this program reads " +
                                              std::to_string(kLinkVersion));
  }
  in.ExpectZeros(4);
  Lengths lengths;
  lengths.first = Lsn{in.U64()};
  lengths.last = Lsn{in.U64()};
  lengths.previous_bytes = in.U64();
  lengths.changes_bytes = in.U64();
  if (!in.ok()) return Corrupt("checkpoint link's lengths");
  return lengths;
}

Result<CheckpointLinkHead> DecodeHead(const Lengths& lengths, Decoder& in) {
  CheckpointLinkHead head;
  head.first = lengths.first;
  head.last = lengths.last;
  if (lengths.previous_bytes > 0) {
    Decoder previous_in(in.Raw(static_cast<std::size_t>(lengths.previous_bytes)));
    ASSIGN_OR_RETURN(head.previous, DecodeCheckpointRef(previous_in));
    if (!previous_in.AtEnd()) return Corrupt("bytes after the previous checkpoint's reference");
  }
  RETURN_IF_ERROR(CheckOrder(head.previous, head.first, head.last));
  return head;
}

bool BeginsWithMagic(ByteSpan bytes) {
  return bytes.size() >= kLinkMagic.size() && AsText(bytes.first(kLinkMagic.size())) == kLinkMagic;
}

}  // namespace

Result<CheckpointLink> DecodeCheckpointLink(ByteSpan bytes) {
  if (bytes.size() < kLinkMagic.size() + kChecksumBytes || !BeginsWithMagic(bytes)) {
    return Corrupt("not a checkpoint link");
  }
  ByteSpan body = bytes.first(bytes.size() - kChecksumBytes);
  if (Decoder(bytes.last(kChecksumBytes)).U64() != Checksum(body)) {
    return Corrupt("checkpoint link fails its checksum");
  }
  Decoder in(body.subspan(kLinkMagic.size()));
  ASSIGN_OR_RETURN(const Lengths lengths, DecodeLengths(in));
  if (lengths.previous_bytes > in.remaining() ||
      lengths.changes_bytes != in.remaining() - lengths.previous_bytes) {
    return Corrupt("checkpoint link's lengths");
  }
  ASSIGN_OR_RETURN(CheckpointLinkHead head, DecodeHead(lengths, in));
  CheckpointLink link;
  link.previous = std::move(head.previous);
  link.first = head.first;
  link.last = head.last;
  RETURN_IF_ERROR(DecodeLinkChanges(in, link));
  return link;
}

Result<std::optional<CheckpointLinkHead>> DecodeCheckpointLinkHead(ByteSpan begin) {
  if (begin.size() < kFixedBytes) return std::optional<CheckpointLinkHead>();
  if (!BeginsWithMagic(begin)) return Corrupt("not a checkpoint link");
  Decoder in(begin.subspan(kLinkMagic.size()));
  ASSIGN_OR_RETURN(const Lengths lengths, DecodeLengths(in));
  if (lengths.previous_bytes > in.remaining()) return std::optional<CheckpointLinkHead>();
  ASSIGN_OR_RETURN(CheckpointLinkHead head, DecodeHead(lengths, in));
  return std::optional<CheckpointLinkHead>(std::move(head));
}

}  // namespace varve
