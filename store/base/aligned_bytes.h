// Memory that begins on a page boundary, as direct I/O and the kernel's replies want it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace varve {

inline constexpr std::size_t kPageAlign = 4096;

// Memory of any alignment with a page more, and before the boundary where it begins. Not aligned
// operator new: with glibc before 2.38 what that gave back is a little too short for the next of
// its size, so that it is taken anew again and again (docs/BENCHMARKS.md, "read with
// disks gone").
struct AlignedDelete {
  void operator()(std::byte* bytes) const {
    std::byte* begin = nullptr;
    std::memcpy(&begin, bytes - sizeof(begin), sizeof(begin));
    ::operator delete[](begin);
  }
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;

// `size_bytes` bytes, not cleared.
inline AlignedBytes MakeAlignedBytes(std::size_t size_bytes) {
  static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= sizeof(std::byte*));
  auto* const begin = static_cast<std::byte*>(::operator new[](size_bytes + kPageAlign));
  std::byte* const bytes =
      begin + kPageAlign - reinterpret_cast<std::uintptr_t>(begin) % kPageAlign;
  std::memcpy(bytes - sizeof(begin), &begin, sizeof(begin));
  return AlignedBytes(bytes);
}

}  // namespace varve
