// Lines over a connected stream socket, bounded in length and in time.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace varve {

// Used by one thread at a time, but for Interrupt.
class LineSocket {
 public:
  explicit LineSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  // How long one read or write may take; zero: for ever.
  Status SetPatience(std::chrono::milliseconds patience);
  // The next line, without its newline. kNotFound at the end, kTooLarge beyond `limit_bytes`,
  // kIo when the other side takes too long.
  Result<std::string> ReadLine(std::size_t limit_bytes);
  Status WriteLine(std::string_view line);
  // Makes a read under way, or the next, see the end. From any thread.
  void Interrupt();
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::string ahead_;  // read, but behind the last line
};

}  // namespace varve
