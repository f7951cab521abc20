// Random changes that keep every bound, for tests of the log's formats.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "store/log/change.h"

namespace varve {

// From VARVE_SEED, or `otherwise`; put SCOPED_TRACE(seed) around what uses it.
inline std::uint64_t SeedFromEnvironment(std::uint64_t otherwise) {
  const char* text = std::getenv("VARVE_SEED");
  std::uint64_t seed = text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
  std::printf("VARVE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

class RandomChanges {
 public:
  explicit RandomChanges(std::uint64_t seed) : random_(seed) {}

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }
  bool Coin() { return Below(2) == 0; }
  // Numbers of all magnitudes.
  std::uint64_t Number() { return random_() >> Below(64); }
  std::uint64_t Id() { return 1 + (random_() >> (1 + Below(62))); }

  std::string Text(std::size_t length_bytes) {
    std::string text;
    while (text.size() < length_bytes) {
      char c = static_cast<char>(Below(256));
      if (c != '/' && c != '\0' && c != '.') text += c;
    }
    return text;
  }
  std::string Name() { return Text(1 + Below(Coin() ? 255 : 8)); }

  // Compressible or not.
  ByteVector Bytes(std::size_t length_bytes) {
    ByteVector bytes(length_bytes);
    const bool flat = Coin();
    for (std::byte& b : bytes) b = static_cast<std::byte>(flat ? Below(2) : Below(256));
    return bytes;
  }

  ExtentRef Extent() {
    ExtentRef ref;
    ref.stripe = StripeId(Id());
    ref.column = static_cast<std::uint8_t>(Below(32));
    ref.raw_bytes = static_cast<std::uint32_t>(1 + Below(kChunkBytes));
    ref.codec = Coin() ? Codec::kLz4 : Codec::kNone;
    ref.stored_bytes = ref.codec == Codec::kNone
                           ? ref.raw_bytes
                           : static_cast<std::uint32_t>(1 + Below(ref.raw_bytes));
    ref.fragment_offset = static_cast<std::uint32_t>(
        Below(kMaxFragmentBytes - kFragmentHeaderBytes - ref.stored_bytes + 1));
    ref.checksum = random_();
    ref.in_blocks = ref.codec == Codec::kNone && Coin();
    return ref;
  }

  enum class Sources { kAtRest, kAll };
  PieceList Pieces(Sources sources) {
    PieceList pieces;
    std::uint32_t at = 0;
    std::shared_ptr<PendingExtent> shared;
    while (Coin() || pieces.empty()) {
      at += static_cast<std::uint32_t>(Coin() ? 0 : Below(9000));
      if (at >= kChunkBytes) break;
      Piece piece;
      piece.chunk_offset = at;
      piece.length = 1 + static_cast<std::uint32_t>(Below(std::min(kChunkBytes - at, 20000u)));
      std::uint64_t kind = sources == Sources::kAtRest ? 0 : Below(4);
      if (kind == 0) {
        do piece.extent = Extent();
        while (piece.extent.raw_bytes < piece.length);
        piece.raw_offset =
            static_cast<std::uint32_t>(Below(piece.extent.raw_bytes - piece.length + 1));
      } else if (kind == 1 && shared != nullptr && shared->raw_bytes() >= piece.length) {
        piece.pending = shared;
        piece.raw_offset = shared->raw_bytes() - piece.length;
      } else if (kind < 3) {
        piece.raw_offset = static_cast<std::uint32_t>(Below(kChunkBytes - piece.length + 1));
        shared = std::make_shared<PendingExtent>(Bytes(piece.raw_offset + piece.length));
        piece.pending = shared;
      }
      at = piece.end();
      pieces.push_back(std::move(piece));
    }
    return pieces;
  }

  InodeAttributes Attributes(TimeNs now) {
    InodeAttributes a;
    a.mode = static_cast<std::uint32_t>(random_());
    a.uid = static_cast<std::uint32_t>(Number());
    a.gid = static_cast<std::uint32_t>(Number());
    a.nlink = static_cast<std::uint32_t>(Below(3));
    a.size = Number();
    a.rdev = Number();
    a.atime_ns = Coin() ? now : static_cast<TimeNs>(random_());
    a.mtime_ns = Coin() ? now : static_cast<TimeNs>(random_());
    a.ctime_ns = now;
    a.birth_ns = Coin() ? now - 5 : static_cast<TimeNs>(random_());
    a.body = BodyId(Number());
    a.parent = InodeId(Number());
    if (Coin()) a.target = Text(Below(4097));
    a.sparse = Coin();
    return a;
  }

  SegmentDescriptor Segment() {
    SegmentDescriptor segment{SegmentId(1 + Below(1u << 30)), {}};
    for (std::uint8_t i = 0; i <= Below(8); ++i) segment.disks.emplace_back(i);
    return segment;
  }
  StripeDescriptor Stripe(SegmentId segment) {
    StripeDescriptor stripe;
    stripe.id = StripeId(segment, static_cast<std::uint32_t>(Below(1u << 20)));
    stripe.kind = Coin() ? StripeKind::kData : StripeKind::kCheckpoint;
    stripe.data = static_cast<std::uint8_t>(1 + Below(32));
    stripe.parity = static_cast<std::uint8_t>(Below(9));
    stripe.first_column = static_cast<std::uint8_t>(Below(8));
    stripe.file_offset = kFragmentAlign * Below(1u << 20);
    stripe.fragment_bytes = static_cast<std::uint32_t>(kFragmentAlign * (1 + Below(256)));
    stripe.epoch = Epoch(Number());
    for (int i = 0; i < stripe.columns(); ++i) stripe.checksums.push_back(random_());
    return stripe;
  }

  Operation AnyOperation(TimeNs now) {
    switch (Below(14)) {
      case 0:
        return PutInode{InodeId(Id()), Attributes(now)};
      case 1:
        return RemoveInode{InodeId(Id())};
      case 2:
        return PutEntry{
            InodeId(Id()),
            {Name(), InodeId(Id()), static_cast<std::uint32_t>(Below(16) << 12), Number()}};
      case 3:
        return RemoveEntry{InodeId(Id()), Name()};
      case 4:
        return PutXattr{InodeId(Id()), Name(), Text(Below(Coin() ? 65537 : 20))};
      case 5:
        return RemoveXattr{InodeId(Id()), Name()};
      case 6:
        return WriteChunk{BodyId(Id()), Below(1000), Pieces(Sources::kAll)};
      case 7:
        return PutChunk{BodyId(Id()), Below(1000), Pieces(Sources::kAtRest)};
      case 8:
        return CutChunks{BodyId(Id()), Below(1000)};
      case 11:
        return CloneChunks{BodyId(Id()),          Lsn{},        Below(1000), BodyId(Id()),
                           100'000 + Below(1000), 1 + Below(64)};
      case 9:
        return PutSnapshot{Name(), Lsn(Id()), static_cast<TimeNs>(random_())};
      case 10:
        return RemoveSnapshot{Name()};
      case 12:
        return PutSegment{Segment()};
      default:
        return PutStripe{Stripe(SegmentId(Id() % 1000 + 1))};
    }
  }

  Change Next(Lsn lsn, std::uint64_t most_operations = 12) {
    Change change;
    change.lsn = lsn;
    change.time_ns = static_cast<TimeNs>(random_());
    change.kind = static_cast<ChangeKind>(Below(16));
    for (std::uint64_t i = Below(most_operations + 1); i > 0; --i) {
      change.operations.push_back(AnyOperation(change.time_ns));
    }
    return change;
  }

 private:
  std::mt19937_64 random_;
};

// The encoded form tells two changes apart or the same, extents in memory included.
inline ByteVector EncodedChange(const Change& change) {
  Encoder out;
  EncodeChange(change, out);
  return out.Take();
}

}  // namespace varve
