// Writes checkpoint links and reads the chain back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/disk/disk_set.h"
#include "store/log/checkpoint.h"
#include "store/log/stripe_writer.h"

namespace varve {

// Collects applied changes until they are laid down as the next link. Used by the applier thread
// only. Memory: the encoded changes since the last link (the applier keeps that bounded).
class Checkpointer {
 public:
  // `head` is the newest link, if any.
  Checkpointer(StripeWriter& writer, std::optional<CheckpointRef> head);

  // Changes that are in the catalog; every extent has its place.
  void Add(std::span<const std::shared_ptr<Change>> changes);
  std::uint64_t buffered_bytes() const { return buffer_.size(); }
  bool empty() const { return !first_; }

  struct Link {
    CheckpointRef ref;
    Placement placement;  // to be announced by a change, so that the stripes are known
  };
  // Places the buffered changes as a link, durable on return; the buffer stays until Accept.
  Result<Link> Write();
  // The journal names `ref` now: the buffer is history.
  void Accept(const CheckpointRef& ref);

  const std::optional<CheckpointRef>& head() const { return head_; }
  // Decodes what is buffered: the changes after the head that are in the catalog.
  Result<std::vector<Change>> Buffered() const;

 private:
  StripeWriter& writer_;
  std::optional<CheckpointRef> head_;
  // Descriptors of the segments this writer has begun since the program started.
  std::vector<SegmentDescriptor> segments_;
  Encoder buffer_;
  Lsn first_;
  Lsn last_;
};

// Visits the changes of the chain that ends in `head` in LSN order, link by link, leaving out links
// that end at or before `after` (single changes at or before it may still come: applying is
// idempotent). While one link is visited a thread "varve-replay" reads the next; it has ended when
// this returns. Memory: two links. Reads through parity. kCorrupt or kDataLost when a link cannot
// be had.
Status ReplayChain(DiskSet& disks, const Uuid& volume_uuid, const CheckpointRef& head, Lsn after,
                   const std::function<Status(std::vector<Change>&)>& visit);

}  // namespace varve
