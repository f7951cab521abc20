#include "tools/copy_progress.h"

#include <algorithm>

#include "tools/text.h"

namespace varve {
namespace {

constexpr std::chrono::milliseconds kRedraw{200};
constexpr std::chrono::seconds kFirstLine{5};
constexpr std::chrono::seconds kLines{10};
constexpr std::size_t kBarWidth = 30;

}  // namespace

CopyProgress::CopyProgress(std::ostream& out, bool is_terminal, std::uint64_t total_bytes)
    : out_(out),
      is_terminal_(is_terminal),
      total_bytes_(total_bytes),
      begin_(std::chrono::steady_clock::now()),
      next_(begin_ + (is_terminal ? std::chrono::milliseconds(500) : kFirstLine)) {}

CopyProgress::~CopyProgress() {
  if (drawn_) out_ << "\r\x1b[K" << std::flush;
}

std::string CopyProgress::Describe(Time now) const {
  const double part =
      total_bytes_ == 0
          ? 1.0
          : std::min(1.0, static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_));
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  std::string text;
  if (is_terminal_) {
    const auto filled = static_cast<std::size_t>(part * kBarWidth);
    text = "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
  }
  text += FormatBytes(done_bytes_) + " of " + FormatBytes(total_bytes_);
  if (part > 0.01) {
    const auto left = static_cast<std::uint64_t>(elapsed / part - elapsed);
    text += ", " + std::to_string(left / 60) + ":" + (left % 60 < 10 ? "0" : "") +
            std::to_string(left % 60) + " left";
  }
  return text;
}

void CopyProgress::Add(std::uint64_t bytes) {
  done_bytes_ += bytes;
  const Time now = std::chrono::steady_clock::now();
  if (now < next_) return;
  if (is_terminal_) {
    out_ << "\r" << Describe(now) << "\x1b[K" << std::flush;
    drawn_ = true;
    next_ = now + kRedraw;
  } else {
    out_ << Describe(now) << std::endl;
    next_ = now + kLines;
  }
}

}  // namespace varve
