// Nodes.
#include <set>

#include "api/ip.h"
#include "api/validation/core.h"
#include "api/validation/internal.h"

namespace knarr::api::rules {
namespace {

void taints(const Value& list, const Path& path, ErrorList& errors) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  size_t i = 0;
  for (const Value& taint : list.elements()) {
    Path at = path[i++];
    qualified_name(taint["key"], at / "key", errors);
    if (Problems problems = check_label_value(taint["value"].as_string()); !problems.empty()) {
      errors.invalid(at / "value", taint["value"], joined(problems, ";"));
    }
    one_of(taint["effect"], {"NoSchedule", "PreferNoSchedule", "NoExecute"}, at / "effect", errors);
    if (!seen.insert({taint["effect"].as_string(), taint["key"].as_string()}).second) {
      errors.duplicate(at, internal_value("", "v1", "Taint", taint),
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
      errors.duplicate(at, internal_value("", "v1", "NodeAddress", address));
    }
  }
}

void amounts(const Value& list, const char* member, ErrorList& errors) {
  for (auto [name, value] : list.members()) {
    resource_quantity(name, value, Path("status") / member / name, errors);
  }
}

// A sorted list without repetitions of upper camel case names.
void declared_features(const Value& list, ErrorList& errors) {
  Path path = Path("status") / "declaredFeatures";
  for (size_t i = 1; i < list.size(); i++) {
    int order = list[i - 1].as_string().compare(list[i].as_string());
    if (order == 0) errors.duplicate(path[i], list[i]);
    if (order > 0) errors.invalid(path[i], list[i], "list must be sorted alphabetically");
  }
}

void config_map_source(const Value& source, const Path& path, ErrorList& errors) {
  struct Part {
    const char* name;
    Problems (*check)(std::string_view);
  };
  for (const Part& part :
       {Part{"namespace", check_dns1123_label}, Part{"name", check_dns1123_subdomain},
        Part{"kubeletConfigKey", check_config_map_key}}) {
    std::string_view text = source[part.name].as_string();
    if (text.empty()) {
      errors.required(path / part.name);
    } else {
      errors.invalid_all(path / part.name, text, part.check(text));
    }
  }
}

// Of spec.configSource, or of one of those in status.config.
void config_source(const Value& source, bool of_status, const Path& path, ErrorList& errors) {
  if (source.is_null()) return;
  const Value& map = source["configMap"];
  if (map.is_null()) {
    errors.invalid(path, internal_value("", "v1", "NodeConfigSource", source),
                   "exactly one reference subfield must be non-nil");
    return;
  }
  Path at = path / "configMap";
  for (const char* member : {"uid", "resourceVersion"}) {
    bool given = !map[member].as_string().empty();
    if (given && !of_status) {
      errors.forbidden(at / member, std::string(member) + " must not be set in spec");
    }
    if (!given && of_status) errors.required(at / member);
  }
  config_map_source(map, at, errors);
}

void no_other_cidrs(const Value& spec, const Value& before, ErrorList& errors) {
  const Value& had = before["podCIDRs"];
  const Value& now = spec["podCIDRs"];
  if (had.empty()) return;
  auto refuse = [&] {
    errors.forbidden(Path("spec") / "podCIDRs",
                     "node updates may not change podCIDR except from \"\" to valid");
  };
  if (had.size() != now.size()) return refuse();
  for (size_t i = 0; i < had.size(); i++) {
    if (!(had[i] == now[i])) refuse();
  }
}

}  // namespace

void node(const Value& object, ErrorList& errors) {
  const Value& status = object["status"];
  taints(object["spec"]["taints"], Path("metadata") / "taints", errors);
  amounts(status["capacity"], "capacity", errors);
  amounts(status["allocatable"], "allocatable", errors);
  const Value& swap = status["nodeInfo"]["swap"]["capacity"];
  if (!swap.is_null() && swap.as_int() <= 0) {
    errors.invalid(Path("metadata") / "nodeSwapStatus" / "capacity", swap,
                   "must be greater than 0");
  }
  declared_features(status["declaredFeatures"], errors);
  pod_cidrs(object["spec"], Path("spec") / "podCIDRs", errors);
}

void node_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& spec = object["spec"];
  const Value& before = old["spec"];
  const Value& status = object["status"];
  amounts(status["capacity"], "capacity", errors);
  amounts(status["allocatable"], "allocatable", errors);
  declared_features(status["declaredFeatures"], errors);
  addresses(status["addresses"], errors);
  no_other_cidrs(spec, before, errors);
  if (!before["providerID"].as_string().empty() &&
      !same(before["providerID"], spec["providerID"])) {
    errors.forbidden(Path("spec") / "providerID",
                     "node updates may not change providerID except from \"\" to valid");
  }
  config_source(spec["configSource"], false, Path("spec") / "configSource", errors);
  for (const char* member : {"assigned", "active", "lastKnownGood"}) {
    config_source(status["config"][member], true, Path("status") / "config" / member, errors);
  }
  taints(spec["taints"], Path("metadata") / "taints", errors);
  if (!same(before["externalID"], spec["externalID"])) {
    errors.forbidden(Path("spec") / "externalID", "may not be updated");
  }
}

}  // namespace knarr::api::rules
