#include "store/repair/reference_scan.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

namespace varve {
namespace {

// Stripe geometries and extents known to be good are remembered up to here, then forgotten and
// learnt again: memory stays bounded on any volume.
constexpr std::size_t kMaxRemembered = 1 << 16;
constexpr std::size_t kMaxHurtUses = 1'000'000;

const BadStripe* FindBad(const std::vector<BadStripe>& stripes, StripeId id) {
  const auto at = std::ranges::lower_bound(stripes, id, {}, &BadStripe::id);
  return at != stripes.end() && at->id == id ? &*at : nullptr;
}

bool ByName(const DamagedVersion& a, const DamagedVersion& b) {
  return std::tie(a.path, a.lsn) < std::tie(b.path, b.lsn);
}

class ReferenceScan {
 public:
  ReferenceScan(const RepairContext& context, const CheckOptions& options, CheckLog& log,
                CheckReport& report)
      : context_(context), options_(options), log_(log), report_(report) {}

  Status Run() {
    log_.BeginPhase(deep() ? "reading every version" : "checking references", 0);
    const Status scanned = context_.catalog.ForEachChunk(
        [&](const Catalog::ExtentUse& use) -> Status { return VisitChunk(use); });
    if (!scanned.ok() && scanned.error().code() == ErrorCode::kCancelled && log_.Cancelled()) {
      return {};
    }
    RETURN_IF_ERROR(scanned);
    RETURN_IF_ERROR(NameLost());
    return NameHurt();
  }

 private:
  // What a reference needs to know of its stripe; nothing: there is no such stripe.
  struct Bounds {
    std::uint8_t data = 0;
    std::uint8_t columns = 0;
    std::uint32_t payload_bytes = 0;
  };

  bool deep() const { return options_.depth == CheckDepth::kDeep; }

  Status VisitChunk(const Catalog::ExtentUse& use) {
    if (log_.Cancelled()) return Error(ErrorCode::kCancelled, "the check was cancelled");
    for (const Piece& piece : use.pieces) {
      if (piece.IsHole()) continue;
      ++report_.extents;
      ASSIGN_OR_RETURN(const std::optional<Bounds> bounds, BoundsOf(piece.extent.stripe));
      if (!bounds.has_value() || !Fits(piece.extent, *bounds)) {
        NoteBadReference(use, piece.extent);
        AddDamage(lost_, use, piece.extent);
        continue;
      }
      RETURN_IF_ERROR(VisitExtent(use, piece.extent, *bounds));
    }
    return {};
  }

  Status VisitExtent(const Catalog::ExtentUse& use, const ExtentRef& extent, const Bounds& bounds) {
    if (FindBad(report_.beyond, extent.stripe) != nullptr) {
      // Some of the bytes of such a stripe can still be had: only reading tells.
      ASSIGN_OR_RETURN(const bool readable, TryRead(extent));
      AddDamage(readable ? hurt_ : lost_, use, extent);
      return {};
    }
    if (deep()) {
      ASSIGN_OR_RETURN(const bool readable, TryRead(extent));
      if (!readable) {
        NoteUnreadable(extent);
        AddDamage(lost_, use, extent);
        return {};
      }
    }
    if (const BadStripe* bad = FindBad(report_.mendable, extent.stripe)) {
      const std::uint64_t own = std::uint64_t{1} << extent.column;
      const std::uint64_t parity = bad->damaged >> bounds.data;
      // A bad parity column leaves all that the stripe holds with less redundancy.
      if ((bad->damaged & own) != 0 || parity != 0) AddDamage(hurt_, use, extent);
    }
    return {};
  }

  static bool Fits(const ExtentRef& extent, const Bounds& bounds) {
    return extent.column < bounds.data &&
           std::uint64_t{extent.fragment_offset} + extent.stored_bytes <= bounds.payload_bytes;
  }

  Result<std::optional<Bounds>> BoundsOf(StripeId id) {
    if (const auto known = bounds_.find(id); known != bounds_.end()) return known->second;
    ASSIGN_OR_RETURN(const auto stripe, context_.catalog.GetStripe(id));
    std::optional<Bounds> bounds;
    if (stripe.has_value() && stripe->fragment_bytes > kFragmentHeaderBytes) {
      bounds = Bounds{.data = stripe->data,
                      .columns = static_cast<std::uint8_t>(stripe->columns()),
                      .payload_bytes = stripe->payload_bytes()};
    }
    if (bounds_.size() >= kMaxRemembered) bounds_.clear();
    bounds_.emplace(id, bounds);
    return bounds;
  }

  // False when the bytes are gone for good; an error when it cannot be told.
  Result<bool> TryRead(const ExtentRef& extent) {
    const ExtentKey key = KeyOf(extent);
    if (const auto known = readable_.find(key); known != readable_.end()) return known->second;
    buffer_.resize(extent.raw_bytes);
    const Status read = context_.reader.ReadExtent(extent, buffer_);
    if (!read.ok() && read.error().code() == ErrorCode::kCancelled) return read.error();
    log_.Advance(extent.raw_bytes);
    if (readable_.size() >= kMaxRemembered) readable_.clear();
    readable_.emplace(key, read.ok());
    return read.ok();
  }

  void NoteBadReference(const Catalog::ExtentUse& use, const ExtentRef& extent) {
    log_.Add({.kind = FindingKind::kCatalogCorrupt,
              .severity = Severity::kLost,
              .disk = {},
              .stripe = extent.stripe,
              .column = extent.column,
              .what = "chunk " + std::to_string(use.chunk) + " of body " +
                      std::to_string(use.body.value) + " points outside of stripe " +
                      HexId(extent.stripe),
              .next_step = "remove the catalog's object from its disk and check again: it is "
                           "made anew from the log"});
  }

  void NoteUnreadable(const ExtentRef& extent) {
    log_.Add({.kind = FindingKind::kExtentUnreadable,
              .severity = Severity::kLost,
              .disk = {},
              .stripe = extent.stripe,
              .column = extent.column,
              .what = "an extent in stripe " + HexId(extent.stripe) + " column " +
                      std::to_string(extent.column) +
                      " fails its checksum although its stripe is whole",
              .next_step = "restore the files named from an earlier version"});
  }

  using DamageByBody = std::map<BodyId, BodyDamage>;
  void AddDamage(DamageByBody& damage, const Catalog::ExtentUse& use, const ExtentRef& extent) {
    // All that is lost is named, but of what can be mended only so much is remembered.
    if (&damage == &hurt_ && ++hurt_uses_ > kMaxHurtUses) {
      ++report_.hurt_not_named;
      return;
    }
    BodyDamage& body = damage[use.body];
    body.chunks[use.chunk].insert(use.from);
    body.extents.insert(KeyOf(extent));
  }

  Status NameLost() {
    for (const auto& [body, damage] : lost_) {
      RETURN_IF_ERROR(AppendVersionsHurt(context_.catalog, body, damage, report_.lost));
    }
    std::ranges::sort(report_.lost, ByName);
    if (lost_.empty()) return {};
    log_.Add(
        {.kind = FindingKind::kExtentUnreadable,
         .severity = Severity::kLost,
         .disk = {},
         .stripe = {},
         .what =
             "bytes of " + std::to_string(report_.lost.size()) + " versions of files cannot be had",
         .next_step = "give the missing disks back, or restore other versions of these files"});
    return {};
  }

  Status NameHurt() {
    for (const auto& [body, damage] : hurt_) {
      if (report_.hurt.size() >= options_.max_hurt_files) {
        report_.hurt_not_named += damage.extents.size();
        continue;
      }
      RETURN_IF_ERROR(AppendVersionsHurt(context_.catalog, body, damage, report_.hurt));
    }
    std::ranges::sort(report_.hurt, ByName);
    return {};
  }

  const RepairContext& context_;
  const CheckOptions& options_;
  CheckLog& log_;
  CheckReport& report_;
  std::unordered_map<StripeId, std::optional<Bounds>> bounds_;
  std::map<ExtentKey, bool> readable_;
  ByteVector buffer_;
  DamageByBody lost_;
  DamageByBody hurt_;
  std::size_t hurt_uses_ = 0;
};

}  // namespace

Status ScanReferences(const RepairContext& context, const CheckOptions& options, CheckLog& log,
                      CheckReport& report) {
  return ReferenceScan(context, options, log, report).Run();
}

}  // namespace varve
