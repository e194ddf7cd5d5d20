#include "server/auth/node_keys.h"

#include "base/format.h"
#include "base/json.h"
#include "knarr/names.h"
#include "server/auth/node_authorizer.h"

namespace knarr::server {

std::string NodeKeys::objection(const UserInfo& user) {
  const char* node = node_name(user);
  if (node == nullptr || user.key.empty()) return {};
  ObjectRef object = cache_.get({{"", "nodes"}, {"", node}});
  if (object == nullptr) {
    known_.erase(node);
    return {};
  }
  Known& known = known_[node];
  if (known.revision != object->revision) {
    Result<json::Value> value = json::parse(object->json);
    if (!value.ok()) return value.error().message;
    known = {object->revision, (*value)["metadata"]["annotations"][kNodeKeyAnnotation].text()};
  }
  if (known.key.empty() || known.key == user.key) return {};
  return fmt::format(
      "node \"{0}\" is known as another machine: join with another --node-name, or run `kubectl "
      "delete node {0}`",
      node);
}

bool NodeKeys::is_there(const std::string& node) const {
  return cache_.get({{"", "nodes"}, {"", node}}) != nullptr;
}

}  // namespace knarr::server
