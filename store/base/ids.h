// Strong ids: numbers that cannot be mistaken for one another.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace varve {

template <typename Tag, typename Rep = std::uint64_t>
struct StrongId {
  using rep = Rep;
  Rep value = 0;

  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep v) : value(v) {}
  constexpr auto operator<=>(const StrongId&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
};

// A file, directory or other node for its whole life; never used again. The root is 1; 0 is none.
using InodeId = StrongId<struct InodeIdTag>;
// The bytes of a file between two truncations to nothing. An inode names its present body.
using BodyId = StrongId<struct BodyIdTag>;
// Position in the history: every Change has one, in the order in which it happened. 0 is before
// everything; Lsn{1} is the creation of the volume.
using Lsn = StrongId<struct LsnTag>;
// Membership generation: goes up by one whenever the volume goes on without a disk.
using Epoch = StrongId<struct EpochTag>;
// One append-only file per member disk, together a segment.
using SegmentId = StrongId<struct SegmentIdTag>;
// Index of a disk slot in the volume, 0 .. disk_count-1; a replacement takes over its slot.
using DiskIndex = StrongId<struct DiskIndexTag, std::uint8_t>;

// A stripe: its segment and its number in it. Never used again.
struct StripeId {
  std::uint64_t value = 0;
  static constexpr int kIndexBits = 20;

  constexpr StripeId() = default;
  constexpr explicit StripeId(std::uint64_t v) : value(v) {}
  constexpr StripeId(SegmentId segment, std::uint32_t index)
      : value(segment.value << kIndexBits | index) {}
  constexpr SegmentId segment() const { return SegmentId(value >> kIndexBits); }
  constexpr std::uint32_t index() const {
    return static_cast<std::uint32_t>(value & ((1u << kIndexBits) - 1));
  }
  constexpr auto operator<=>(const StripeId&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
};

inline constexpr InodeId kRootInode{1};
inline constexpr Lsn kLsnNow{~0ULL};  // as a moment: the present, whatever it is
inline constexpr Lsn kLsnFirst{1};

}  // namespace varve

template <typename Tag, typename Rep>
struct std::hash<varve::StrongId<Tag, Rep>> {
  std::size_t operator()(const varve::StrongId<Tag, Rep>& id) const noexcept {
    return static_cast<std::size_t>(id.value * 0x9E3779B97F4A7C15ULL);
  }
};
template <>
struct std::hash<varve::StripeId> {
  std::size_t operator()(const varve::StripeId& id) const noexcept {
    return static_cast<std::size_t>(id.value * 0x9E3779B97F4A7C15ULL);
  }
};
