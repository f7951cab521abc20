// Checkpoints: the history, laid down in stripes, so that journal space can be freed and a lost
// catalog rebuilt.
//
// A checkpoint is a link of a chain: a run of encoded changes (all placed) from first_lsn to
// last_lsn, and the reference to the link before it. Because history is append-only, the whole
// chain from the first link is the whole catalog. Each reference describes its stripes fully, so a
// chain can be walked with nothing but the disks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "store/log/change.h"
#include "store/log/stripe.h"

namespace varve {

struct CheckpointRef {
  Lsn first_lsn;
  Lsn last_lsn;
  // The link's bytes are the payloads of these stripes' data columns, in order: each part is one
  // extent in one stripe.
  std::vector<SegmentDescriptor> segments;
  std::vector<StripeDescriptor> stripes;
  std::vector<ExtentRef> parts;
  bool operator==(const CheckpointRef&) const = default;
};

void EncodeCheckpointRef(const CheckpointRef& ref, Encoder& out);
Result<CheckpointRef> DecodeCheckpointRef(Decoder& in);

// The bytes of a link: magic, previous reference, changes.
ByteVector EncodeCheckpointLink(const std::optional<CheckpointRef>& previous, Lsn first, Lsn last,
                                ByteSpan encoded_changes);
struct CheckpointLink {
  std::optional<CheckpointRef> previous;
  Lsn first;
  Lsn last;
  std::vector<Change> changes;
};
Result<CheckpointLink> DecodeCheckpointLink(ByteSpan bytes);

// What a link begins with: all that is needed to walk the chain, for a link's changes are long.
// Only the whole link has a checksum; the bytes given here were verified when they were read.
struct CheckpointLinkHead {
  std::optional<CheckpointRef> previous;
  Lsn first;
  Lsn last;
};
// `begin`: the first bytes of a link. Nothing if they are too few to hold its head.
Result<std::optional<CheckpointLinkHead>> DecodeCheckpointLinkHead(ByteSpan begin);

}  // namespace varve
