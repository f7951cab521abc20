// Reads fragments and parts of them from the disks that hold them.
#pragma once

#include <cstdint>
#include <unordered_set>

#include "store/base/synchronized.h"
#include "store/log/column_files.h"
#include "store/log/stripe_reader.h"

namespace varve {

// Thread-safe. Keeps column files open (a bounded number), and in mind what it has reported.
class ColumnReader {
 public:
  ColumnReader(DiskSet& disks, const Uuid& volume_uuid, FindingSink findings);

  // Bytes of a column from `offset` in its fragment, header included; all or an error: kDiskLost,
  // kNotFound (the object is not there, or ends before), kIo. Not verified.
  Status ReadRange(const StripeLocation& location, int column, std::uint64_t offset,
                   MutableByteSpan out);
  // See StripeReader, whose checks of the location come first.
  Status ReadFragment(const StripeLocation& location, int column, MutableByteSpan fragment);
  Status VerifyFragment(const StripeLocation& location, int column);

  // Makes a finding of what is wrong with a fragment, once, unless it is no wonder: see
  // StripeReader.
  void Report(const StripeLocation& location, int column, const Error& error);
  // All disks that the stripe's data lies on are there.
  bool IsWhole(const StripeLocation& location) const;
  // Closes the files of a disk.
  void Forget(DiskIndex slot) { files_.Forget(slot); }

  // Where long runs are read to, by direct reads: one a thread, kept, the size of the longest
  // fragment.
  static MutableByteSpan RunBuffer();

 private:
  Status CheckFragment(const StripeLocation& location, int column, ByteSpan header,
                       ByteSpan payload) const;

  DiskSet& disks_;
  const Uuid volume_uuid_;
  const FindingSink findings_;
  ColumnFiles files_;
  Synchronized<std::unordered_set<std::uint64_t>> reported_;
};

}  // namespace varve
