// Result<T>: a value or an Error. The only way an error from outside (client, disk, kernel, peer)
// travels in knarr. Code mirrors the reasons of a Kubernetes Status, so that the step from an Error
// to an HTTP answer is one switch.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "knarr/borrows.h"
#include "knarr/check.h"

namespace knarr {

enum class Code {
  kUnknown,  // 500 without a reason
  kBadRequest,
  kUnauthorized,
  kForbidden,
  kNotFound,
  kMethodNotAllowed,
  kNotAcceptable,
  kAlreadyExists,
  kConflict,
  kGone,
  kExpired,
  kInvalid,
  kRequestEntityTooLarge,
  kUnsupportedMediaType,
  kTooManyRequests,
  kServerTimeout,
  kTimeout,
  kInternalError,
  kServiceUnavailable,
  kCanceled,  // local only: the caller went away
};

// One cause of an error, as in meta/v1 StatusCause.
struct Cause {
  std::string reason;
  std::string message;
  std::string field;
};

// What a Status says beyond its message, as in meta/v1 StatusDetails. Empty members are not
// written.
struct ErrorDetails {
  std::string name;
  std::string group;
  std::string kind;
  std::string uid;
  std::vector<Cause> causes;
  int retry_after_seconds = 0;
};

struct Error {
  Code code = Code::kUnknown;
  std::string message;
  std::shared_ptr<const ErrorDetails> details;  // may be null
};

inline Error make_error(Code code, std::string message) {
  return Error{code, std::move(message), nullptr};
}

// An error of the kernel: "<what>: <strerror(errno_value)>", with the nearest Code.
Error errno_error(int errno_value, std::string what);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & KNARR_BORROWS {
    if (!ok()) check_failed("Result::ok()", state_error().message.c_str(), 0);
    return *std::get_if<0>(&state_);
  }
  const T& value() const& KNARR_BORROWS {
    if (!ok()) check_failed("Result::ok()", state_error().message.c_str(), 0);
    return *std::get_if<0>(&state_);
  }
  T&& value() && KNARR_BORROWS {
    if (!ok()) check_failed("Result::ok()", state_error().message.c_str(), 0);
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & KNARR_BORROWS { return value(); }
  const T& operator*() const& KNARR_BORROWS { return value(); }
  T&& operator*() && KNARR_BORROWS { return std::move(*this).value(); }
  T* operator->() KNARR_BORROWS { return &value(); }
  const T* operator->() const KNARR_BORROWS { return &value(); }

  const Error& error() const& KNARR_BORROWS {
    if (ok()) check_failed("!Result::ok()", __FILE__, __LINE__);
    return *std::get_if<1>(&state_);
  }
  Error&& error() && KNARR_BORROWS {
    if (ok()) check_failed("!Result::ok()", __FILE__, __LINE__);
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  const Error& state_error() const { return *std::get_if<1>(&state_); }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}  // NOLINT: implicit
  Result(const Result& other)
      : error_(other.error_ ? std::make_unique<Error>(*other.error_) : nullptr) {}
  Result(Result&&) noexcept = default;
  Result& operator=(Result other) noexcept {
    error_ = std::move(other.error_);
    return *this;
  }

  bool ok() const { return error_ == nullptr; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& KNARR_BORROWS {
    if (ok()) check_failed("!Result::ok()", __FILE__, __LINE__);
    return *error_;
  }
  Error&& error() && KNARR_BORROWS {
    if (ok()) check_failed("!Result::ok()", __FILE__, __LINE__);
    return std::move(*error_);
  }

 private:
  std::unique_ptr<Error> error_;
};

}  // namespace knarr

#define KNARR_CONCAT_(a, b) a##b
#define KNARR_CONCAT(a, b) KNARR_CONCAT_(a, b)

// TRY(expression): return the error of a Result from the enclosing function.
#define TRY(expression)                                     \
  do {                                                      \
    if (auto try_result = (expression); !try_result.ok()) { \
      return std::move(try_result).error();                 \
    }                                                       \
  } while (false)

// TRY_ASSIGN(auto value, expression): the same, keeping the value.
#define TRY_ASSIGN(lhs, expression)                         \
  auto KNARR_CONCAT(try_, __LINE__) = (expression);         \
  if (!KNARR_CONCAT(try_, __LINE__).ok()) {                 \
    return std::move(KNARR_CONCAT(try_, __LINE__)).error(); \
  }                                                         \
  lhs = std::move(KNARR_CONCAT(try_, __LINE__)).value()
