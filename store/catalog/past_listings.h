// Listings of directories in the past. One is a scan of the directory's history, and readdir asks
// for it a page at a time; what is past never changes, so the last few are kept.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "store/log/change.h"

namespace varve {

// Thread-safe, bounded by entries.
class PastListings {
 public:
  using Listing = std::shared_ptr<const std::vector<Entry>>;

  Listing Find(InodeId parent, Lsn at) {
    std::lock_guard lock(mutex_);
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
      if (it->parent != parent || it->at != at) continue;
      kept_.splice(kept_.begin(), kept_, it);
      return it->listing;
    }
    return nullptr;
  }

  void Keep(InodeId parent, Lsn at, Listing listing) {
    // A small directory is as quickly read as found here; a huge one would push out all others.
    if (listing->size() < kWorthKeeping || listing->size() > kLimitEntries) return;
    std::lock_guard lock(mutex_);
    entries_ += listing->size();
    kept_.push_front({parent, at, std::move(listing)});
    while (entries_ > kLimitEntries) {
      entries_ -= kept_.back().listing->size();
      kept_.pop_back();
    }
  }

 private:
  static constexpr std::size_t kWorthKeeping = 100;
  static constexpr std::size_t kLimitEntries = 200'000;

  struct Kept {
    InodeId parent;
    Lsn at;
    Listing listing;
  };

  std::mutex mutex_;
  std::list<Kept> kept_;     // most recently used first; guarded by mutex_
  std::size_t entries_ = 0;  // in all of them; guarded by mutex_
};

}  // namespace varve
