#include "server/http/discovery.h"

#include <vector>

#include "api/resource.h"
#include "base/format.h"
#include "base/json.h"
#include "server/http/digest.h"

namespace knarr::server {
namespace {

using json::Value;

bool offered(const api::ResourceInfo& r, bool metrics) {
  return metrics || r.group != "metrics.k8s.io";
}

Value verbs_json(uint16_t verbs) {
  Value out = Value::array();
  for (api::VerbBit bit : api::all_verbs()) {
    if ((verbs & bit) != 0) out.push_back(api::verb_name(bit));
  }
  return out;
}

Value texts(std::span<const std::string_view> list) {
  Value out = Value::array();
  for (std::string_view s : list) out.push_back(s);
  return out;
}

struct Version {
  std::string_view group;
  std::string_view version;
  bool preferred;
};

// In discovery order, the preferred version of a group first.
std::vector<Version> versions_of(std::string_view group) {
  std::vector<Version> out;
  for (const api::ResourceInfo& r : api::builtin_resources()) {
    if (r.group != group) continue;
    bool known = false;
    for (const Version& v : out) known = known || v.version == r.version;
    if (known) continue;
    Version v{r.group, r.version, r.preferred};
    out.insert(r.preferred ? out.begin() : out.end(), v);
  }
  return out;
}

std::vector<std::string_view> groups_of(bool metrics) {
  std::vector<std::string_view> out;
  for (const api::ResourceInfo& r : api::builtin_resources()) {
    if (!offered(r, metrics) || r.group.empty()) continue;
    bool known = false;
    for (std::string_view g : out) known = known || g == r.group;
    if (!known) out.push_back(r.group);
  }
  return out;
}

std::string group_version(std::string_view group, std::string_view version) {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

Value group_value(std::string_view group) {
  Value versions = Value::array();
  Value preferred;
  for (const Version& v : versions_of(group)) {
    Value entry = Value::object(
        {{"groupVersion", group_version(v.group, v.version)}, {"version", v.version}});
    if (preferred.is_null()) preferred = entry;
    versions.push_back(std::move(entry));
  }
  return Value::object({{"name", group},
                        {"versions", std::move(versions)},
                        {"preferredVersion", std::move(preferred)}});
}

Value resource_value(const api::ResourceInfo& r) {
  Value v = Value::object({{"name", r.plural},
                           {"singularName", r.singular},
                           {"namespaced", r.namespaced},
                           {"kind", r.kind},
                           {"verbs", verbs_json(r.verbs)}});
  if (!r.short_names.empty()) v.set("shortNames", texts(r.short_names));
  if (!r.categories.empty()) v.set("categories", texts(r.categories));
  if (!r.storage_hash.empty()) v.set("storageVersionHash", r.storage_hash);
  return v;
}

Value subresource_value(const api::ResourceInfo& r, const api::Subresource& s) {
  Value v = Value::object({{"name", fmt::format("{}/{}", r.plural, s.name)},
                           {"singularName", ""},
                           {"namespaced", r.namespaced}});
  if (s.foreign) {
    v.set("group", s.group);
    v.set("version", s.version);
  }
  v.set("kind", s.kind);
  v.set("verbs", verbs_json(s.verbs));
  return v;
}

Value response_kind(std::string_view group, std::string_view version, std::string_view kind) {
  return Value::object({{"group", group}, {"version", version}, {"kind", kind}});
}

Value aggregated_resource(const api::ResourceInfo& r) {
  Value v = Value::object({{"resource", r.plural},
                           {"responseKind", response_kind("", "", r.kind)},
                           {"scope", r.namespaced ? "Namespaced" : "Cluster"},
                           {"singularResource", r.singular},
                           {"verbs", verbs_json(r.verbs)}});
  if (!r.short_names.empty()) v.set("shortNames", texts(r.short_names));
  if (!r.categories.empty()) v.set("categories", texts(r.categories));
  Value subs = Value::array();
  for (const api::Subresource& s : r.subresources) {
    subs.push_back(
        Value::object({{"subresource", s.name},
                       {"responseKind", s.foreign ? response_kind(s.group, s.version, s.kind)
                                                  : response_kind("", "", s.kind)},
                       {"verbs", verbs_json(s.verbs)}}));
  }
  if (!subs.empty()) v.set("subresources", std::move(subs));
  return v;
}

Value aggregated_group(std::string_view group) {
  Value versions = Value::array();
  for (const Version& v : versions_of(group)) {
    Value resources = Value::array();
    for (const api::ResourceInfo& r : api::builtin_resources()) {
      if (r.group == group && r.version == v.version) resources.push_back(aggregated_resource(r));
    }
    versions.push_back(Value::object(
        {{"version", v.version}, {"resources", std::move(resources)}, {"freshness", "Current"}}));
  }
  Value meta = Value::object();
  if (!group.empty()) meta.set("name", group);
  return Value::object({{"metadata", std::move(meta)}, {"versions", std::move(versions)}});
}

}  // namespace

AggregatedDiscovery Discovery::aggregated(bool core) const {
  Value items = Value::array();
  if (core) {
    items.push_back(aggregated_group(""));
  } else {
    for (std::string_view group : groups_of(metrics_)) items.push_back(aggregated_group(group));
  }
  Value list = Value::object({{"kind", "APIGroupDiscoveryList"},
                              {"apiVersion", "apidiscovery.k8s.io/v2"},
                              {"metadata", Value::object()},
                              {"items", std::move(items)}});
  AggregatedDiscovery out;
  out.json = json::write(list);
  out.etag = fmt::format("\"{}\"", sha512_hex(out.json));
  return out;
}

std::string api_versions_json(std::string_view server_address) {
  Value address = Value::object({{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", server_address}});
  return json::write(Value::object({{"kind", "APIVersions"},
                                    {"versions", Value::array({"v1"})},
                                    {"serverAddressByClientCIDRs", Value::array({address})}}));
}

std::string Discovery::groups() const {
  Value list = Value::array();
  for (std::string_view group : groups_of(metrics_)) list.push_back(group_value(group));
  return json::write(
      Value::object({{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(list)}}));
}

std::string Discovery::group(std::string_view group) const {
  if (group.empty() || !has_group(group)) return "";
  Value v = Value::object({{"kind", "APIGroup"}, {"apiVersion", "v1"}});
  Value g = group_value(group);
  for (json::Member m : g.members()) v.set(m.key, std::move(m.value));
  return json::write(v);
}

std::string Discovery::resources(std::string_view group, std::string_view version) const {
  Value resources = Value::array();
  for (const api::ResourceInfo& r : api::builtin_resources()) {
    if (!offered(r, metrics_) || r.group != group || r.version != version) continue;
    resources.push_back(resource_value(r));
    for (const api::Subresource& s : r.subresources) resources.push_back(subresource_value(r, s));
  }
  if (resources.empty()) return "";
  Value v = Value::object({{"kind", "APIResourceList"}});
  if (!group.empty()) v.set("apiVersion", "v1");
  v.set("groupVersion", group_version(group, version));
  v.set("resources", std::move(resources));
  return json::write(v);
}

bool Discovery::has_group(std::string_view group) const {
  for (std::string_view g : groups_of(metrics_)) {
    if (g == group) return true;
  }
  return false;
}

}  // namespace knarr::server
