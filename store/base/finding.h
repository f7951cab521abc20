// A Finding: something that is not as it should be on a disk. Reads, the checker and disk opening
// produce it; the repairer makes a plan from it. It is the one noun that travels back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "store/base/ids.h"

namespace varve {

enum class FindingKind {
  kDiskMissing,        // a member disk is absent, foreign or failed
  kDiskStale,          // a disk of an older epoch: resync-only
  kFragmentMissing,    // a fragment's file or bytes are gone
  kFragmentCorrupt,    // a fragment fails its checksum or its identity
  kParityMismatch,     // fragments are valid one by one but parity does not fit data
  kExtentUnreadable,   // more than m fragments gone: bytes of a file are lost
  kCatalogMissing,     // no catalog, or one that cannot be opened
  kCatalogCorrupt,     // the catalog fails its own checks
  kCatalogDisagrees,   // the catalog differs from what checkpoints and journal say
  kJournalReplicaBad,  // a journal replica is missing or broken while another is whole
  kJournalUnclean,     // the journal holds changes not yet in a checkpoint (not damage)
  kOrphanFile,         // a segment file that nothing refers to (not damage)
};

enum class Severity { kNote, kRepairable, kLost };

struct Finding {
  FindingKind kind{};
  Severity severity = Severity::kRepairable;
  std::optional<DiskIndex> disk{};
  StripeId stripe{};        // 0 when it is not about a stripe
  std::uint8_t column = 0;  // of the stripe
  std::string what{};       // one line, names the thing
  std::string next_step{};  // one line, what to do about it
};

// Takes findings as they are made; called from any thread, must not block.
using FindingSink = std::function<void(const Finding&)>;

}  // namespace varve
