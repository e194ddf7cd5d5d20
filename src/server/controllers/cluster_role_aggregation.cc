#include "server/controllers/cluster_role_aggregation.h"

#include "api/view/label_match.h"
#include "api/view/meta.h"

namespace knarr::server {

namespace {

bool holds(const json::Value& rules, const json::Value& rule) {
  for (const json::Value& r : rules.elements()) {
    if (r == rule) return true;
  }
  return false;
}

}  // namespace

ClusterRoleAggregation::ClusterRoleAggregation(const ControllerContext& context)
    : Controller(context, "clusterrole-aggregation-controller") {}

void ClusterRoleAggregation::on_change(const GroupResource&, const ObjectRef&, const ObjectRef&) {
  context_.cache.for_each(kClusterRoles.key(), "", [&](const ObjectRef& role) {
    if (role->json.find("aggregationRule") != std::string::npos) enqueue(role->name);
    return true;
  });
}

void ClusterRoleAggregation::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kClusterRoles, key);
  if (object == nullptr || object->deleting) return;
  json::Value role = api::decode(*object);
  if (role["aggregationRule"].is_null()) return;
  json::Value rules = json::Value::array();
  for (const json::Value& selector : role["aggregationRule"]["clusterRoleSelectors"].elements()) {
    api::LabelMatch match = api::LabelMatch::of_selector(selector);
    context_.cache.for_each(kClusterRoles.key(), "", [&](const ObjectRef& other) {
      if (other->name == key || !match.matches(*other)) return true;
      json::Value value = api::decode(*other);
      for (const json::Value& rule : value["rules"].elements()) {
        if (!holds(rules, rule)) rules.push_back(rule);
      }
      return true;
    });
  }
  if (role["rules"] == rules || (rules.empty() && role["rules"].empty())) return;
  // Applied, so that whoever else manages the role sees whose its rules are.
  json::Value applied =
      json::Value::object({{"apiVersion", kClusterRoles.api_version()},
                           {"kind", kClusterRoles.kind},
                           {"metadata", json::Value::object({{"name", key.name}})},
                           {"rules", std::move(rules)}});
  client::Request request = patch_request(kClusterRoles, key, applied, client::PatchType::kApply);
  request.query = "fieldManager=clusterrole-aggregation-controller&force=true";
  pass->write(std::move(request));
}

}  // namespace knarr::server
