// Whole stripes in memory, for reading on in long runs while disks are missing.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "store/base/aligned_bytes.h"
#include "store/base/bytes.h"
#include "store/base/ids.h"
#include "store/base/result.h"
#include "store/log/stripe.h"

namespace varve {

// Fragments of one stripe, headers included; some may be absent.
class StripeImage {
 public:
  StripeImage(int columns, std::size_t fragment_bytes)
      : bytes_(static_cast<std::size_t>(columns)), fragment_bytes_(fragment_bytes) {}

  // Room for a column, where direct reads can go. What is in it is left over from whatever.
  MutableByteSpan Allocate(int column);
  void Drop(int column) { bytes_[static_cast<std::size_t>(column)].reset(); }
  bool has(int column) const { return bytes_[static_cast<std::size_t>(column)] != nullptr; }
  // Of all columns, those that are absent empty.
  std::vector<MutableByteSpan> columns();
  // One that is there.
  ByteSpan column(int column) const {
    return {bytes_[static_cast<std::size_t>(column)].get(), fragment_bytes_};
  }
  MutableByteSpan column(int column) {
    return {bytes_[static_cast<std::size_t>(column)].get(), fragment_bytes_};
  }
  // Whether it has the shape of such a stripe.
  bool Fits(const StripeDescriptor& stripe) const {
    return bytes_.size() == static_cast<std::size_t>(stripe.columns()) &&
           fragment_bytes_ == stripe.fragment_bytes;
  }
  std::size_t size_bytes() const;

 private:
  std::vector<AlignedBytes> bytes_;
  std::size_t fragment_bytes_;
};

// The last few that were asked for. Stripes never change, so neither do their images. Thread-safe.
// Memory: kLimitBytes, or one image if that is larger, beside those that are being used.
class StripeImages {
 public:
  using Load = std::function<Result<StripeImage>()>;

  // Loads it if it is not there; who asks meanwhile waits for that, and then answers the same
  // error. Errors are not remembered.
  Result<std::shared_ptr<const StripeImage>> Get(StripeId stripe, const Load& load);

 private:
  static constexpr std::size_t kLimitBytes = 32 * 1024 * 1024;
  struct Entry {
    StripeId stripe;
    std::optional<Result<std::shared_ptr<const StripeImage>>> image;  // none: being loaded
  };
  using Entries = std::list<std::shared_ptr<Entry>>;

  void Finish(Entry& entry, Result<std::shared_ptr<const StripeImage>> image);
  void DropOldest();  // mutex held

  std::mutex mutex_;
  std::condition_variable loaded_;
  // Guarded by mutex_, as is what is in the entries.
  Entries entries_;  // most recently asked for first
};

}  // namespace varve
