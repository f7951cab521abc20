#include "store/volume/placer.h"

#include <iterator>
#include <unordered_set>
#include <variant>
#include <vector>

namespace varve {
namespace {

// Calls visit(PendingExtent&) once for each pending extent of the changes.
template <typename Visit>
void ForEachPending(std::span<const std::shared_ptr<Change>> changes, Visit visit) {
  std::unordered_set<const PendingExtent*> seen;
  for (const auto& change : changes) {
    for (const Operation& operation : change->operations) {
      const auto* write = std::get_if<WriteChunk>(&operation);
      if (write == nullptr) continue;
      for (const Piece& piece : write->pieces) {
        if (piece.pending && seen.insert(piece.pending.get()).second) visit(*piece.pending);
      }
    }
  }
}

}  // namespace

std::uint64_t UnplacedBytes(std::span<const std::shared_ptr<Change>> changes) {
  std::uint64_t bytes = 0;
  ForEachPending(changes, [&](PendingExtent& extent) {
    if (!extent.place()) bytes += extent.raw_bytes();
  });
  return bytes;
}

std::vector<Operation> AnnouncePlacement(const Placement& placement) {
  std::vector<Operation> operations;
  operations.reserve(placement.segments.size() + placement.stripes.size());
  for (const SegmentDescriptor& segment : placement.segments) {
    operations.emplace_back(PutSegment{segment});
  }
  for (const StripeDescriptor& stripe : placement.stripes) {
    operations.emplace_back(PutStripe{stripe});
  }
  return operations;
}

Status PlaceChanges(std::span<const std::shared_ptr<Change>> changes, StripeWriter& writer,
                    StripeIndex& index) {
  std::vector<PendingExtent*> extents;
  std::vector<std::shared_ptr<const ByteVector>> held;
  std::vector<ByteSpan> inputs;
  ForEachPending(changes, [&](PendingExtent& extent) {
    if (extent.place()) return;
    extents.push_back(&extent);
    held.push_back(extent.bytes());
    CHECK(held.back() != nullptr, "a pending extent without bytes and without a place");
    inputs.emplace_back(*held.back());
  });
  if (inputs.empty()) return {};
  ASSIGN_OR_RETURN(Placement placement, writer.Place(inputs, StripeKind::kData));
  CHECK(placement.extents.size() == extents.size());
  index.Add(placement);
  std::vector<Operation> operations = AnnouncePlacement(placement);
  for (std::size_t i = 0; i < extents.size(); ++i) extents[i]->SetPlace(placement.extents[i]);
  std::vector<Operation>& first = changes.front()->operations;
  operations.insert(operations.end(), std::make_move_iterator(first.begin()),
                    std::make_move_iterator(first.end()));
  first = std::move(operations);
  return {};
}

std::uint64_t DropPlacedBytes(std::span<const std::shared_ptr<Change>> changes) {
  std::uint64_t bytes = 0;
  ForEachPending(changes, [&](PendingExtent& extent) {
    if (!extent.place() || extent.bytes() == nullptr) return;
    extent.DropBytes();
    bytes += extent.raw_bytes();
  });
  return bytes;
}

}  // namespace varve
