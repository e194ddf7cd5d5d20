#include "server/auth/node_authorizer.h"

#include <algorithm>

#include "base/format.h"
#include "base/json.h"
#include "knarr/names.h"
#include "server/auth/bootstrap_policy.h"
#include "server/auth/pod_references.h"
#include "server/auth/policy_rules.h"

namespace knarr::server {
namespace {

const Decision kNo;
const Decision kYes{true, ""};

Decision refuse(std::string why) { return {false, std::move(why)}; }

bool one_of(std::string_view verb, std::initializer_list<std::string_view> verbs) {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

bool selects(const Attributes& a, std::string_view field, const std::string& node) {
  return std::any_of(a.fields.begin(), a.fields.end(),
                     [&](const auto& term) { return term.first == field && term.second == node; });
}

json::Value parsed(const ObjectRef& object) {
  Result<json::Value> value = json::parse(object->json);
  return value.ok() ? *std::move(value) : json::Value();
}

Decision lease(const std::string& node, const Attributes& a) {
  if (!one_of(a.verb, {"get", "create", "update", "patch", "delete"})) {
    return refuse("can only get, create, update, patch, or delete a node lease");
  }
  if (a.ns != "kube-node-lease") {
    return refuse("can only access leases in the \"kube-node-lease\" system namespace");
  }
  if (a.verb != "create" && a.name != node) {
    return refuse("can only access node lease with the same name as the requesting node");
  }
  return kYes;
}

Decision csi_node(const std::string& node, const Attributes& a) {
  if (!one_of(a.verb, {"get", "create", "update", "patch", "delete"})) {
    return refuse("can only get, create, update, patch, or delete a CSINode");
  }
  if (!a.subresource.empty()) return refuse("cannot authorize CSINode subresources");
  if (a.verb != "create" && a.name != node) {
    return refuse("can only access CSINode with the same name as the requesting node");
  }
  return kYes;
}

}  // namespace

const char* node_name(const UserInfo& user) {
  constexpr std::string_view kPrefix = kNodeUserPrefix;
  if (!user.name.starts_with(kPrefix) || !user.in_group(kNodeUsersGroup)) return nullptr;
  return user.name.c_str() + kPrefix.size();
}

enum class NodeAuthorizer::Thing {
  kPod,
  kSecret,
  kConfigMap,
  kServiceAccount,
  kClaim,
  kVolume,
  kResourceClaim,
  kAttachment,
  kSlice,
};

NodeAuthorizer::NodeAuthorizer(const Cache& cache)
    : cache_(cache), keys_(cache), rules_(bootstrap_rules("system:node")) {}

AccessRules NodeAuthorizer::rules_of(const UserRef& user, const std::string&) {
  if (node_name(*user) == nullptr) return {};
  return {{}, true, "node authorizer does not support user rule resolution"};
}

Decision NodeAuthorizer::authorize(const Attributes& a) {
  const char* name = node_name(*a.user);
  if (name == nullptr) return kNo;
  std::string node = name;
  if (node.empty()) return refuse(fmt::format("unknown node for user \"{}\"", a.user->name));
  if (std::string why = keys_.objection(*a.user); !why.empty()) return {false, why, true};
  auto is = [&a](std::string_view group, std::string_view resource) {
    return a.group == group && a.resource == resource;
  };
  if (a.resource_request) {
    if (is("", "secrets")) return read_object(node, Thing::kSecret, a);
    if (is("", "configmaps")) return read_object(node, Thing::kConfigMap, a);
    if (is("", "persistentvolumeclaims")) return claim(node, a);
    if (is("", "persistentvolumes")) return get_object(node, Thing::kVolume, a);
    if (is("resource.k8s.io", "resourceclaims")) return get_object(node, Thing::kResourceClaim, a);
    if (is("storage.k8s.io", "volumeattachments")) return get_object(node, Thing::kAttachment, a);
    if (is("", "serviceaccounts")) return account(node, a);
    if (is("coordination.k8s.io", "leases")) return lease(node, a);
    if (is("storage.k8s.io", "csinodes")) return csi_node(node, a);
    if (is("resource.k8s.io", "resourceslices")) return slice(node, a);
    if (is("", "nodes")) return own_node(node, a);
    if (is("", "pods")) return pod(node, a);
  }
  for (const PolicyRule& rule : rules_) {
    if (rule_allows(rule, a)) return kYes;
  }
  return kNo;
}

Decision NodeAuthorizer::read_object(const std::string& node, Thing thing,
                                     const Attributes& a) const {
  if (!one_of(a.verb, {"get", "list", "watch"})) {
    return refuse("can only read resources of this type");
  }
  if (!a.subresource.empty()) return refuse("cannot read subresource");
  if (a.ns.empty()) return refuse("can only read namespaced object of this type");
  return related(node, thing, a);
}

Decision NodeAuthorizer::get_object(const std::string& node, Thing thing,
                                    const Attributes& a) const {
  if (a.verb != "get") return refuse("can only get individual resources of this type");
  if (!a.subresource.empty()) return refuse("cannot get subresource");
  return related(node, thing, a);
}

Decision NodeAuthorizer::related(const std::string& node, Thing thing, const Attributes& a) const {
  if (a.name.empty()) return refuse("No Object name found");
  if (is_related(node, thing, a.ns, a.name)) return kYes;
  return refuse(fmt::format("no relationship found between node '{}' and this object", node));
}

Decision NodeAuthorizer::account(const std::string& node, const Attributes& a) const {
  if (a.verb == "get" && a.subresource.empty()) return read_object(node, Thing::kServiceAccount, a);
  if (a.verb != "create" || a.name.empty()) {
    return refuse("can only create tokens for individual service accounts");
  }
  if (a.subresource != "token") {
    return refuse("can only create token subresource of serviceaccount");
  }
  return related(node, Thing::kServiceAccount, a);
}

Decision NodeAuthorizer::claim(const std::string& node, const Attributes& a) const {
  if (a.subresource != "status") return get_object(node, Thing::kClaim, a);
  if (!one_of(a.verb, {"update", "patch"})) return refuse("can only get/update/patch this type");
  return related(node, Thing::kClaim, a);
}

Decision NodeAuthorizer::slice(const std::string& node, const Attributes& a) const {
  if (!a.subresource.empty()) return refuse("cannot authorize ResourceSlice subresources");
  if (a.verb == "create") return kYes;
  if (one_of(a.verb, {"get", "update", "patch", "delete"})) return related(node, Thing::kSlice, a);
  if (one_of(a.verb, {"watch", "list", "deletecollection"})) {
    if (selects(a, "spec.nodeName", node)) return kYes;
    return refuse(
        "can only list/watch/deletecollection resourceslices with nodeName field selector");
  }
  return refuse(
      "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, "
      "patch, delete, deletecollection");
}

Decision NodeAuthorizer::own_node(const std::string& node, const Attributes& a) const {
  bool changes = one_of(a.verb, {"update", "patch"});
  if (!a.subresource.empty() && (a.subresource != "status" || !changes)) return kNo;
  if (changes) {
    if (a.name == node) return kYes;
    return refuse(fmt::format("node \"{}\" is not allowed to modify node \"{}\"", node, a.name));
  }
  if (a.verb == "create") return kYes;  // its name stands in the body: admission looks at it
  if (!one_of(a.verb, {"get", "list", "watch"})) return kNo;
  if (a.name == node) return kYes;
  return refuse(fmt::format("node '{}' cannot read {}, only its own Node object", node,
                            a.name.empty() ? "all nodes" : "'" + a.name + "'"));
}

Decision NodeAuthorizer::pod(const std::string& node, const Attributes& a) const {
  auto only_bound = [&](std::string_view what) {
    // Of a pod that is gone the node is to hear that it is.
    bool gone = cache_.get({{"", "pods"}, {a.ns, a.name}}) == nullptr;
    if (gone || is_related(node, Thing::kPod, a.ns, a.name)) return kYes;
    return refuse(
        fmt::format("node \"{}\" can only {} pods with spec.nodeName set to itself", node, what));
  };
  if (a.subresource == "status") {
    return one_of(a.verb, {"update", "patch"}) ? only_bound("update pod status for") : kNo;
  }
  if (a.subresource == "eviction") return a.verb == "create" ? only_bound("evict") : kNo;
  if (!a.subresource.empty()) return kNo;
  if (a.verb == "delete") return only_bound("delete");
  if (a.verb == "create") return kYes;  // of mirror pods alone: admission looks at the body
  if (a.verb == "get") return get_object(node, Thing::kPod, a);
  if (!one_of(a.verb, {"list", "watch"})) return kNo;
  if (selects(a, "spec.nodeName", node)) return kYes;
  if (!a.name.empty()) return related(node, Thing::kPod, a);
  return refuse("can only list/watch pods with spec.nodeName field selector");
}

bool NodeAuthorizer::is_related(const std::string& node, Thing thing, const std::string& ns,
                                const std::string& name) const {
  switch (thing) {
    case Thing::kPod: {
      ObjectRef pod = cache_.get({{"", "pods"}, {ns, name}});
      const std::string* bound = pod == nullptr ? nullptr : pod->field("spec.nodeName");
      return bound != nullptr && *bound == node;
    }
    case Thing::kVolume: {
      ObjectRef volume = cache_.get({{"", "persistentvolumes"}, {"", name}});
      return volume != nullptr && volume_is_used(node, parsed(volume));
    }
    case Thing::kAttachment: {
      ObjectRef object = cache_.get({{"storage.k8s.io", "volumeattachments"}, {"", name}});
      return object != nullptr && parsed(object)["spec"]["nodeName"].as_string() == node;
    }
    case Thing::kSlice: {
      ObjectRef object = cache_.get({{"resource.k8s.io", "resourceslices"}, {"", name}});
      return object != nullptr && parsed(object)["spec"]["nodeName"].as_string() == node;
    }
    case Thing::kSecret: return pods_refer(node, thing, ns, name) || volumes_refer(node, ns, name);
    default: return pods_refer(node, thing, ns, name);
  }
}

bool NodeAuthorizer::pods_refer(const std::string& node, Thing thing, const std::string& ns,
                                const std::string& name) const {
  ListOptions options;
  options.ns = ns;
  options.indexed = {"spec.nodeName", node};
  Result<ListResult> pods = cache_.list({"", "pods"}, options);
  if (!pods.ok()) return false;
  return std::any_of(pods->items.begin(), pods->items.end(), [&](const ObjectRef& object) {
    // Of ephemeral volumes the claim's name is made of the pod's and the volume's.
    bool named = thing == Thing::kClaim || object->json.find(name) != std::string::npos;
    if (!named) return false;
    json::Value pod = parsed(object);
    switch (thing) {
      case Thing::kSecret: return refers_to(pod, Reference::kSecret, name);
      case Thing::kConfigMap: return refers_to(pod, Reference::kConfigMap, name);
      case Thing::kServiceAccount: return refers_to(pod, Reference::kServiceAccount, name);
      case Thing::kResourceClaim: return refers_to(pod, Reference::kResourceClaim, name);
      case Thing::kClaim:
        return refers_to(pod, Reference::kClaim, name) ||
               refers_to(pod, Reference::kOwnClaim, name);
      default: return false;
    }
  });
}

bool NodeAuthorizer::volume_is_used(const std::string& node, const json::Value& volume) const {
  const json::Value& claim = volume["spec"]["claimRef"];
  return !claim.is_null() &&
         pods_refer(node, Thing::kClaim, claim["namespace"].text(), claim["name"].text());
}

// Whether a volume that a pod of the node uses needs the secret to be mounted.
bool NodeAuthorizer::volumes_refer(const std::string& node, const std::string& ns,
                                   const std::string& secret) const {
  bool found = false;
  cache_.for_each({"", "persistentvolumes"}, "", [&](const ObjectRef& object) {
    if (object->json.find(secret) == std::string::npos) return true;
    json::Value volume = parsed(object);
    found = volume_refers_to_secret(volume, ns, secret) && volume_is_used(node, volume);
    return !found;
  });
  return found;
}

}  // namespace knarr::server
