// What containers ask for: amounts of resources, and claims.
#include <set>

#include "api/validation/internal.h"
#include "api/validation/pod.h"
#include "api/view/pod_resources.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

// Huge pages come in pages: "hugepages-2Mi" in multiples of 2Mi.
void whole_pages(std::string_view name, const Value& value, const Path& path, ErrorList& errors) {
  if (!is_huge_page(name)) return;
  std::string_view size_text = name.substr(std::string_view("hugepages-").size());
  Result<Quantity> size = Quantity::parse(size_text);
  bool good = size.ok() && size->value() > 0 &&
              quantity_or_zero(value.as_string()).value() % size->value() == 0;
  if (good) return;
  errors.invalid(path, value,
                 fmt::format("{} is not positive integer multiple of {}", value.as_string(), name));
}

using NameRule = void (*)(std::string_view name, const Path& path, ErrorList& errors);

void pod_resource_name(std::string_view name, const Path& path, ErrorList& errors) {
  size_t before = errors.size();
  resource_name(name, path, errors);
  if (errors.size() != before || name == "cpu" || name == "memory" || is_huge_page(name)) return;
  errors.not_supported(path, name, {"cpu", "hugepages-", "memory"});
}

void amounts(const Value& resources, NameRule name_rule, const Path& path, ErrorList& errors) {
  const Value& limits = resources["limits"];
  bool compute = false;
  bool huge = false;
  auto note = [&](std::string_view name) {
    compute |= name == "cpu" || name == "memory";
    huge |= is_huge_page(name);
  };
  for (auto [name, value] : limits.members()) {
    Path at = (path / "limits").key(name);
    name_rule(name, at, errors);
    resource_quantity(name, value, at, errors);
    whole_pages(name, value, at, errors);
    note(name);
  }
  for (auto [name, value] : resources["requests"].members()) {
    Path at = (path / "requests").key(name);
    name_rule(name, at, errors);
    resource_quantity(name, value, at, errors);
    bool overcommit = is_native_resource(name) && !is_huge_page(name);
    const Value* limit = limits.find(name);
    int order =
        limit == nullptr
            ? 0
            : quantity_or_zero(value.as_string()).compare(quantity_or_zero(limit->as_string()));
    if (limit == nullptr && !overcommit) {
      errors.required(path / "limits", "Limit must be set for non overcommitable resources");
    } else if (order != 0 && !overcommit) {
      errors.invalid(path / "requests", value,
                     fmt::format("must be equal to {} limit of {}", name, limit->as_string()));
    } else if (order > 0) {
      errors.invalid(
          path / "requests", value,
          fmt::format("must be less than or equal to {} limit of {}", name, limit->as_string()));
    }
    whole_pages(name, value, at, errors);
    note(name);
  }
  if (huge && !compute) errors.forbidden(path, "HugePages require cpu or memory");
}

// What the pod declares as a whole must hold what its containers do.
void holds_containers(const Value& spec, const Path& path, ErrorList& errors) {
  Value bare = spec;
  bare.erase("resources");
  bare.erase("overhead");
  PodResources sum = pod_resources(bare);
  Quantities requests = quantities_of(spec["resources"]["requests"]);
  Quantities limits = quantities_of(spec["resources"]["limits"]);
  auto at_least = [&](const Quantities& whole, const Quantities& parts, const char* list,
                      auto counts) {
    for (const auto& [name, part] : parts) {
      auto it = whole.find(name);
      if (it == whole.end() || !counts(name) || !(it->second < part)) continue;
      errors.invalid((path / list).key(name), it->second.text(),
                     fmt::format("must be greater than or equal to aggregate container {} of {}",
                                 list, part.text()));
    }
  };
  at_least(requests, sum.requests, "requests", [](const std::string&) { return true; });
  at_least(limits, sum.limits, "limits", is_huge_page);
  size_t i = 0;
  for (const Value& c : spec["containers"].elements()) {
    Path at = (path / "containers")[i++];
    for (const auto& [name, limit] : quantities_of(c["resources"]["limits"])) {
      auto it = limits.find(name);
      if (it == limits.end() || !(it->second < limit)) continue;
      errors.invalid(
          at.key(name) / "limits", limit.text(),
          fmt::format("must be less than or equal to pod limits of {}", it->second.text()));
    }
  }
}

}  // namespace

void container_resources(const Value& resources, const Path& path, ErrorList& errors) {
  amounts(resources, container_resource_name, path, errors);
}

void whole_pod_resources(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& resources = spec["resources"];
  if (resources.is_null()) return;
  if (spec["os"]["name"].as_string() == "windows") {
    return errors.forbidden(path, "may not be set for a windows pod");
  }
  const Value& claims = resources["claims"];
  if (!claims.is_null()) {
    errors.forbidden(path / "claims", "claims may not be set for Resources at pod-level");
  }
  amounts(resources, pod_resource_name, path, errors);
  container_claims(claims, spec["resourceClaims"], path / "claims", errors);
  holds_containers(spec, path, errors);
}

void container_claims(const Value& claims, const Value& pod_claims, const Path& path,
                      ErrorList& errors) {
  std::set<std::string> known;
  for (const Value& claim : pod_claims.elements()) known.insert(claim["name"].text());
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  std::set<std::string> names;
  size_t i = 0;
  for (const Value& claim : claims.elements()) {
    Path at = path[i++];
    std::string name = claim["name"].text();
    if (name.empty()) {
      errors.required(at);
      continue;
    }
    std::string_view request = claim["request"].as_string();
    std::string key = request.empty() ? name : name + "/" + std::string(request);
    if (!names.contains(name) && !request.empty()) {
      dns_label(claim["request"], at / "request", errors);
    }
    auto next = names.lower_bound(name + "/");
    bool parts = next != names.end() && next->compare(0, name.size() + 1, name + "/") == 0;
    if (names.contains(name)) {
      errors.duplicate(at, name);
    } else if (names.contains(key)) {
      errors.duplicate(at, key);
    } else if (request.empty() && parts) {
      errors.duplicate(at, name);
    }
    if (!names.contains(name)) names.insert(key);
    if (known.contains(name)) continue;
    errors.add(FieldReason::kNotFound, at,
               "Not found: " + go_quote(name) +
                   ": must be one of the names in pod.spec.resourceClaims" +
                   (known.empty() ? " which is empty" : ": " + list));
  }
}

}  // namespace knarr::api::rules
