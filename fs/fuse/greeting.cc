#include "fs/fuse/greeting.h"

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fs/fuse/operations.h"

namespace varve {

#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2

Status CompleteGreeting(fuse_session* /*session*/) { return {}; }

#else

namespace {

constexpr std::size_t kFlagsEnd = offsetof(fuse_init_out, flags) + sizeof(fuse_init_out::flags);

// As libfuse reads, but notes the greeting, if the kernel offers there what is to be asked for.
ssize_t Receive(int device, void* request, std::size_t size, void* userdata) {
  const ssize_t got = ::read(device, request, size);
  struct {
    fuse_in_header header;
    fuse_init_in init;
  } greeting{};
  constexpr std::size_t kOfferEnd =
      sizeof(greeting.header) + offsetof(fuse_init_in, flags) + sizeof(greeting.init.flags);
  if (got < static_cast<ssize_t>(kOfferEnd)) return got;
  std::memcpy(&greeting, request, kOfferEnd);
  if (greeting.header.opcode == FUSE_INIT && (greeting.init.flags & FUSE_HANDLE_KILLPRIV_V2) != 0) {
    static_cast<OperationsContext*>(userdata)->greeting.store(greeting.header.unique);
  }
  return got;
}

// As libfuse writes.
ssize_t Send(int device, iovec* parts, int count, void* userdata) {
  std::atomic<std::uint64_t>& greeting = static_cast<OperationsContext*>(userdata)->greeting;
  if (const std::uint64_t unique = greeting.load(std::memory_order_relaxed); unique != 0) {
    fuse_out_header header{};
    if (parts[0].iov_len == sizeof(header)) std::memcpy(&header, parts[0].iov_base, sizeof(header));
    if (header.unique == unique) {
      greeting.store(0);
      if (header.error == 0 && count == 2 && parts[1].iov_len >= kFlagsEnd) {
        static_cast<fuse_init_out*>(parts[1].iov_base)->flags |= FUSE_HANDLE_KILLPRIV_V2;
      }
    }
  }
  return ::writev(device, parts, count);
}

}  // namespace

Status CompleteGreeting(fuse_session* session) {
  fuse_custom_io io{};
  io.read = Receive;
  io.writev = Send;
  const int failed = fuse_session_custom_io(session, &io, fuse_session_fd(session));
  if (failed != 0) return Error::FromErrno(-failed, "speaking to the kernel");
  return {};
}

#endif

}  // namespace varve
