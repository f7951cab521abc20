#include "store/catalog/fold_note.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "store/catalog/catalog.h"
#include "store/catalog/vfs_pages.h"
#include "store/codec/checksum.h"

namespace varve {
namespace {

constexpr std::uint32_t kNoteMagic = 0x444c4f46;  // "FOLD"
constexpr std::uint64_t kNoteLimitBytes = 4096;

using LogHeader = std::array<std::byte, kLogHeaderBytes>;

std::string NoteObject() { return std::string(kCatalogObject) + "-fold"; }
std::string LogObject() { return std::string(kCatalogObject) + "-wal"; }

// Nothing if there is no log, or none with frames in it.
Result<std::optional<LogHeader>> ReadLogHeader(Disk& disk) {
  auto file = disk.Open(LogObject(), OpenMode::kRead);
  if (!file.ok()) {
    if (file.error().code() == ErrorCode::kNotFound) return std::optional<LogHeader>();
    return file.error();
  }
  LogHeader header;
  ASSIGN_OR_RETURN(const std::size_t got, (*file)->Read(0, header));
  ASSIGN_OR_RETURN(const std::uint64_t size_bytes, (*file)->Size());
  if (got < header.size() || size_bytes <= header.size()) return std::optional<LogHeader>();
  return std::optional<LogHeader>(header);
}

// SQLite's own check of the header (sqlite.org/fileformat2.html, "Checksum Algorithm"): the magic's
// lowest bit says the byte order of the words that are summed; the sums themselves are big-endian.
bool LogHeaderIsValid(const LogHeader& header) {
  const auto word = [&](std::size_t at, bool big_endian) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto byte = std::to_integer<std::uint32_t>(header[at + i]);
      value |= byte << (8 * (big_endian ? 3 - i : i));
    }
    return value;
  };
  const std::uint32_t magic = word(0, true);
  if ((magic & ~1u) != 0x377f0682) return false;
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  for (std::size_t at = 0; at < 24; at += 8) {
    first += word(at, (magic & 1) != 0) + second;
    second += word(at + 4, (magic & 1) != 0) + first;
  }
  return word(24, true) == first && word(28, true) == second;
}

}  // namespace

Status WriteFoldNote(Disk& disk, std::uint64_t frames) {
  ASSIGN_OR_RETURN(const auto header, ReadLogHeader(disk));
  if (!header) return {};
  // The log first: a note of frames that a power cut can still take away would be a false alarm.
  ASSIGN_OR_RETURN(const auto log, disk.Open(LogObject(), OpenMode::kReadWrite));
  RETURN_IF_ERROR(log->Sync());
  Encoder out;
  out.U32(kNoteMagic);
  out.Raw(ByteSpan(*header));
  out.U64(frames);
  out.U64(Checksum(out.bytes()));
  return WriteAtomically(disk, NoteObject(), out.bytes());
}

Status RemoveFoldNote(Disk& disk) {
  auto removed = disk.Remove(NoteObject());
  if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
  return {};
}

Result<std::uint64_t> ReadFoldNote(Disk& disk) {
  auto bytes = ReadWhole(disk, NoteObject(), kNoteLimitBytes);
  if (!bytes.ok()) {
    if (bytes.error().code() == ErrorCode::kNotFound) return std::uint64_t{0};
    return bytes.error();
  }
  ASSIGN_OR_RETURN(const auto header, ReadLogHeader(disk));
  // A log is cut or removed only when all of it has been folded.
  if (!header) return std::uint64_t{0};
  if (!LogHeaderIsValid(*header)) {
    return Error(ErrorCode::kCorrupt, LogObject() + ": the header is broken");
  }
  Decoder in(*bytes);
  const std::uint32_t magic = in.U32();
  const ByteSpan noted = in.Raw(kLogHeaderBytes);
  const std::uint64_t frames = in.U64();
  const std::size_t summed_bytes = in.position();
  const std::uint64_t checksum = in.U64();
  if (!in.AtEnd() || magic != kNoteMagic ||
      checksum != Checksum(ByteSpan(*bytes).first(summed_bytes))) {
    return Error(ErrorCode::kCorrupt, NoteObject() + ": cannot be read");
  }
  // Another header: the log has begun anew since, and nothing of it has been folded.
  const bool is_same = std::equal(header->begin(), header->end(), noted.begin(), noted.end());
  return is_same ? frames : std::uint64_t{0};
}

}  // namespace varve
