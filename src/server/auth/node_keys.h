// Which machine a node is. Its Node object names a key (kNodeKeyAnnotation); a certificate of
// another key was given to a machine that had the name before, or wanted it, and is not the node's.
// Loop thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "server/auth/auth.h"
#include "server/cache/cache.h"

namespace knarr::server {

class NodeKeys {
 public:
  explicit NodeKeys(const Cache& cache) : cache_(cache) {}

  // Why a user is not the node whose name he has; empty: he is, or is no node. Who showed no
  // certificate is taken at his word, and so is everyone where the Node names no key.
  std::string objection(const UserInfo& user);
  // Whether there is a Node that tells.
  bool is_there(const std::string& node) const;

 private:
  struct Known {
    int64_t revision = 0;
    std::string key;
  };

  const Cache& cache_;
  std::map<std::string, Known> known_;  // by the node's name, as of that revision
};

}  // namespace knarr::server
