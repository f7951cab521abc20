// What lies where: segments, stripes, and who uses them.
#include <limits>

#include "store/catalog/catalog_impl.h"
#include "store/catalog/rows.h"

namespace varve {
namespace {

constexpr const char* kGetStripe = "SELECT descriptor FROM stripe WHERE id = ?1";
constexpr const char* kListStripes =
    "SELECT id, descriptor FROM stripe WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
constexpr const char* kGetSegment = "SELECT descriptor FROM segment WHERE id = ?1";
constexpr const char* kListSegments = "SELECT id, descriptor FROM segment ORDER BY id";
constexpr const char* kChunksAfter =
    "SELECT body, idx, from_lsn, pieces FROM chunk "
    "WHERE (body, idx, from_lsn) > (?1, ?2, ?3) ORDER BY body, idx, from_lsn LIMIT ?4";
constexpr const char* kOwnersOfBody =
    "SELECT ino, from_lsn FROM body_owner WHERE body = ?1 ORDER BY ino";

// Rows read before the connection is given back and they are visited.
constexpr std::uint64_t kRowsAtOnce = 512;

}  // namespace

Result<std::optional<StripeDescriptor>> Catalog::GetStripe(StripeId id) {
  const auto reader = impl_->readers.Take();
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kGetStripe, id.value));
  ASSIGN_OR_RETURN(const bool row, query->Step());
  if (!row) return std::optional<StripeDescriptor>();
  ASSIGN_OR_RETURN(auto stripe, ReadStripe(query->Blob(0), id));
  return std::optional<StripeDescriptor>(std::move(stripe));
}

Result<std::optional<SegmentDescriptor>> Catalog::GetSegment(SegmentId id) {
  const auto reader = impl_->readers.Take();
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kGetSegment, id.value));
  ASSIGN_OR_RETURN(const bool row, query->Step());
  if (!row) return std::optional<SegmentDescriptor>();
  ASSIGN_OR_RETURN(auto segment, ReadSegment(query->Blob(0), id));
  return std::optional<SegmentDescriptor>(std::move(segment));
}

Result<std::vector<SegmentDescriptor>> Catalog::ListSegments() {
  const auto reader = impl_->readers.Take();
  std::vector<SegmentDescriptor> segments;
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kListSegments));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return segments;
    ASSIGN_OR_RETURN(auto segment, ReadSegment(query->Blob(1), SegmentId(query->U64(0))));
    segments.push_back(std::move(segment));
  }
}

Result<std::vector<StripeDescriptor>> Catalog::ListStripes(SegmentId segment) {
  const auto reader = impl_->readers.Take();
  std::vector<StripeDescriptor> stripes;
  constexpr std::uint32_t kLastIndex = (1u << StripeId::kIndexBits) - 1;
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kListStripes, StripeId(segment, 0).value,
                                                  StripeId(segment, kLastIndex).value));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return stripes;
    ASSIGN_OR_RETURN(auto stripe, ReadStripe(query->Blob(1), StripeId(query->U64(0))));
    stripes.push_back(std::move(stripe));
  }
}

Status Catalog::ForEachChunk(const std::function<Status(const ExtentUse&)>& visit) {
  ExtentUse last;
  for (bool more = true; more;) {
    std::vector<ExtentUse> uses;
    {
      // The connection is given back before visiting, so that the visitor may ask the catalog too.
      const auto reader = impl_->readers.Take();
      ASSIGN_OR_RETURN(const Query query, reader->Ask(kChunksAfter, last.body.value, last.chunk,
                                                      last.from.value, kRowsAtOnce));
      for (;;) {
        ASSIGN_OR_RETURN(const bool row, query->Step());
        if (!row) break;
        ExtentUse use;
        use.body = BodyId(query->U64(0));
        use.chunk = query->U64(1);
        use.from = Lsn(query->U64(2));
        ASSIGN_OR_RETURN(use.pieces, ReadPieces(query->Blob(3), use.body, use.chunk));
        uses.push_back(std::move(use));
      }
    }
    more = uses.size() == kRowsAtOnce;
    for (const ExtentUse& use : uses) {
      if (!use.pieces.empty()) RETURN_IF_ERROR(visit(use));
    }
    if (more) last = std::move(uses.back());
  }
  return {};
}

Result<std::vector<std::pair<InodeId, Lsn>>> Catalog::InodesOfBody(BodyId body) {
  const auto reader = impl_->readers.Take();
  std::vector<std::pair<InodeId, Lsn>> owners;
  ASSIGN_OR_RETURN(const Query query, reader->Ask(kOwnersOfBody, body.value));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return owners;
    owners.emplace_back(InodeId(query->U64(0)), Lsn(query->U64(1)));
  }
}

}  // namespace varve
