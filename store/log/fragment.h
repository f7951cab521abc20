// Fragments at their place on the disks: which disk, and writing one anew (repair).
#pragma once

#include "store/disk/disk_set.h"
#include "store/log/stripe_reader.h"

namespace varve {

// kCorrupt unless the stripe belongs to the segment and fits in its columns. Everything below and
// StripeReader need that, for a location may come from a disk.
Status CheckLocation(const StripeLocation& location);

// CheckLocation, and kCorrupt unless the extent lies in one of that very stripe's data columns.
Status CheckExtent(const StripeLocation& location, const ExtentRef& extent);

// The disk that holds column `column` (0 <= column < columns()) of the stripe. CHECKs the range;
// CheckLocation comes first.
DiskIndex DiskOfColumn(const StripeLocation& location, int column);

// Writes one fragment at its place in the column's object, which is created if absent, without
// syncing it. `fragment` (fragment_bytes long) has the payload behind the room for the header,
// which is filled in here. The payload must be the one whose checksum the stripe has: that is
// CHECKed, for parity and repair are made from verified bytes only. kDiskLost when the disk is not
// online. Other fragments are not touched.
Status WriteFragment(DiskSet& disks, const Uuid& volume_uuid, const StripeLocation& location,
                     int column, MutableByteSpan fragment);

// Makes every fragment written to the segment's object on `disk` durable, and its name. After an
// error the disk must be treated as failed.
Status SyncSegmentColumn(DiskSet& disks, SegmentId segment, DiskIndex disk);

}  // namespace varve
