#include "api/view/pod_resources.h"

namespace knarr::api {

namespace {

void raise_to(Quantities& most, const Quantities& other) {
  for (const auto& [name, amount] : other) {
    auto [it, made] = most.emplace(name, amount);
    if (!made && it->second < amount) it->second = amount;
  }
}

Quantities total(const json::Value& spec, const char* what) {
  Quantities sum, sidecars, largest_init;
  for (const json::Value& c : spec["containers"].elements()) {
    add_to(sum, quantities_of(c["resources"][what]));
  }
  for (const json::Value& c : spec["initContainers"].elements()) {
    Quantities step = quantities_of(c["resources"][what]);
    if (c["restartPolicy"].as_string() == "Always") {
      add_to(sidecars, step);
      add_to(sum, step);
      step = sidecars;
    } else {
      add_to(step, sidecars);
    }
    raise_to(largest_init, step);
  }
  raise_to(sum, largest_init);
  for (auto& [name, amount] : quantities_of(spec["resources"][what])) sum[name] = amount;
  return sum;
}

}  // namespace

Quantities quantities_of(const json::Value& list) {
  Quantities quantities;
  for (auto [name, amount] : list.members()) {
    quantities.emplace(std::string(name), quantity_or_zero(amount.as_string()));
  }
  return quantities;
}

json::Value resource_list(const Quantities& quantities) {
  json::Value list = json::Value::object();
  for (const auto& [name, amount] : quantities) list.set(name, amount.text());
  return list;
}

void add_to(Quantities& sum, const Quantities& other) {
  for (const auto& [name, amount] : other) {
    auto [it, made] = sum.emplace(name, amount);
    if (!made) it->second.add(amount);
  }
}

void subtract_from(Quantities& sum, const Quantities& other) {
  for (const auto& [name, amount] : other) {
    auto it = sum.find(name);
    if (it == sum.end()) continue;
    it->second.subtract(amount);
    if (it->second.sign() < 0) it->second = Quantity();
  }
}

PodResources pod_resources(const json::Value& spec) {
  PodResources r{total(spec, "requests"), total(spec, "limits")};
  Quantities overhead = quantities_of(spec["overhead"]);
  add_to(r.requests, overhead);
  for (const auto& [name, amount] : overhead) {
    auto it = r.limits.find(name);
    if (it != r.limits.end() && !it->second.is_zero()) it->second.add(amount);
  }
  return r;
}

}  // namespace knarr::api
