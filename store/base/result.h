// Expected failure as a value: Result<T> holds a T or an Error.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "store/base/check.h"

namespace varve {

// What went wrong, in the domain's words. fs/fuse/errno_map turns it into an errno.
enum class ErrorCode {
  kNotFound,         // the named thing does not exist
  kExists,           // it exists and must not
  kInvalidArgument,  // the caller's words make no sense
  kPermission,       // the caller may not
  kNotDirectory,
  kIsDirectory,
  kNotEmpty,
  kNameTooLong,
  kTooLarge,     // past a limit that is stated
  kNoSpace,      // the disks are full
  kReadOnly,     // the volume or the past cannot be written
  kUnsupported,  // a valid wish that Varve does not grant
  kBusy,         // in use, or would close a cycle
  kIo,           // a disk answered with an error
  kCorrupt,      // bytes were read that fail their checksum or their bounds
  kDataLost,     // more than m fragments are gone: these bytes cannot be had
  kStale,        // belongs to an older epoch or to another volume
  kDiskLost,     // a disk is missing or failed
  kTooFewDisks,  // fewer disks than redundancy needs
  kCancelled,    // shutting down
};

std::string_view ToString(ErrorCode code);

// An error with one line of context per layer, outermost first, and the os errno where it began.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message, int os_errno = 0)
      : code_(code), os_errno_(os_errno), message_(std::move(message)) {}

  // From a failed system call; `what` names the call and its object.
  static Error FromErrno(int os_errno, std::string what);

  ErrorCode code() const { return code_; }
  int os_errno() const { return os_errno_; }
  const std::string& message() const { return message_; }

  // The same error with `context` said first: "reading label: open: No such file or directory".
  Error In(std::string_view context) const;

 private:
  ErrorCode code_;
  int os_errno_;
  std::string message_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // From what converts to T, a unique_ptr to a derived class for one.
  template <typename U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error> &&
             !std::is_same_v<std::remove_cvref_t<U>, Result<T>>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    CHECK(ok(), error().message());
    return std::get<0>(state_);
  }
  const T& value() const& {
    CHECK(ok(), error().message());
    return std::get<0>(state_);
  }
  T&& value() && {
    CHECK(ok(), error().message());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    CHECK(!ok(), "error() of a Result that holds a value");
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    CHECK(!ok(), "error() of a Status that is ok");
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace varve

#define VARVE_CONCAT_INNER(a, b) a##b
#define VARVE_CONCAT(a, b) VARVE_CONCAT_INNER(a, b)

// Evaluates a Result and returns its error from the enclosing function if it failed.
#define RETURN_IF_ERROR(expression)                             \
  do {                                                          \
    if (auto varve_status = (expression); !varve_status.ok()) { \
      return varve_status.error();                              \
    }                                                           \
  } while (false)

// ASSIGN_OR_RETURN(auto x, Compute()): x is the value, or the error is returned.
#define ASSIGN_OR_RETURN(lhs, expression) \
  ASSIGN_OR_RETURN_INNER(VARVE_CONCAT(varve_result_, __LINE__), lhs, expression)
#define ASSIGN_OR_RETURN_INNER(tmp, lhs, expression) \
  auto tmp = (expression);                           \
  if (!tmp.ok()) return tmp.error();                 \
  lhs = std::move(tmp).value()
