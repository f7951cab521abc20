// What checking and repair stand on, and how they report where they are.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "store/catalog/catalog.h"
#include "store/disk/disk_set.h"
#include "store/log/fragment.h"
#include "store/log/stripe_reader.h"

namespace varve {

// The parts of an open volume. Everything committed must have been applied to the catalog, and
// nobody may write while a check or a repair runs: what is not in the catalog counts as an orphan.
struct RepairContext {
  DiskSet& disks;
  Catalog& catalog;
  StripeReader& reader;
};

struct RepairProgress {
  std::string_view phase;  // "reading fragments": lives for the whole program
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;
};
// Called from any thread, one call at a time; must be quick.
using RepairProgressSink = std::function<void(const RepairProgress&)>;

// Nothing read from a catalog is trusted: whether the disks and columns named can be at all.
bool IsSane(const SegmentDescriptor& segment, int disk_count);
bool IsSane(const StripeLocation& location, int disk_count);

// As everywhere in messages: "10000f".
std::string HexId(StripeId id);

// A stripe with columns that are not as they should be: bit c for column c (data, then parity).
struct BadStripe {
  StripeId id;
  std::uint64_t columns = 0;
  // Those of them whose disk was held to be whole: damage, not the known lack of a disk.
  std::uint64_t damaged = 0;
  bool operator==(const BadStripe&) const = default;
};

}  // namespace varve
