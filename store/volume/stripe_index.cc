#include "store/volume/stripe_index.h"

#include <utility>
#include <variant>

namespace varve {

Result<SegmentDescriptor> StripeIndex::FindSegment(SegmentId id) {
  {
    std::lock_guard lock(mutex_);
    auto it = segments_.find(id);
    if (it != segments_.end()) return it->second;
  }
  auto found = catalog_.With([&](Catalog& catalog) { return catalog.GetSegment(id); });
  if (!found.ok()) return found.error();
  if (!found->has_value()) {
    return Error(ErrorCode::kCorrupt,
                 "the catalog has no segment " + std::to_string(id.value) + " that a stripe names");
  }
  std::lock_guard lock(mutex_);
  return segments_.emplace(id, **found).first->second;
}

Result<std::shared_ptr<const StripeLocation>> StripeIndex::Find(StripeId id) {
  {
    std::lock_guard lock(mutex_);
    if (auto it = unapplied_.find(id); it != unapplied_.end()) return it->second;
    if (auto it = cache_.find(id); it != cache_.end()) {
      order_.splice(order_.begin(), order_, it->second.at);
      return it->second.location;
    }
  }
  auto stripe = catalog_.With([&](Catalog& catalog) { return catalog.GetStripe(id); });
  if (!stripe.ok()) return stripe.error();
  if (!stripe->has_value()) {
    return Error(ErrorCode::kCorrupt,
                 "the catalog has no stripe " + std::to_string(id.value) + " that an extent names");
  }
  ASSIGN_OR_RETURN(SegmentDescriptor segment, FindSegment(id.segment()));
  auto location = std::make_shared<StripeLocation>();
  location->segment = std::move(segment);
  location->stripe = std::move(**stripe);
  Remember(id, location);
  return std::shared_ptr<const StripeLocation>(location);
}

void StripeIndex::Remember(StripeId id, std::shared_ptr<const StripeLocation> location) {
  std::lock_guard lock(mutex_);
  if (cache_.contains(id)) return;
  order_.push_front(id);
  cache_[id] = {std::move(location), order_.begin()};
  if (cache_.size() > kCacheEntries) {
    cache_.erase(order_.back());
    order_.pop_back();
  }
}

void StripeIndex::AddStripe(const StripeDescriptor& stripe) {
  auto segment = segments_.find(stripe.id.segment());
  if (segment == segments_.end()) return;  // told by the catalog, in a segment begun earlier
  auto location = std::make_shared<StripeLocation>();
  location->segment = segment->second;
  location->stripe = stripe;
  unapplied_[stripe.id] = std::move(location);
}

void StripeIndex::Add(const Placement& placement) {
  std::lock_guard lock(mutex_);
  for (const SegmentDescriptor& segment : placement.segments) segments_[segment.id] = segment;
  for (const StripeDescriptor& stripe : placement.stripes) {
    CHECK(segments_.contains(stripe.id.segment()), "a stripe placed in a segment never announced");
    AddStripe(stripe);
  }
}

void StripeIndex::Add(const std::vector<Operation>& operations) {
  std::lock_guard lock(mutex_);
  for (const Operation& operation : operations) {
    if (const auto* segment = std::get_if<PutSegment>(&operation)) {
      segments_[segment->segment.id] = segment->segment;
    } else if (const auto* stripe = std::get_if<PutStripe>(&operation)) {
      AddStripe(stripe->stripe);
    }
  }
}

void StripeIndex::Applied(std::span<const std::shared_ptr<Change>> changes) {
  for (const auto& change : changes) {
    for (const Operation& operation : change->operations) {
      const auto* stripe = std::get_if<PutStripe>(&operation);
      if (stripe == nullptr) continue;
      std::shared_ptr<const StripeLocation> location;
      {
        std::lock_guard lock(mutex_);
        auto it = unapplied_.find(stripe->stripe.id);
        if (it == unapplied_.end()) continue;
        location = std::move(it->second);
        unapplied_.erase(it);
      }
      Remember(stripe->stripe.id, std::move(location));
    }
  }
}

}  // namespace varve
