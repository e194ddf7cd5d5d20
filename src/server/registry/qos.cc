#include "server/registry/qos.h"

#include <map>
#include <string>

#include "api/quantity.h"

namespace knarr::server {
namespace {

using Sums = std::map<std::string, api::Quantity>;

bool counts(std::string_view resource) { return resource == "cpu" || resource == "memory"; }

// Adds what is set above zero; says how many of cpu and memory are.
int add_up(const json::Value& list, Sums& sums) {
  int found = 0;
  for (json::Member m : list.members()) {
    if (!counts(m.key)) continue;
    api::Quantity q = api::quantity_or_zero(m.value.as_string());
    if (q.sign() <= 0) continue;
    found++;
    sums[std::string(m.key)].add(q);
  }
  return found;
}

}  // namespace

std::string_view qos_class(const json::Value& spec) {
  Sums requests;
  Sums limits;
  bool all_limited = true;
  if (!spec["resources"].empty()) {
    add_up(spec["resources"]["requests"], requests);
    all_limited = add_up(spec["resources"]["limits"], limits) == 2;
  } else {
    for (const char* list : {"containers", "initContainers"}) {
      for (const json::Value& container : spec[list].elements()) {
        add_up(container["resources"]["requests"], requests);
        if (add_up(container["resources"]["limits"], limits) != 2) all_limited = false;
      }
    }
  }
  if (requests.empty() && limits.empty()) return "BestEffort";
  if (!all_limited || requests.size() != limits.size()) return "Burstable";
  for (const auto& [name, request] : requests) {
    auto it = limits.find(name);
    if (it == limits.end() || !(it->second == request)) return "Burstable";
  }
  return "Guaranteed";
}

}  // namespace knarr::server
