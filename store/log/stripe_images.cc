#include "store/log/stripe_images.h"

#include <algorithm>
#include <utility>

namespace varve {

MutableByteSpan StripeImage::Allocate(int column) {
  AlignedBytes& bytes = bytes_[static_cast<std::size_t>(column)];
  if (bytes == nullptr) bytes = MakeAlignedBytes(fragment_bytes_);
  return {bytes.get(), fragment_bytes_};
}

std::vector<MutableByteSpan> StripeImage::columns() {
  std::vector<MutableByteSpan> spans;
  for (const AlignedBytes& bytes : bytes_) {
    spans.emplace_back(bytes.get(), bytes != nullptr ? fragment_bytes_ : 0);
  }
  return spans;
}

std::size_t StripeImage::size_bytes() const {
  return fragment_bytes_ * static_cast<std::size_t>(std::ranges::count_if(
                               bytes_, [](const AlignedBytes& bytes) { return bytes != nullptr; }));
}

Result<std::shared_ptr<const StripeImage>> StripeImages::Get(StripeId stripe, const Load& load) {
  std::unique_lock lock(mutex_);
  const auto found = std::ranges::find(entries_, stripe, [](const auto& e) { return e->stripe; });
  if (found != entries_.end()) {
    const std::shared_ptr<Entry> entry = *found;
    entries_.splice(entries_.begin(), entries_, found);
    loaded_.wait(lock, [&] { return entry->image.has_value(); });
    return *entry->image;
  }
  const auto entry = std::make_shared<Entry>(Entry{stripe, std::nullopt});
  entries_.push_front(entry);
  lock.unlock();
  try {
    Result<StripeImage> image = load();
    if (image.ok()) {
      Finish(*entry, std::make_shared<const StripeImage>(std::move(image).value()));
    } else {
      Finish(*entry, image.error());
    }
  } catch (...) {  // memory is short: whoever waits must not wait for ever
    Finish(*entry, Error(ErrorCode::kIo, "a stripe could not be loaded"));
    throw;
  }
  return *entry->image;  // it does not change any more
}

void StripeImages::Finish(Entry& entry, Result<std::shared_ptr<const StripeImage>> image) {
  const std::lock_guard lock(mutex_);
  if (!image.ok()) {
    std::erase_if(entries_, [&](const auto& other) { return other.get() == &entry; });
  }
  entry.image = std::move(image);
  DropOldest();
  loaded_.notify_all();
}

void StripeImages::DropOldest() {
  std::size_t bytes = 0;
  for (auto at = entries_.begin(); at != entries_.end();) {
    const Entry& entry = **at;
    if (entry.image) bytes += (**entry.image)->size_bytes();
    const bool is_first = at == entries_.begin();
    at = entry.image && bytes > kLimitBytes && !is_first ? entries_.erase(at) : std::next(at);
  }
}

}  // namespace varve
