// Gives the pending extents of a run of changes their places.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "store/log/change.h"
#include "store/log/stripe_writer.h"
#include "store/volume/stripe_index.h"

namespace varve {

// Writes every unplaced pending extent of `changes` into stripes (durable on return), makes the
// stripes known to `index`, sets the extents' places, and puts the PutSegment/PutStripe operations
// in front of the first change, so that whoever reads the changes in order knows a stripe before
// its first use. On an error nothing has a place and the changes are as before.
Status PlaceChanges(std::span<const std::shared_ptr<Change>> changes, StripeWriter& writer,
                    StripeIndex& index);

std::uint64_t UnplacedBytes(std::span<const std::shared_ptr<Change>> changes);

// Drops the bytes of all placed extents of `changes`; answers how many bytes were dropped.
std::uint64_t DropPlacedBytes(std::span<const std::shared_ptr<Change>> changes);

// The storage operations that announce a placement.
std::vector<Operation> AnnouncePlacement(const Placement& placement);

}  // namespace varve
