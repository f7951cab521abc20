// Where stripes are: those placed but not yet in the catalog, a bounded cache, then the catalog.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "store/log/stripe_reader.h"
#include "store/log/stripe_writer.h"
#include "store/volume/catalog_keeper.h"

namespace varve {

// Thread-safe. Memory: what is unapplied, plus kCacheEntries locations of a few hundred bytes.
class StripeIndex {
 public:
  explicit StripeIndex(CatalogKeeper& catalog) : catalog_(catalog) {}

  Result<std::shared_ptr<const StripeLocation>> Find(StripeId id);
  // Makes a placement known before anything refers to it.
  void Add(const Placement& placement);
  // Segments and stripes named in these operations (replay).
  void Add(const std::vector<Operation>& operations);
  // These are in the catalog now.
  void Applied(std::span<const std::shared_ptr<Change>> changes);
  Result<SegmentDescriptor> FindSegment(SegmentId id);

 private:
  static constexpr std::size_t kCacheEntries = 16384;
  void AddStripe(const StripeDescriptor& stripe);
  void Remember(StripeId id, std::shared_ptr<const StripeLocation> location);

  CatalogKeeper& catalog_;
  std::mutex mutex_;
  // Under mutex_.
  std::unordered_map<StripeId, std::shared_ptr<const StripeLocation>> unapplied_;
  // Segments are few (one for 256 MiB of data) and small: all that were met are kept.
  std::unordered_map<SegmentId, SegmentDescriptor> segments_;
  std::list<StripeId> order_;  // most recent first
  struct Cached {
    std::shared_ptr<const StripeLocation> location;
    std::list<StripeId>::iterator at;
  };
  std::unordered_map<StripeId, Cached> cache_;
};

}  // namespace varve
