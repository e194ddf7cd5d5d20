#include "server/controllers/namespace.h"

#include <algorithm>
#include <map>

#include "api/resource.h"
#include "api/view/meta.h"
#include "api/view/pod.h"
#include "base/format.h"
#include "base/time.h"
#include "server/controllers/conditions.h"

namespace knarr::server {

namespace {

constexpr int64_t kGraceMs = 5000;
constexpr int64_t kLookAgainMs = 1000;  // while something else holds content back

constexpr const char* kRootCa = "kube-root-ca.crt";
constexpr const char* kRootCaText =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters.";

bool is_active_namespace(const ControllerContext& context, const std::string& ns) {
  ObjectRef object = context.get(kNamespaces, {"", ns});
  return object != nullptr && !object->deleting;
}

}  // namespace

std::vector<DeletableResource> builtin_deletable() {
  std::vector<DeletableResource> list;
  for (const api::ResourceInfo& r : api::builtin_resources()) {
    if (!r.stored || !r.preferred || !r.can(api::kVerbDelete)) continue;
    list.push_back({std::string(r.group), std::string(r.version), std::string(r.plural),
                    r.namespaced, std::string(r.kind)});
  }
  return list;
}

NamespaceController::NamespaceController(const ControllerContext& context, Discover discover)
    : Controller(context, "namespace-controller"), discover_(std::move(discover)) {}

void NamespaceController::on_change(const GroupResource&, const ObjectRef& previous,
                                    const ObjectRef& object) {
  if (object == nullptr || !object->deleting) return;
  // Upstream's grace: whoever still writes into it sees that it is going before its content does.
  bool just_now = previous != nullptr && !previous->deleting;
  if (just_now) {
    queue().add_after(object->name, kGraceMs);
  } else if (previous == nullptr) {
    enqueue(object->name);
  }
}

struct NamespaceController::Left {
  std::map<std::string, int64_t> resources;   // "pods." -> how many
  std::map<std::string, int64_t> finalizers;  // finalizer -> on how many
  std::string error;
  int64_t total = 0;
};

void NamespaceController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kNamespaces, key);
  if (object == nullptr || !object->deleting) return;
  bool empty = true;
  for (const DeletableResource& r : discover_()) {
    if (!r.namespaced) continue;
    std::vector<std::string> names;
    context_.cache.for_each({r.group, r.plural}, key.name, [&](const ObjectRef& o) {
      empty = false;
      if (!o->deleting) names.push_back(o->name.name);
      return true;
    });
    for (const std::string& name : names) {
      client::Request request{client::Verb::kDelete,
                              {r.group, r.version, r.plural, key.name, name, ""},
                              R"({"kind":"DeleteOptions","apiVersion":"v1",)"
                              R"("propagationPolicy":"Background"})",
                              {},
                              {}};
      pass->remove(std::move(request));
    }
  }
  if (empty) return finalize(pass, object);
  // After the deletes the picture is told as it then is: most namespaces are empty by then.
  pass->join([this, pass, key] {
    ObjectRef now = context_.get(kNamespaces, key);
    if (now == nullptr) return;
    Left rest;
    for (const DeletableResource& r : discover_()) {
      if (!r.namespaced) continue;
      context_.cache.for_each({r.group, r.plural}, key.name, [&](const ObjectRef& o) {
        ++rest.resources[r.plural + "." + r.group];
        ++rest.total;
        if (o->deleting) {
          json::Value value = api::decode(*o);
          for (const json::Value& f : value["metadata"]["finalizers"].elements()) {
            ++rest.finalizers[f.text()];
          }
        }
        return true;
      });
    }
    if (rest.total == 0) return finalize(pass, now);
    tell(pass, now, rest);
    pass->again_after_ms(kLookAgainMs);
  });
}

void NamespaceController::finalize(const PassRef& pass, const ObjectRef& object) {
  json::Value changed = api::decode(*object);
  json::Value kept = json::Value::array();
  for (const json::Value& f : changed["spec"]["finalizers"].elements()) {
    if (f.as_string() != "kubernetes") kept.push_back(f);
  }
  if (kept.size() == changed["spec"]["finalizers"].size()) return;
  changed.member("spec").set("finalizers", std::move(kept));
  pass->write(update_request(kNamespaces, changed, "finalize"), [pass](Result<ObjectRef> answer) {
    if (!answer.ok() && answer.error().code != Code::kNotFound) {
      pass->fail(answer.error());
    }
  });
}

namespace {

void set_condition(json::Value& status, const ConditionText& text, int64_t now_us) {
  const json::Value& current = api::condition(status["conditions"], text.type);
  bool same_status = current["status"].as_string() == text.status;
  if (same_status && current["reason"].as_string() == text.reason &&
      current["message"].as_string() == text.message) {
    return;
  }
  json::Value transition =
      same_status ? current["lastTransitionTime"] : json::Value(base::format_time(now_us));
  remove_condition(status, text.type);
  status.member("conditions")
      .push_back(json::Value::object({{"type", text.type},
                                      {"status", text.status},
                                      {"lastTransitionTime", std::move(transition)},
                                      {"reason", text.reason},
                                      {"message", text.message}}));
}

std::string list_of(const std::map<std::string, int64_t>& counts, const char* form) {
  std::string text;
  for (const auto& [name, count] : counts) {
    if (!text.empty()) text += ", ";
    text += name + form + std::to_string(count) + " resource instances";
  }
  return text;
}

}  // namespace

void NamespaceController::tell(const PassRef& pass, const ObjectRef& object, const Left& left) {
  json::Value changed = api::decode(*object);
  json::Value& status = changed.member("status");
  int64_t now = now_us();
  set_condition(status,
                {"NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered",
                 "All resources successfully discovered"},
                now);
  set_condition(status,
                {"NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions",
                 "All legacy kube types successfully parsed"},
                now);
  set_condition(status,
                {"NamespaceDeletionContentFailure", "False", "ContentDeleted",
                 "All content successfully deleted, may be waiting on finalization"},
                now);
  set_condition(status,
                {"NamespaceContentRemaining", "True", "SomeResourcesRemain",
                 "Some resources are remaining: " + list_of(left.resources, " has ")},
                now);
  if (left.finalizers.empty()) {
    set_condition(status,
                  {"NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers",
                   "All content-preserving finalizers finished"},
                  now);
  } else {
    set_condition(status,
                  {"NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain",
                   "Some content in the namespace has finalizers remaining: " +
                       list_of(left.finalizers, " in ")},
                  now);
  }
  if (changed["status"] == api::decode(*object)["status"]) return;
  pass->write(update_request(kNamespaces, changed, "status"));
}

ServiceAccountController::ServiceAccountController(const ControllerContext& context)
    : Controller(context, "serviceaccount-controller") {}

std::vector<GroupResource> ServiceAccountController::watches() const {
  return {kNamespaces.key(), kServiceAccounts.key()};
}

void ServiceAccountController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                         const ObjectRef& object) {
  if (resource.resource == kNamespaces.plural) {
    if (object != nullptr && !object->deleting) enqueue({"", object->name.name});
  } else if (object == nullptr && previous->name.name == "default") {
    enqueue({"", previous->name.ns});
  }
}

void ServiceAccountController::reconcile(const NamespacedName& key, const PassRef& pass) {
  if (!is_active_namespace(context_, key.name) ||
      context_.get(kServiceAccounts, {key.name, "default"}) != nullptr) {
    return;
  }
  json::Value account = json::Value::object(
      {{"metadata", json::Value::object({{"name", "default"}, {"namespace", key.name}})}});
  pass->write(create_request(kServiceAccounts, key.name, std::move(account)),
              [pass](Result<ObjectRef> answer) {
                if (answer.ok() || answer.error().code == Code::kAlreadyExists ||
                    answer.error().code == Code::kForbidden) {
                  return;
                }
                pass->fail(answer.error());
              });
}

RootCaController::RootCaController(const ControllerContext& context, std::string ca_pem)
    : Controller(context, "root-ca-certificate-publisher-controller"), ca_pem_(std::move(ca_pem)) {}

std::vector<GroupResource> RootCaController::watches() const {
  return {kNamespaces.key(), kConfigMaps.key()};
}

void RootCaController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                 const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  if (resource.resource == kNamespaces.plural) {
    if (object != nullptr && !object->deleting) enqueue({"", any->name.name});
  } else if (any->name.name == kRootCa) {
    enqueue({"", any->name.ns});
  }
}

void RootCaController::reconcile(const NamespacedName& key, const PassRef& pass) {
  if (!is_active_namespace(context_, key.name)) return;
  json::Value data = json::Value::object({{"ca.crt", ca_pem_}});
  auto judge = [pass](Result<ObjectRef> answer) {
    if (answer.ok() || answer.error().code == Code::kAlreadyExists ||
        answer.error().code == Code::kForbidden) {
      return;
    }
    pass->fail(answer.error());
  };
  ObjectRef existing = context_.get(kConfigMaps, {key.name, kRootCa});
  json::Value notes = json::Value::object({{"kubernetes.io/description", kRootCaText}});
  if (existing == nullptr) {
    json::Value map =
        json::Value::object({{"metadata", json::Value::object({{"name", kRootCa},
                                                               {"namespace", key.name},
                                                               {"annotations", std::move(notes)}})},
                             {"data", std::move(data)}});
    return pass->write(create_request(kConfigMaps, key.name, std::move(map)), judge);
  }
  json::Value current = api::decode(*existing);
  if (current["data"] == data &&
      current["metadata"]["annotations"]["kubernetes.io/description"].as_string() == kRootCaText) {
    return;
  }
  json::Value changed = current;
  changed.set("data", std::move(data));
  changed.member("metadata").member("annotations").set("kubernetes.io/description", kRootCaText);
  pass->write(update_request(kConfigMaps, changed));
}

}  // namespace knarr::server
