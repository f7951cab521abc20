#include "store/volume/recovery.h"

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

#include "store/log/segment_objects.h"
#include "store/volume/placer.h"

namespace varve {
namespace {

using Batch = std::vector<std::shared_ptr<Change>>;
constexpr std::size_t kReplayBatch = 4096;

// The catalog has applied `change` already, with its inline data packed somewhere: says the same
// with the places that the catalog knows, so that the checkpoint and the live catalog agree.
Status ResolveApplied(CatalogKeeper& keeper, StripeIndex& index, Change& change) {
  std::set<StripeId> stripes;
  for (Operation& operation : change.operations) {
    auto* write = std::get_if<WriteChunk>(&operation);
    if (write == nullptr) continue;
    const bool inlined =
        std::any_of(write->pieces.begin(), write->pieces.end(),
                    [](const Piece& p) { return p.pending && !p.pending->place(); });
    if (!inlined) continue;
    ASSIGN_OR_RETURN(auto states, keeper.With([&](Catalog& catalog) {
      return catalog.Chunks(write->body, write->chunk, write->chunk, change.lsn);
    }));
    PutChunk put{write->body, write->chunk, {}};
    if (!states.empty()) put.pieces = std::move(states.front().second);
    for (const Piece& piece : put.pieces) stripes.insert(piece.extent.stripe);
    operation = std::move(put);
  }
  std::vector<Operation> announce;
  std::set<SegmentId> segments;
  for (StripeId id : stripes) {
    ASSIGN_OR_RETURN(auto location, index.Find(id));
    if (segments.insert(location->segment.id).second) {
      announce.emplace_back(PutSegment{location->segment});
    }
    announce.emplace_back(PutStripe{location->stripe});
  }
  change.operations.insert(change.operations.begin(), announce.begin(), announce.end());
  return {};
}

// Opens the catalog the labels name, or makes a new one from the checkpoints, which it does too if
// it has failed in an earlier attempt.
Result<std::shared_ptr<Catalog>> OpenOrRebuild(const RecoveryParts& parts,
                                               const std::optional<CheckpointRef>& head) {
  const DiskLabel label = parts.disks.label();
  const CatalogIdentity identity{label.volume_uuid, label.catalog_generation};
  const std::optional<Error>& failed = parts.catalog_failure;
  Error why = failed.value_or(Error(ErrorCode::kDiskLost, "its disk is not online"));
  if (auto disk = parts.disks.online(label.catalog_slot); disk && !failed) {
    auto opened = Catalog::Open(disk, identity, parts.options.catalog);
    if (opened.ok()) {
      std::shared_ptr<Catalog> catalog = std::move(*opened);
      parts.catalog.Set(catalog, label.catalog_slot);
      return catalog;
    }
    why = opened.error();
  }
  if (head || failed) {
    parts.progress("rebuilding the catalog from checkpoints (" + why.message() + ")");
    parts.options.findings(Finding{.kind = FindingKind::kCatalogMissing,
                                   .disk = label.catalog_slot,
                                   .what = "the catalog cannot be used: " + why.message(),
                                   .next_step = "nothing: it has been rebuilt"});
  }
  std::optional<DiskIndex> culprit;  // the error says enough: nothing is served yet
  ASSIGN_OR_RETURN(RebuiltCatalog rebuilt,
                   RebuildCatalog(parts.disks, parts.options.catalog, head, {}, culprit));
  parts.catalog.Set(rebuilt.catalog, rebuilt.slot);
  return rebuilt.catalog;
}

// Applies what the checkpoints hold and the catalog lacks (it lost its last transactions).
Status CatchUp(const RecoveryParts& parts, Lsn applied, const CheckpointRef& head) {
  if (applied >= head.last_lsn) return {};
  return ReplayChain(
      parts.disks, parts.disks.label().volume_uuid, head, applied,
      [&](std::vector<Change>& changes) -> Status {
        std::vector<const Change*> pointers;
        for (const Change& change : changes) pointers.push_back(&change);
        return parts.catalog.With([&](Catalog& catalog) { return catalog.Apply(pointers); });
      });
}

Status ReplayBatch(const RecoveryParts& parts, Lsn applied, Checkpointer& checkpointer,
                   Batch& batch) {
  if (batch.empty()) return {};
  for (auto& change : batch) parts.index.Add(change->operations);
  Batch missing;
  for (auto& change : batch) {
    if (change->lsn > applied) {
      missing.push_back(change);
    } else {
      RETURN_IF_ERROR(ResolveApplied(parts.catalog, parts.index, *change));
    }
  }
  if (!missing.empty()) {
    RETURN_IF_ERROR(PlaceChanges(missing, parts.pack_writer, parts.index));
    std::vector<const Change*> pointers;
    for (const auto& change : missing) pointers.push_back(change.get());
    RETURN_IF_ERROR(parts.catalog.With([&](Catalog& catalog) -> Status {
      RETURN_IF_ERROR(catalog.Apply(pointers));
      return catalog.FoldLog();
    }));
  }
  checkpointer.Add(batch);
  parts.index.Applied(batch);
  batch.clear();
  return {};
}

// No segment that anything knows of may be begun again, though its disks be away.
Status SkipKnownSegments(const RecoveryParts& parts, const JournalContents& contents) {
  ASSIGN_OR_RETURN(SegmentId highest, HighestSegmentOnDisks(parts.disks));
  ASSIGN_OR_RETURN(std::vector<SegmentDescriptor> known,
                   parts.catalog.With([](Catalog& catalog) { return catalog.ListSegments(); }));
  if (contents.checkpoint) {
    known.insert(known.end(), contents.checkpoint->segments.begin(),
                 contents.checkpoint->segments.end());
  }
  for (const Change& change : contents.changes) {
    for (const Operation& operation : change.operations) {
      if (const auto* put = std::get_if<PutSegment>(&operation)) known.push_back(put->segment);
    }
  }
  for (const SegmentDescriptor& segment : known) highest = std::max(highest, segment.id);
  parts.next_segment = highest.value + 1;
  return {};
}

Status CheckLength(const JournalContents& contents, const Catalog& catalog) {
  const std::uint64_t covered = contents.checkpoint ? contents.checkpoint->last_lsn.value : 0;
  const std::uint64_t last = contents.changes.empty() ? covered : contents.changes.back().lsn.value;
  if (last == 0) {
    return Error(ErrorCode::kCorrupt,
                 "no journal with a first change is left on the disks: either the format was cut "
                 "short (run varve mkfs again) or more disks than the parity allows have lost it");
  }
  if (!contents.changes.empty() && contents.changes.front().lsn.value != covered + 1) {
    return Error(ErrorCode::kCorrupt, "the journal begins with change " +
                                          std::to_string(contents.changes.front().lsn.value) +
                                          " but checkpoints end at " + std::to_string(covered));
  }
  if (catalog.applied_lsn().value > last) {
    return Error(ErrorCode::kCorrupt,
                 "the catalog knows change " + std::to_string(catalog.applied_lsn().value) +
                     " but journal and checkpoints end at " + std::to_string(last) +
                     ": more journal copies are lost than the parity allows; bring the missing "
                     "disks back");
  }
  return {};
}

}  // namespace

std::uint64_t HighestId(const Change& change) {
  std::uint64_t highest = 0;
  for (const Operation& operation : change.operations) {
    if (const auto* inode = std::get_if<PutInode>(&operation)) {
      highest = std::max({highest, inode->inode.value, inode->attributes.body.value});
    } else if (const auto* entry = std::get_if<PutEntry>(&operation)) {
      highest = std::max({highest, entry->entry.inode.value, entry->entry.cookie});
    } else if (const auto* write = std::get_if<WriteChunk>(&operation)) {
      highest = std::max(highest, write->body.value);
    } else if (const auto* put = std::get_if<PutChunk>(&operation)) {
      highest = std::max(highest, put->body.value);
    } else if (const auto* clone = std::get_if<CloneChunks>(&operation)) {
      highest = std::max({highest, clone->from.value, clone->to.value});
    }
  }
  return highest;
}

Result<Recovered> Recover(const RecoveryParts& parts) {
  const Uuid volume_uuid = parts.disks.label().volume_uuid;
  auto contents = ReadJournal(parts.disks, volume_uuid);
  if (!contents.ok()) return contents.error().In("reading the journal");
  for (const Finding& finding : contents->findings) parts.options.findings(finding);
  if (!contents->checkpoint && contents->changes.empty()) {
    return Error(ErrorCode::kCorrupt,
                 "the disks are labelled but hold no journal: the format was cut short (run varve "
                 "mkfs --force again) or more disks than the parity allows have lost it");
  }
  ASSIGN_OR_RETURN(std::shared_ptr<Catalog> catalog, OpenOrRebuild(parts, contents->checkpoint));
  RETURN_IF_ERROR(CheckLength(*contents, *catalog));
  if (contents->checkpoint) {
    Status caught_up = CatchUp(parts, catalog->applied_lsn(), *contents->checkpoint);
    if (!caught_up.ok()) return caught_up.error().In("bringing the catalog up to the checkpoint");
  }
  RETURN_IF_ERROR(SkipKnownSegments(parts, *contents));

  Recovered recovered;
  recovered.checkpointer =
      std::make_unique<Checkpointer>(parts.checkpoint_writer, contents->checkpoint);
  recovered.highest_id = catalog->highest_id();
  Batch batch;
  std::size_t unapplied = 0;
  for (Change& change : contents->changes) {
    recovered.highest_id = std::max(recovered.highest_id, HighestId(change));
    if (change.lsn > catalog->applied_lsn()) ++unapplied;
    batch.push_back(std::make_shared<Change>(std::move(change)));
    if (batch.size() == kReplayBatch) {
      RETURN_IF_ERROR(ReplayBatch(parts, catalog->applied_lsn(), *recovered.checkpointer, batch));
    }
  }
  RETURN_IF_ERROR(ReplayBatch(parts, catalog->applied_lsn(), *recovered.checkpointer, batch));
  if (unapplied > 0) {
    parts.progress("replayed " + std::to_string(unapplied) + " changes from the journal");
  }
  recovered.last = catalog->applied_lsn();
  recovered.last_time_ns = catalog->applied_time_ns();

  std::optional<CheckpointRef> head = contents->checkpoint;
  if (!recovered.checkpointer->empty()) {
    ASSIGN_OR_RETURN(Checkpointer::Link link, recovered.checkpointer->Write());
    parts.index.Add(link.placement);
    recovered.announce = AnnouncePlacement(link.placement);
    recovered.checkpointer->Accept(link.ref);
    head = link.ref;
  }
  ASSIGN_OR_RETURN(recovered.journal,
                   Journal::Start(parts.disks, volume_uuid, contents->last_sequence + 1, head,
                                  parts.options.journal));
  if (head) RETURN_IF_ERROR(recovered.journal->Checkpointed(*head));
  return recovered;
}

}  // namespace varve
