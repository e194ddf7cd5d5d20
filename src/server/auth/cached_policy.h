// The policy as the object cache has it: bindings are read when they change, a role when it is
// first asked for after a change. No decision reads the store. Loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/auth/rbac.h"
#include "server/cache/cache.h"

namespace knarr::server {

class CachedPolicy final : public PolicySource {
 public:
  explicit CachedPolicy(Cache& cache);
  ~CachedPolicy() override;

  // Once, when the cache has loaded; before that nobody is bound to anything.
  void start();

  void visit_bindings(const std::string& ns,
                      const std::function<bool(const Binding&)>& visit) const override;
  Rules rules(const RoleRef& role, const std::string& ns) const override;

 private:
  class Feed;
  static constexpr size_t kRolesKept = 256;
  void forget_roles() const;
  struct Read {
    ObjectRef object;
    Rules rules;
  };

  Cache& cache_;
  std::map<std::string, std::map<std::string, Binding>> bindings_;  // by namespace, then name
  std::unique_ptr<Feed> of_cluster_, of_namespaces_;
  mutable std::map<std::pair<std::string, std::string>, Read> roles_;  // "" is the cluster's
  mutable size_t forget_at_ = kRolesKept;                              // as many entries
};

}  // namespace knarr::server
