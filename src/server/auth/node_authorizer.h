// What a node's credentials (user system:node:<name>, group system:nodes) are good for: its own
// Node and lease, the pods bound to it, and what those pods refer to; for nothing when they are of
// another machine than the node's (node_keys.h). Objects that are not of one
// node it may use as the role system:node says. What relates to a node is looked up in the cache
// when it is asked for: nothing is kept. Loop thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/auth/auth.h"
#include "server/auth/node_keys.h"
#include "server/cache/cache.h"

namespace knarr::server {

// The name of the node whose credentials these are; null when they are no node's. It may be empty.
const char* node_name(const UserInfo& user);

class NodeAuthorizer final : public Authorizer {
 public:
  explicit NodeAuthorizer(const Cache& cache);

  Decision authorize(const Attributes& attributes) override;
  AccessRules rules_of(const UserRef& user, const std::string& ns) override;

 private:
  enum class Thing;
  // How requests for one kind of object are told apart.
  Decision read_object(const std::string& node, Thing thing, const Attributes& a) const;
  Decision get_object(const std::string& node, Thing thing, const Attributes& a) const;
  Decision related(const std::string& node, Thing thing, const Attributes& a) const;
  Decision account(const std::string& node, const Attributes& a) const;
  Decision claim(const std::string& node, const Attributes& a) const;
  Decision slice(const std::string& node, const Attributes& a) const;
  Decision own_node(const std::string& node, const Attributes& a) const;
  Decision pod(const std::string& node, const Attributes& a) const;

  bool is_related(const std::string& node, Thing thing, const std::string& ns,
                  const std::string& name) const;
  bool pods_refer(const std::string& node, Thing thing, const std::string& ns,
                  const std::string& name) const;
  bool volume_is_used(const std::string& node, const json::Value& volume) const;
  bool volumes_refer(const std::string& node, const std::string& ns,
                     const std::string& secret) const;

  const Cache& cache_;
  NodeKeys keys_;
  std::vector<PolicyRule> rules_;  // of the role system:node
};

}  // namespace knarr::server
