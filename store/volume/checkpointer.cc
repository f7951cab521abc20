#include "store/volume/checkpointer.h"

#include <pthread.h>

#include <algorithm>
#include <future>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

#include "store/log/stripe_reader.h"

namespace varve {
namespace {

// Finds a link's stripes by its reference alone.
using StripeLocations = std::unordered_map<StripeId, std::shared_ptr<const StripeLocation>>;
Result<StripeLocations> LocationsOf(const CheckpointRef& ref) {
  StripeLocations locations;
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
  return locations;
}

// The bytes of a link from its beginning, part by part.
class LinkBytes {
 public:
  LinkBytes(DiskSet& disks, const Uuid& volume_uuid, const CheckpointRef& ref,
            const StripeLocations& locations)
      : ref_(ref),
        reader_(
            disks, volume_uuid,
            [&locations](StripeId id) -> Result<std::shared_ptr<const StripeLocation>> {
              auto it = locations.find(id);
              if (it == locations.end()) {
                return Error(ErrorCode::kCorrupt, "a checkpoint part names an unknown stripe");
              }
              return it->second;
            },
            [](const Finding&) {}) {}

  bool complete() const { return parts_read_ == ref_.parts.size(); }
  ByteSpan bytes() const { return bytes_; }
  // `count` parts more, or all that are left.
  Status ReadOn(std::size_t count) {
    count = std::min(count, ref_.parts.size() - parts_read_);
    const std::span<const ExtentRef> parts(ref_.parts.data() + parts_read_, count);
    std::size_t at = bytes_.size();
    std::size_t total_bytes = at;
    for (const ExtentRef& part : parts) total_bytes += part.raw_bytes;
    bytes_.resize(total_bytes);
    std::vector<ExtentRead> reads;
    for (const ExtentRef& part : parts) {
      reads.push_back({part, MutableByteSpan(bytes_).subspan(at, part.raw_bytes)});
      at += part.raw_bytes;
    }
    RETURN_IF_ERROR(reader_.ReadExtents(reads));
    parts_read_ += count;
    return {};
  }

 private:
  const CheckpointRef& ref_;
  StripeReader reader_;
  ByteVector bytes_;
  std::size_t parts_read_ = 0;
};

// A link or its head must be what its reference says.
template <typename Link>
Status CheckIsNamed(const Link& link, const CheckpointRef& ref) {
  if (link.first == ref.first_lsn && link.last == ref.last_lsn) return {};
  return Error(ErrorCode::kCorrupt, "a checkpoint link is not the one its reference names");
}

Result<CheckpointLink> ReadLink(DiskSet& disks, const Uuid& volume_uuid, const CheckpointRef& ref) {
  ASSIGN_OR_RETURN(const StripeLocations locations, LocationsOf(ref));
  LinkBytes link_bytes(disks, volume_uuid, ref, locations);
  RETURN_IF_ERROR(link_bytes.ReadOn(ref.parts.size()));
  ASSIGN_OR_RETURN(CheckpointLink link, DecodeCheckpointLink(link_bytes.bytes()));
  RETURN_IF_ERROR(CheckIsNamed(link, ref));
  return link;
}

Result<CheckpointLinkHead> ReadHead(DiskSet& disks, const Uuid& volume_uuid,
                                    const CheckpointRef& ref) {
  ASSIGN_OR_RETURN(const StripeLocations locations, LocationsOf(ref));
  LinkBytes link_bytes(disks, volume_uuid, ref, locations);
  while (!link_bytes.complete()) {
    RETURN_IF_ERROR(link_bytes.ReadOn(1));
    ASSIGN_OR_RETURN(auto head, DecodeCheckpointLinkHead(link_bytes.bytes()));
    if (!head) continue;
    RETURN_IF_ERROR(CheckIsNamed(*head, ref));
    return *std::move(head);
  }
  return Error(ErrorCode::kCorrupt, "a checkpoint link is shorter than its head");
}

// The references from `head` back to the first that `after` does not cover, newest first.
Result<std::vector<CheckpointRef>> WalkBack(DiskSet& disks, const Uuid& volume_uuid,
                                            const CheckpointRef& head, Lsn after) {
  std::vector<CheckpointRef> refs;
  std::optional<CheckpointRef> at = head;
  while (at && at->last_lsn > after) {
    refs.push_back(*at);
    auto link = ReadHead(disks, volume_uuid, *at);
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
  return refs;
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
  // Backwards for the references alone, so that memory holds two links at a time: while one is
  // visited, the next is read and decoded.
  ASSIGN_OR_RETURN(const std::vector<CheckpointRef> refs,
                   WalkBack(disks, volume_uuid, head, after));
  std::vector<Change> spent;  // freeing them is as much work as making them: for the other thread
  const auto begin_reading = [&](const CheckpointRef& ref) {
    return std::async(std::launch::async,
                      [&disks, &volume_uuid, &ref, changes = std::exchange(spent, {})]() mutable {
                        pthread_setname_np(pthread_self(), "varve-replay");
                        std::vector<Change>().swap(changes);
                        return ReadLink(disks, volume_uuid, ref);
                      });
  };
  std::future<Result<CheckpointLink>> coming;
  for (auto ref = refs.rbegin(); ref != refs.rend(); ++ref) {
    if (!coming.valid()) coming = begin_reading(*ref);
    auto link = coming.get();
    if (std::next(ref) != refs.rend()) coming = begin_reading(*std::next(ref));
    if (!link.ok()) {
      return link.error().In("reading the checkpoint of changes " +
                             std::to_string(ref->first_lsn.value) + " to " +
                             std::to_string(ref->last_lsn.value));
    }
    RETURN_IF_ERROR(visit(link->changes));
    spent = std::move(link->changes);
  }
  return {};
}

}  // namespace varve
