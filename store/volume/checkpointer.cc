#include "store/volume/checkpointer.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

#include "store/log/stripe_reader.h"

namespace varve {
namespace {

Result<CheckpointLink> ReadLink(DiskSet& disks, const Uuid& volume_uuid, const CheckpointRef& ref) {
  std::unordered_map<StripeId, std::shared_ptr<const StripeLocation>> locations;
  for (const StripeDescriptor& stripe : ref.stripes) {
    auto segment =
        std::find_if(ref.segments.begin(), ref.segments.end(),
                     [&](const SegmentDescriptor& s) { return s.id == stripe.id.segment(); });
    if (segment == ref.segments.end()) {
      return Error(ErrorCode::kCorrupt,
                   "a checkpoint reference names a stripe without its segment");
    }
    auto location = std::make_shared<StripeLocation>();
    location->segment = *segment;
    location->stripe = stripe;
    locations[stripe.id] = std::move(location);
  }
  StripeReader reader(
      disks, volume_uuid,
      [&](StripeId id) -> Result<std::shared_ptr<const StripeLocation>> {
        auto it = locations.find(id);
        if (it == locations.end()) {
          return Error(ErrorCode::kCorrupt, "a checkpoint part names an unknown stripe");
        }
        return it->second;
      },
      [](const Finding&) {});
  std::size_t total_bytes = 0;
  for (const ExtentRef& part : ref.parts) total_bytes += part.raw_bytes;
  ByteVector bytes(total_bytes);
  MutableByteSpan rest(bytes);
  for (const ExtentRef& part : ref.parts) {
    RETURN_IF_ERROR(reader.ReadExtent(part, rest.first(part.raw_bytes)));
    rest = rest.subspan(part.raw_bytes);
  }
  ASSIGN_OR_RETURN(CheckpointLink link, DecodeCheckpointLink(bytes));
  if (link.first != ref.first_lsn || link.last != ref.last_lsn) {
    return Error(ErrorCode::kCorrupt, "a checkpoint link is not the one its reference names");
  }
  return link;
}

}  // namespace

Checkpointer::Checkpointer(StripeWriter& writer, std::optional<CheckpointRef> head)
    : writer_(writer), head_(std::move(head)) {}

void Checkpointer::Add(std::span<const std::shared_ptr<Change>> changes) {
  for (const auto& change : changes) {
    CHECK(change->lsn > last_, "changes reach the checkpoint in order");
    if (!first_) first_ = change->lsn;
    last_ = change->lsn;
    EncodeChange(*change, buffer_);
  }
}

Result<Checkpointer::Link> Checkpointer::Write() {
  CHECK(first_.value != 0, "nothing to checkpoint");
  const ByteVector bytes = EncodeCheckpointLink(head_, first_, last_, buffer_.bytes());
  std::vector<ByteSpan> parts;
  for (std::size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    parts.push_back(
        ByteSpan(bytes).subspan(at, std::min<std::size_t>(kChunkBytes, bytes.size() - at)));
  }
  Link link;
  ASSIGN_OR_RETURN(link.placement, writer_.Place(parts, StripeKind::kCheckpoint));
  segments_.insert(segments_.end(), link.placement.segments.begin(), link.placement.segments.end());
  link.ref.first_lsn = first_;
  link.ref.last_lsn = last_;
  link.ref.stripes = link.placement.stripes;
  link.ref.parts = link.placement.extents;
  std::set<SegmentId> wanted;
  for (const StripeDescriptor& stripe : link.ref.stripes) wanted.insert(stripe.id.segment());
  for (const SegmentDescriptor& segment : segments_) {
    if (wanted.contains(segment.id)) link.ref.segments.push_back(segment);
  }
  CHECK(link.ref.segments.size() == wanted.size(), "a checkpoint segment was never announced");
  // Only the open segment can be named again.
  if (segments_.size() > 1) segments_.erase(segments_.begin(), std::prev(segments_.end()));
  return link;
}

void Checkpointer::Accept(const CheckpointRef& ref) {
  CHECK(ref.last_lsn == last_, "the accepted checkpoint is the one that was written");
  head_ = ref;
  buffer_ = Encoder();
  first_ = Lsn{};
}

Result<std::vector<Change>> Checkpointer::Buffered() const {
  std::vector<Change> changes;
  Decoder in(buffer_.bytes());
  while (in.remaining() > 0) {
    ASSIGN_OR_RETURN(Change change, DecodeChange(in));
    changes.push_back(std::move(change));
  }
  return changes;
}

Status ReplayChain(DiskSet& disks, const Uuid& volume_uuid, const CheckpointRef& head, Lsn after,
                   const std::function<Status(std::vector<Change>&)>& visit) {
  // Backwards for the references alone, so that memory holds one link at a time.
  std::vector<CheckpointRef> refs;
  std::optional<CheckpointRef> at = head;
  while (at && at->last_lsn > after) {
    refs.push_back(*at);
    auto link = ReadLink(disks, volume_uuid, *at);
    if (!link.ok()) {
      return link.error().In("reading the checkpoint of changes " +
                             std::to_string(at->first_lsn.value) + " to " +
                             std::to_string(at->last_lsn.value));
    }
    const std::uint64_t expected = link->previous ? link->previous->last_lsn.value + 1 : 1;
    if (link->first.value != expected) {
      return Error(ErrorCode::kCorrupt, "the chain of checkpoints has a gap before change " +
                                            std::to_string(link->first.value));
    }
    at = std::move(link->previous);
  }
  for (auto ref = refs.rbegin(); ref != refs.rend(); ++ref) {
    ASSIGN_OR_RETURN(CheckpointLink link, ReadLink(disks, volume_uuid, *ref));
    RETURN_IF_ERROR(visit(link.changes));
  }
  return {};
}

}  // namespace varve
