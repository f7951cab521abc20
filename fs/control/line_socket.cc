#include "fs/control/line_socket.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>

namespace varve {

Status LineSocket::SetPatience(std::chrono::milliseconds patience) {
  timeval time{};
  time.tv_sec = patience.count() / 1000;
  time.tv_usec = patience.count() % 1000 * 1000;
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (::setsockopt(fd_.get(), SOL_SOCKET, option, &time, sizeof(time)) != 0) {
      return Error::FromErrno(errno, "setting the control socket's timeout");
    }
  }
  return {};
}

Result<std::string> LineSocket::ReadLine(std::size_t limit_bytes) {
  std::size_t searched = 0;
  while (true) {
    const std::size_t newline = ahead_.find('\n', searched);
    if (newline != std::string::npos && newline < limit_bytes) {
      std::string line = ahead_.substr(0, newline);
      ahead_.erase(0, newline + 1);
      return line;
    }
    if (ahead_.size() >= limit_bytes) {
      return Error(ErrorCode::kTooLarge,
                   "a line of more than " + std::to_string(limit_bytes) + " bytes");
    }
    searched = ahead_.size();
    std::array<char, 16 * 1024> buffer{};
    const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return Error(ErrorCode::kIo, "the other side takes too long", ETIMEDOUT);
    }
    if (count < 0) return Error::FromErrno(errno, "reading from the control socket");
    if (count == 0) return Error(ErrorCode::kNotFound, "the other side has hung up");
    ahead_.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

Status LineSocket::WriteLine(std::string_view line) {
  std::string text(line);
  text += '\n';
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count = ::send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::FromErrno(errno, "writing to the control socket");
    sent += static_cast<std::size_t>(count);
  }
  return {};
}

void LineSocket::Interrupt() { ::shutdown(fd_.get(), SHUT_RD); }

}  // namespace varve
