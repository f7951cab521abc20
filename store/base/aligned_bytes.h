// Memory that begins on a page boundary, as direct I/O and the kernel's replies want it.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace varve {

inline constexpr std::align_val_t kPageAlign{4096};

struct AlignedDelete {
  void operator()(std::byte* bytes) const { ::operator delete[](bytes, kPageAlign); }
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;

// `size_bytes` bytes, not cleared.
inline AlignedBytes MakeAlignedBytes(std::size_t size_bytes) {
  return AlignedBytes(static_cast<std::byte*>(::operator new[](size_bytes, kPageAlign)));
}

}  // namespace varve
