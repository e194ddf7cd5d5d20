// A network namespace that the calling thread is in for a while. Blocking, short.
#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::agent {

class InNamespace {
 public:
  // `path` is what an error calls it.
  static Result<std::unique_ptr<InNamespace>> enter(int target, const std::string& path);
  ~InNamespace();  // home again
  InNamespace(const InNamespace&) = delete;
  InNamespace& operator=(const InNamespace&) = delete;

 private:
  explicit InNamespace(base::UniqueFd home) : home_(std::move(home)) {}
  base::UniqueFd home_;
};

}  // namespace knarr::agent
