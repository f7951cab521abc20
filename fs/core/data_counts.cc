#include "fs/core/data_counts.h"

namespace varve {

Result<std::uint64_t> DataCounts::Of(const View& view, const InodeAttributes& attributes) {
  if (view.IsNow()) return OfPresent(view, attributes.body);
  const Key key{attributes.body, attributes.size, attributes.ctime_ns};
  {
    auto past = past_.Lock();
    if (const auto known = past->find(key); known != past->end()) return known->second;
  }
  ASSIGN_OR_RETURN(const std::uint64_t bytes, view.CountData(attributes.body, attributes.size));
  auto past = past_.Lock();
  if (past->size() >= kMost) past->clear();
  past->emplace(key, bytes);
  return bytes;
}

Result<std::uint64_t> DataCounts::OfPresent(const View& now, BodyId body) {
  std::uint64_t ticket = 0;
  {
    auto present = present_.Lock();
    const auto found = present->counts.find(body);
    if (found != present->counts.end()) {
      Count& count = found->second;
      count.carried = 0;
      if (count.bytes) return *count.bytes;
      ticket = count.ticket;  // whoever counts between two changes counts the same
    } else {
      if (present->counts.size() >= kMost) present->counts.clear();
      ticket = ++present->last_ticket;
      present->counts.emplace(body, Count{ticket, std::nullopt});
    }
  }
  // To the end, wherever that is by now: what is kept is no answer to one caller alone.
  ASSIGN_OR_RETURN(const std::uint64_t bytes, now.CountData(body, kMaxFileBytes));
  auto present = present_.Lock();
  const auto found = present->counts.find(body);
  if (found != present->counts.end() && found->second.ticket == ticket) found->second.bytes = bytes;
  return bytes;
}

std::optional<DataCounts::Count> DataCounts::With(const View& now, BodyId body,
                                                  std::span<const View::ByteRange> ranges) const {
  if (ranges.size() > kMostRanges) return std::nullopt;
  Count count;
  {
    auto present = present_.Lock();
    const auto found = present->counts.find(body);
    if (found == present->counts.end() || !found->second.bytes) return std::nullopt;
    count = found->second;
  }
  if (++count.carried > kMostCarried) return std::nullopt;
  const Result<std::uint64_t> more = now.CountHoles(body, ranges, Patience::kHurry);
  if (!more.ok()) return std::nullopt;
  *count.bytes += *more;
  return count;
}

std::vector<BodyId> DataCounts::ChangedBy(const Change& change) {
  std::vector<BodyId> bodies;
  const auto add = [&bodies](BodyId body) {
    if (bodies.empty() || bodies.back() != body) bodies.push_back(body);
  };
  for (const Operation& operation : change.operations) {
    if (const auto* write = std::get_if<WriteChunk>(&operation)) add(write->body);
    if (const auto* put = std::get_if<PutChunk>(&operation)) add(put->body);
    if (const auto* cut = std::get_if<CutChunks>(&operation)) add(cut->body);
    if (const auto* clone = std::get_if<CloneChunks>(&operation)) add(clone->to);
  }
  return bodies;
}

void DataCounts::Forget(std::span<const BodyId> bodies) {
  if (bodies.empty()) return;
  auto present = present_.Lock();
  for (const BodyId body : bodies) present->counts.erase(body);
}

void DataCounts::Set(BodyId body, Count count) {
  auto present = present_.Lock();
  count.ticket = ++present->last_ticket;
  present->counts[body] = count;
}

}  // namespace varve
