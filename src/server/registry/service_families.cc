#include "server/registry/service_families.h"

#include "api/validation/errors.h"
#include "base/format.h"

namespace knarr::server {
namespace {

using json::Value;

constexpr std::string_view kOurs = "IPv4";

std::string_view family_of(const Value& address) {
  return address.as_string().find(':') == std::string_view::npos ? "IPv4" : "IPv6";
}

bool headless(const Value& spec) { return spec["clusterIP"].as_string() == "None"; }

Result<void> refuse(const api::ErrorList& errors, const std::string& name) {
  if (errors.empty()) return {};
  return api::invalid_error("", "Service", name, errors);
}

// Families that the client's own addresses imply.
void infer_families(Value& spec, api::ErrorList& errors) {
  size_t i = 0;
  for (const Value& address : spec["clusterIPs"].elements()) {
    if (address.as_string() == "None") return;
    size_t at = i++;
    if (at < spec["ipFamilies"].size()) continue;
    std::string_view family = family_of(address);
    if (family == kOurs) {
      spec.member("ipFamilies").push_back(family);
    } else {
      errors.invalid((api::Path("spec") / "clusterIPs")[at], spec["clusterIPs"],
                     fmt::format("{} is not configured on this cluster", family));
    }
  }
}

}  // namespace

Result<void> init_families(Value& spec, const std::string& name) {
  api::Path path("spec");
  bool open = headless(spec) && spec["selector"].empty();
  if (spec["ipFamilyPolicy"].as_string().empty()) {
    spec.set("ipFamilyPolicy", open ? "RequireDualStack" : "SingleStack");
  }
  std::string policy = spec["ipFamilyPolicy"].text();
  api::ErrorList errors;
  if (policy == "SingleStack") {
    for (const char* key : {"clusterIPs", "ipFamilies"}) {
      if (spec[key].size() != 2) continue;
      bool families = std::string_view(key) == "ipFamilies";
      errors.invalid(path / "ipFamilyPolicy", Value(policy),
                     fmt::format("must be 'RequireDualStack' or 'PreferDualStack' when multiple "
                                 "{} are specified",
                                 families ? "IP families" : "cluster IPs"));
    }
  }
  infer_families(spec, errors);
  TRY(refuse(errors, name));
  if (open) {
    // Whoever makes the endpoints of such a service decides what they are.
    if (spec["ipFamilies"].empty()) spec.set("ipFamilies", Value::array({Value(kOurs)}));
    if (spec["ipFamilies"].size() < 2 && policy != "SingleStack") {
      bool first = spec["ipFamilies"][0].as_string() == "IPv4";
      spec.member("ipFamilies").push_back(first ? "IPv6" : "IPv4");
    }
    return {};
  }
  if (policy == "RequireDualStack") {
    errors.invalid(path / "ipFamilyPolicy", Value(policy),
                   "this cluster is not configured for dual-stack services");
  }
  size_t i = 0;
  for (const Value& family : spec["ipFamilies"].elements()) {
    if (family.as_string() != kOurs) {
      errors.invalid((path / "ipFamilies")[i], family, "not configured on this cluster");
    }
    i++;
  }
  TRY(refuse(errors, name));
  if (spec["ipFamilies"].empty()) spec.set("ipFamilies", Value::array({Value(kOurs)}));
  return {};
}

}  // namespace knarr::server
