// Nodes.
#include <set>

#include "api/ip.h"
#include "api/validation/core.h"

namespace knarr::api::rules {
namespace {

void taints(const Value& list, const Path& path, ErrorList& errors) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  size_t i = 0;
  for (const Value& taint : list.elements()) {
    Path at = path[i++];
    qualified_name(taint["key"], at / "key", errors);
    errors.invalid_all(at / "value", taint["value"].as_string(),
                       check_label_value(taint["value"].as_string()));
    one_of(taint["effect"], {"NoSchedule", "PreferNoSchedule", "NoExecute"}, at / "effect", errors);
    if (!seen.insert({taint["effect"].as_string(), taint["key"].as_string()}).second) {
      errors.duplicate(at,
                       go_struct({{"Key", taint["key"].as_string()},
                                  {"Value", taint["value"].as_string()},
                                  {"Effect", taint["effect"].as_string()},
                                  {"TimeAdded", taint["timeAdded"]}}),
                       "taints must be unique by key and effect pair");
    }
  }
}

void pod_cidrs(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& list = spec["podCIDRs"];
  size_t i = 0;
  for (const Value& one : list.elements()) cidr(one, path[i++], errors);
  if (list.size() > 2) {
    errors.invalid(path, list, "may specify no more than one CIDR for each IP family");
  } else if (list.size() == 2) {
    auto a = Cidr::parse(list[0].as_string());
    auto b = Cidr::parse(list[1].as_string());
    if (a && b && a->address.v6 == b->address.v6) {
      errors.invalid(path, list, "may specify no more than one CIDR for each IP family");
    }
  }
}

void addresses(const Value& list, ErrorList& errors) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  size_t i = 0;
  for (const Value& address : list.elements()) {
    Path at = (Path("status") / "addresses")[i++];
    if (!seen.insert({address["type"].as_string(), address["address"].as_string()}).second) {
      errors.duplicate(at, go_struct({{"Type", address["type"].as_string()},
                                      {"Address", address["address"].as_string()}}));
    }
  }
}

void amounts(const Value& list, const char* member, ErrorList& errors) {
  for (auto [name, value] : list.members()) {
    Path at = Path("status") / member / name;
    resource_name(name, at, errors);
    quantity_not_negative(value, at, errors);
    if (is_integer_resource(name) && !quantity_or_zero(value.as_string()).is_integer()) {
      errors.invalid(at, value, "must be an integer");
    }
  }
}

}  // namespace

void node(const Value& object, ErrorList& errors) {
  taints(object["spec"]["taints"], Path("metadata") / "taints", errors);
  pod_cidrs(object["spec"], Path("spec") / "podCIDRs", errors);
}

void node_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& spec = object["spec"];
  const Value& before = old["spec"];
  addresses(object["status"]["addresses"], errors);
  amounts(object["status"]["capacity"], "capacity", errors);
  amounts(object["status"]["allocatable"], "allocatable", errors);
  if (!before["podCIDRs"].empty() && !same(before["podCIDRs"], spec["podCIDRs"])) {
    errors.forbidden(Path("spec") / "podCIDRs",
                     "node updates may not change podCIDR except from \"\" to valid");
  }
  if (!before["providerID"].as_string().empty() &&
      !same(before["providerID"], spec["providerID"])) {
    errors.forbidden(Path("spec") / "providerID",
                     "node updates may not change providerID except from \"\" to valid");
  }
  taints(spec["taints"], Path("metadata") / "taints", errors);
  if (!same(before["externalID"], spec["externalID"])) {
    errors.forbidden(Path("spec") / "externalID", "may not be updated");
  }
}

void node_status(const Value& object, const Value&, ErrorList& errors) {
  addresses(object["status"]["addresses"], errors);
  amounts(object["status"]["capacity"], "capacity", errors);
  amounts(object["status"]["allocatable"], "allocatable", errors);
}

}  // namespace knarr::api::rules
