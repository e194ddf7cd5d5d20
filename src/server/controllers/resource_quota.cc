#include "server/controllers/resource_quota.h"

#include "api/view/meta.h"
#include "api/view/quota.h"

namespace knarr::server {

namespace {

// What admission charged while a count was on its way may be missing in it: it is counted again.
constexpr int64_t kRecountMs = 5000;

// What the objects of one resource take of the quota, added to `used`.
void count(const ControllerContext& context, const DeletableResource& resource,
           const std::string& ns, const json::Value& spec, int64_t now_us, api::Quantities& used) {
  std::vector<std::string> names =
      api::quota_names_for(resource.group, resource.plural, spec["hard"]);
  if (names.empty()) return;
  for (const std::string& name : names) used.emplace(name, api::Quantity());
  context.cache.for_each({resource.group, resource.plural}, ns, [&](const ObjectRef& object) {
    json::Value value = api::decode(*object);
    api::QuotaSubject subject{resource.group, resource.plural, value, now_us};
    if (!api::in_quota_scopes(spec, subject)) return true;
    api::Quantities usage = api::quota_usage(subject);
    for (const std::string& name : names) {
      if (auto it = usage.find(name); it != usage.end()) used[name].add(it->second);
    }
    return true;
  });
}

bool may_free(const GroupResource& resource, const ObjectRef& previous, const ObjectRef& object,
              int64_t now_us) {
  if (object == nullptr) return true;
  bool weighed = resource.group.empty() &&
                 (resource.resource == kPods.plural || resource.resource == kServices.plural ||
                  resource.resource == kClaims.plural);
  if (previous == nullptr || !weighed) return false;
  json::Value was = api::decode(*previous), is = api::decode(*object);
  return api::frees_quota({resource.group, resource.resource, was, now_us},
                          {resource.group, resource.resource, is, now_us});
}

}  // namespace

ResourceQuotaController::ResourceQuotaController(const ControllerContext& context,
                                                 Discover discover)
    : Controller(context, "resourcequota-controller"), discover_(std::move(discover)) {}

std::vector<GroupResource> ResourceQuotaController::watches() const {
  std::vector<GroupResource> all;
  for (const DeletableResource& r : builtin_deletable()) {
    if (r.namespaced && r.plural != "events") all.push_back({r.group, r.plural});
  }
  return all;
}

void ResourceQuotaController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                        const ObjectRef& object) {
  if (context_.cache.count(kResourceQuotas.key()) == 0) return;
  if (resource == kResourceQuotas.key() && object != nullptr) {
    // Statuses are its own doing, or admission's.
    bool same =
        previous != nullptr && api::decode(*previous)["spec"] == api::decode(*object)["spec"];
    if (!same) enqueue(object->name);
  }
  const ObjectRef& any = object ? object : previous;
  bool limited = false;
  context_.cache.for_each(kResourceQuotas.key(), any->name.ns, [&](const ObjectRef&) {
    limited = true;
    return false;
  });
  if (!limited || !may_free(resource, previous, object, now_us())) return;
  context_.cache.for_each(kResourceQuotas.key(), any->name.ns, [&](const ObjectRef& quota) {
    enqueue(quota->name);
    return true;
  });
}

void ResourceQuotaController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kResourceQuotas, key);
  if (object == nullptr) return;
  json::Value changed = api::decode(*object);
  json::Value& status = changed.member("status");  // first: a new member moves the others
  const json::Value& spec = changed["spec"];
  api::Quantities used;
  for (const DeletableResource& r : discover_()) {
    if (r.namespaced) count(context_, r, key.ns, spec, now_us(), used);
  }
  api::Quantities told = api::quantities_of(status["used"]);
  bool same_hard = status["hard"] == spec["hard"];
  if (same_hard && status["used"].is_object() && told == used) return;
  if (spec["hard"].empty()) {
    status.erase("hard");
    status.erase("used");
    if (same_hard) return;
  } else {
    status.set("hard", spec["hard"]).set("used", api::resource_list(used));
  }
  pass->write(update_request(kResourceQuotas, changed, "status"));
  pass->again_after_ms(kRecountMs);
}

}  // namespace knarr::server
