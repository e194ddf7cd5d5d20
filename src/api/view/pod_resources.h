// What a pod asks of its node and may take, by resource name: containers and sidecars together, or
// the largest step of its init containers, whichever is more. What the pod as a whole declares
// (spec.resources) wins over the sum. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/quantity.h"
#include "base/json.h"

namespace knarr::api {

using Quantities = std::map<std::string, Quantity>;

// A ResourceList. What is malformed counts as zero.
Quantities quantities_of(const json::Value& list);
// {"cpu": "500m", ...}
json::Value resource_list(const Quantities& quantities);

void add_to(Quantities& sum, const Quantities& other);
// Each at least zero.
void subtract_from(Quantities& sum, const Quantities& other);

struct PodResources {
  Quantities requests;
  Quantities limits;
};
PodResources pod_resources(const json::Value& pod_spec);

}  // namespace knarr::api
