// What include/knarr declares and is not inline.
#include "knarr/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace knarr {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

namespace {

Code code_of(int errno_value) {
  switch (errno_value) {
    case ENOENT:
    case ESRCH: return Code::kNotFound;
    case EEXIST: return Code::kAlreadyExists;
    case EACCES:
    case EPERM: return Code::kForbidden;
    case ETIMEDOUT: return Code::kTimeout;
    case EINVAL: return Code::kInvalid;
    case ENOSPC:
    case ECONNREFUSED: return Code::kServiceUnavailable;
    case ECANCELED: return Code::kCanceled;
    default: return Code::kInternalError;
  }
}

}  // namespace

Error errno_error(int errno_value, std::string what) {
  what += ": ";
  what += std::strerror(errno_value);
  return make_error(code_of(errno_value), std::move(what));
}

}  // namespace knarr
