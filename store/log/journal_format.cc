#include "store/log/journal_format.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "store/codec/checksum.h"
#include "store/log/corrupt.h"

namespace varve {
namespace {

constexpr std::string_view kHeaderMagic = "VRVJSEG1";
constexpr std::string_view kFrameMagic = "VJFR";
constexpr std::size_t kHeaderChecksumAt = 80;
constexpr std::size_t kHeaderFixedBytes = 88;
constexpr std::size_t kFrameChecksumAt = 56;
constexpr std::size_t kSequenceDigits = 16;

// Checksum of `bytes` as if the eight bytes at `field` were zero: of what is before, continued over
// the zeros and what is after by way of the seed.
std::uint64_t ChecksumWithout(ByteSpan bytes, std::size_t field) {
  std::uint64_t before = Checksum(bytes.first(field));
  return Checksum(bytes.subspan(field + 8), before);
}

void PatchU64(std::uint64_t v, MutableByteSpan at) {
  for (std::size_t i = 0; i < 8; ++i) at[i] = static_cast<std::byte>(v >> (8 * i));
}

Uuid DecodeUuid(Decoder& in) {
  Uuid uuid;
  ByteSpan raw = in.Raw(uuid.bytes.size());
  std::copy(raw.begin(), raw.end(), uuid.bytes.begin());
  return uuid;
}

}  // namespace

std::string JournalObjectName(std::uint64_t sequence) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name(kJournalPrefix);
  for (int shift = 60; shift >= 0; shift -= 4) name += kDigits[(sequence >> shift) & 0xf];
  return name;
}

std::optional<std::uint64_t> ParseJournalObjectName(std::string_view name) {
  if (!name.starts_with(kJournalPrefix)) return std::nullopt;
  std::string_view digits = name.substr(kJournalPrefix.size());
  std::uint64_t sequence = 0;
  auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), sequence, /*base=*/16);
  if (digits.size() != kSequenceDigits || error != std::errc() ||
      end != digits.data() + digits.size() || JournalObjectName(sequence) != name) {
    return std::nullopt;
  }
  return sequence;
}

EncodedHeader EncodeJournalHeader(const JournalHeader& header) {
  Encoder reference;
  if (header.checkpoint.has_value()) EncodeCheckpointRef(*header.checkpoint, reference);
  const std::uint64_t length_bytes = RoundUpToBlock(kHeaderFixedBytes + reference.size());
  CHECK(length_bytes <= kMaxJournalHeaderBytes, "checkpoint reference too long for a header");
  Encoder out;
  out.Raw(kHeaderMagic);
  out.U32(kJournalVersion);
  out.U32(static_cast<std::uint32_t>(length_bytes / kJournalBlockBytes));
  out.Raw(ByteSpan(header.volume_uuid.bytes));
  out.U64(header.sequence);
  out.U64(header.epoch.value);
  out.Raw(ByteSpan(header.segment_uuid.bytes));
  out.U64(header.previous_last_lsn.value);
  out.U64(reference.size());
  CHECK(out.size() == kHeaderChecksumAt);
  out.U64(0);
  out.Raw(reference.bytes());
  out.Zeros(static_cast<std::size_t>(length_bytes) - out.size());
  EncodedHeader encoded;
  encoded.checksum = ChecksumWithout(out.bytes(), kHeaderChecksumAt);
  out.PatchU64(kHeaderChecksumAt, encoded.checksum);
  encoded.bytes = out.Take();
  return encoded;
}

Result<std::uint64_t> HeaderBytes(ByteSpan first_block) {
  Decoder in(first_block);
  if (AsText(in.Raw(kHeaderMagic.size())) != kHeaderMagic) return Corrupt("no journal header");
  in.U32();
  std::uint64_t blocks = in.U32();
  if (!in.ok() || blocks == 0 || blocks > kMaxJournalHeaderBytes / kJournalBlockBytes) {
    return Corrupt("journal header's length");
  }
  return blocks * kJournalBlockBytes;
}

Result<DecodedHeader> DecodeJournalHeader(ByteSpan bytes) {
  ASSIGN_OR_RETURN(std::uint64_t length_bytes, HeaderBytes(bytes));
  if (length_bytes != bytes.size()) return Corrupt("journal header cut short");
  DecodedHeader decoded;
  decoded.length_bytes = length_bytes;
  decoded.checksum = Decoder(bytes.subspan(kHeaderChecksumAt)).U64();
  if (ChecksumWithout(bytes, kHeaderChecksumAt) != decoded.checksum) {
    return Corrupt("journal header fails its checksum");
  }
  Decoder in(bytes.subspan(kHeaderMagic.size()));
  std::uint32_t version = in.U32();
  if (version != kJournalVersion) {
    return Error(ErrorCode::kUnsupported, "journal segment of format " + std::to_string(version) +
                                              ", this program reads " +
                                              std::to_string(kJournalVersion));
  }
  in.U32();
  JournalHeader& header = decoded.header;
  header.volume_uuid = DecodeUuid(in);
  header.sequence = in.U64();
  header.epoch = Epoch{in.U64()};
  header.segment_uuid = DecodeUuid(in);
  header.previous_last_lsn = Lsn{in.U64()};
  std::uint64_t reference_bytes = in.U64();
  in.U64();
  if (!in.ok() || reference_bytes > in.remaining()) return Corrupt("journal header's reference");
  if (reference_bytes > 0) {
    Decoder reference(in.Raw(static_cast<std::size_t>(reference_bytes)));
    ASSIGN_OR_RETURN(header.checkpoint, DecodeCheckpointRef(reference));
    if (!reference.AtEnd()) return Corrupt("bytes after the journal header's reference");
  }
  in.ExpectZeros(in.remaining());
  if (!in.ok()) return Corrupt("journal header's reserved bytes");
  return decoded;
}

std::uint64_t AppendFrame(FrameHeader header, ByteSpan payload, ByteVector& out) {
  CHECK(header.first && header.first <= header.last);
  const std::uint64_t count = header.last.value - header.first.value + 1;
  CHECK(count <= ~std::uint32_t{0}, "too many changes for one frame");
  header.payload_bytes = payload.size();
  Encoder fixed;
  fixed.Raw(kFrameMagic);
  fixed.U32(static_cast<std::uint32_t>(count));
  fixed.U64(header.epoch.value);
  fixed.U64(header.payload_bytes);
  fixed.U64(header.first.value);
  fixed.U64(header.last.value);
  fixed.U64(header.durable.value);
  fixed.U64(header.previous_checksum);
  CHECK(fixed.size() == kFrameChecksumAt);
  fixed.U64(0);
  const std::size_t begin = out.size();
  out.reserve(begin + static_cast<std::size_t>(header.frame_bytes()));
  out.insert(out.end(), fixed.bytes().begin(), fixed.bytes().end());
  out.insert(out.end(), payload.begin(), payload.end());
  out.resize(begin + static_cast<std::size_t>(header.frame_bytes()));
  MutableByteSpan frame = MutableByteSpan(out).subspan(begin);
  const std::uint64_t checksum = ChecksumWithout(frame, kFrameChecksumAt);
  PatchU64(checksum, frame.subspan(kFrameChecksumAt));
  return checksum;
}

Result<FrameHeader> DecodeFrameHeader(ByteSpan bytes) {
  Decoder in(bytes);
  if (AsText(in.Raw(kFrameMagic.size())) != kFrameMagic) return Corrupt("no journal frame");
  FrameHeader header;
  header.count = in.U32();
  header.epoch = Epoch{in.U64()};
  header.payload_bytes = in.U64();
  header.first = Lsn{in.U64()};
  header.last = Lsn{in.U64()};
  header.durable = Lsn{in.U64()};
  header.previous_checksum = in.U64();
  header.checksum = in.U64();
  if (!in.ok()) return Corrupt("journal frame cut short");
  // Bounds that keep the arithmetic on these fields from overflowing; the checksum says the rest.
  constexpr std::uint64_t kMaxPayloadBytes = 1ULL << 48;
  if (!header.first || header.last < header.first || header.last == kLsnNow ||
      header.last.value - header.first.value + 1 != header.count || header.count == 0 ||
      header.durable >= header.first || header.payload_bytes > kMaxPayloadBytes) {
    return Corrupt("journal frame's header");
  }
  return header;
}

bool FrameIsWhole(const FrameHeader& header, ByteSpan frame) {
  return frame.size() == header.frame_bytes() &&
         ChecksumWithout(frame, kFrameChecksumAt) == header.checksum;
}

}  // namespace varve
