#include "fs/core/data_counts.h"

namespace varve {

Result<std::uint64_t> DataCounts::Of(const View& view, const InodeAttributes& attributes,
                                     Lsn last_change) {
  const Key key{attributes.body, attributes.size, attributes.ctime_ns, last_change};
  {
    auto counts = counts_.Lock();
    if (const auto known = counts->find(key); known != counts->end()) return known->second;
  }
  ASSIGN_OR_RETURN(const std::uint64_t bytes, view.CountData(attributes.body, attributes.size));
  auto counts = counts_.Lock();
  if (counts->size() >= kMost) counts->clear();
  counts->emplace(key, bytes);
  return bytes;
}

}  // namespace varve
