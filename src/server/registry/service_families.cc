#include "server/registry/service_families.h"

#include <algorithm>

#include "api/ip_list.h"
#include "api/validation/validation.h"
#include "base/format.h"
#include "server/registry/service_update.h"

namespace knarr::server {
namespace {

using json::Value;

using Families = std::vector<std::string>;

std::string_view family_of(const Value& address) {
  return api::family_name(api::is_v6(address.as_string()));
}

bool contains(const Families& families, std::string_view family) {
  return std::find(families.begin(), families.end(), family) != families.end();
}

Result<void> refuse(const api::ErrorList& errors, const std::string& name) {
  if (errors.empty()) return {};
  return api::invalid_error("", "Service", name, errors);
}

// Families that the client's own addresses imply.
void infer_families(Value& spec, const Families& families, api::ErrorList& errors) {
  size_t i = 0;
  for (const Value& address : spec["clusterIPs"].elements()) {
    if (address.as_string() == "None") return;
    size_t at = i++;
    if (at < spec["ipFamilies"].size()) continue;
    std::string_view family = family_of(address);
    if (contains(families, family)) {
      spec.member("ipFamilies").push_back(family);
    } else {
      errors.invalid((api::Path("spec") / "clusterIPs")[at], spec["clusterIPs"],
                     fmt::format("{} is not configured on this cluster", family));
    }
  }
}

bool prefers_dual(const Value& spec) {
  return spec["ipFamilyPolicy"].as_string() == "PreferDualStack";
}

bool same_list(const Value& a, const Value& b) { return a.size() == 0 ? b.size() == 0 : a == b; }

// A service that prefers two stacks is not given a second address, nor robbed of one, by a write
// that changes none of this.
bool left_alone(const Value& spec, const Value& before) {
  return !before.is_null() && prefers_dual(spec) && spec["type"] == before["type"] &&
         !is_external_name(spec) && (before["ipFamilyPolicy"].is_null() || prefers_dual(before)) &&
         same_list(spec["clusterIPs"], before["clusterIPs"]) &&
         same_list(spec["ipFamilies"], before["ipFamilies"]);
}

void choose_policy(Value& spec, const Value& before) {
  if (!spec["ipFamilyPolicy"].is_null()) return;
  if (!before["ipFamilyPolicy"].is_null()) {
    spec.set("ipFamilyPolicy", before["ipFamilyPolicy"]);
  } else {
    bool open = is_headless(spec) && spec["selector"].size() == 0;
    spec.set("ipFamilyPolicy", open ? "RequireDualStack" : "SingleStack");
  }
}

// One stack alone, said of a service that has two, gives the second one up; fewer entries without
// saying so are an error.
void shrink(Value& spec, const Value& before, api::ErrorList& errors) {
  bool single = spec["ipFamilyPolicy"].as_string() == "SingleStack";
  for (const char* key : {"clusterIPs", "ipFamilies"}) {
    bool addresses = std::string_view(key) == "clusterIPs";
    if (single) {
      if (spec[key].size() > 1 && same_list(spec[key], before[key])) {
        spec.set(key, Value::array({Value(spec[key][0])}));
      }
    } else if (spec[key].size() > 0 && spec[key].size() < before[key].size()) {
      errors.invalid(api::Path("spec") / "ipFamilyPolicy", spec["ipFamilyPolicy"],
                     fmt::format("must be 'SingleStack' to release the secondary {}",
                                 addresses ? "cluster IP" : "IP family"));
    }
  }
}

void check_single(const Value& spec, api::ErrorList& errors) {
  if (spec["ipFamilyPolicy"].as_string() != "SingleStack") return;
  for (const char* key : {"clusterIPs", "ipFamilies"}) {
    if (spec[key].size() != 2) continue;
    bool addresses = std::string_view(key) == "clusterIPs";
    errors.invalid(api::Path("spec") / "ipFamilyPolicy", spec["ipFamilyPolicy"],
                   fmt::format("must be 'RequireDualStack' or 'PreferDualStack' when multiple {} "
                               "are specified",
                               addresses ? "cluster IPs" : "IP families"));
  }
}

void add_other_family(Value& spec) {
  if (spec["ipFamilies"].size() != 1 || spec["ipFamilyPolicy"].as_string() == "SingleStack") return;
  bool first = spec["ipFamilies"][0].as_string() == "IPv4";
  spec.member("ipFamilies").push_back(first ? "IPv6" : "IPv4");
}

void check_configured(const Value& spec, const Families& families, api::ErrorList& errors) {
  api::Path path("spec");
  if (spec["ipFamilyPolicy"].as_string() == "RequireDualStack" && families.size() < 2) {
    errors.invalid(path / "ipFamilyPolicy", spec["ipFamilyPolicy"],
                   "this cluster is not configured for dual-stack services");
  }
  size_t i = 0;
  for (const Value& family : spec["ipFamilies"].elements()) {
    if (!contains(families, family.as_string())) {
      errors.invalid((path / "ipFamilies")[i], family, "not configured on this cluster");
    }
    i++;
  }
}

}  // namespace

Result<void> init_families(Value& spec, const Value& before, const std::string& name,
                           const Families& families) {
  if (left_alone(spec, before)) return {};
  choose_policy(spec, before);
  TRY(refuse(api::validate_service_addresses(spec), name));
  api::ErrorList errors;
  if (!before.is_null()) shrink(spec, before, errors);
  check_single(spec, errors);
  infer_families(spec, families, errors);
  TRY(refuse(errors, name));
  // Whoever makes the endpoints of a headless service without selector decides what they are.
  bool open = is_headless(spec) && spec["selector"].size() == 0;
  if (!open) {
    check_configured(spec, families, errors);
    TRY(refuse(errors, name));
  }
  if (spec["ipFamilies"].size() == 0) spec.set("ipFamilies", Value::array({Value(families[0])}));
  if (open || families.size() == 2) add_other_family(spec);
  return {};
}

}  // namespace knarr::server
