#include "store/disk/disk.h"

#include <algorithm>

namespace varve {
namespace {

constexpr std::size_t kMaxNameBytes = 200;

bool IsNameByte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

// A part of a name between slashes. "." and ".." are refused: they would name something else.
bool IsNamePart(std::string_view part) {
  return !part.empty() && part != "." && part != ".." && std::ranges::all_of(part, IsNameByte);
}

// What was read from a damaged disk may not be fit to print.
std::string Printable(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kMaxNameBytes + 1)) {
    out += c >= ' ' && c <= '~' ? c : '?';
  }
  return out;
}

Status WriteTemporary(Disk& disk, const std::string& temporary, ByteSpan bytes) {
  ASSIGN_OR_RETURN(auto file, disk.Open(temporary, OpenMode::kCreate));
  // One left behind by a crash may be longer.
  RETURN_IF_ERROR(file->Truncate(0));
  RETURN_IF_ERROR(file->Write(0, bytes));
  return file->Sync();
}

}  // namespace

Status DiskFile::WriteSynced(std::uint64_t offset, ByteSpan bytes) {
  RETURN_IF_ERROR(Write(offset, bytes));
  return Sync();
}

Status CheckObjectName(std::string_view name) {
  std::size_t slash = name.find('/');
  bool valid = slash == std::string_view::npos
                   ? IsNamePart(name)
                   : IsNamePart(name.substr(0, slash)) && IsNamePart(name.substr(slash + 1));
  if (!valid || name.size() > kMaxNameBytes) {
    return Error(ErrorCode::kInvalidArgument, "'" + Printable(name) + "' is not an object name");
  }
  return {};
}

Result<ByteVector> ReadWhole(Disk& disk, std::string_view name, std::uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(auto file, disk.Open(name, OpenMode::kRead));
  ASSIGN_OR_RETURN(std::uint64_t size_bytes, file->Size());
  if (size_bytes > limit_bytes) {
    return Error(ErrorCode::kTooLarge, std::string(name) + " has " + std::to_string(size_bytes) +
                                           " bytes; the limit is " + std::to_string(limit_bytes));
  }
  ByteVector bytes(static_cast<std::size_t>(size_bytes));
  ASSIGN_OR_RETURN(std::size_t got_bytes, file->Read(0, bytes));
  bytes.resize(got_bytes);
  return bytes;
}

Status WriteAtomically(Disk& disk, std::string_view name, ByteSpan bytes) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const std::string temporary = std::string(name) + ".tmp";
  RETURN_IF_ERROR(CheckObjectName(temporary));
  Status written = WriteTemporary(disk, temporary, bytes);
  if (written.ok()) written = disk.Rename(temporary, name);
  if (!written.ok()) {
    // Only tidiness: the next WriteAtomically of this name would overwrite it, so that a failure
    // to remove it adds nothing to the error that is returned.
    static_cast<void>(disk.Remove(temporary).ok());
    return written.error().In("writing " + std::string(name));
  }
  return disk.SyncNames();
}

}  // namespace varve
