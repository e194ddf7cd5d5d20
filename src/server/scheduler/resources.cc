#include "server/scheduler/resources.h"

#include <algorithm>

#include "api/quantity.h"

namespace knarr::server {

namespace {
constexpr int64_t kFloorCpuMilli = 100;
constexpr int64_t kFloorMemory = 200 * 1024 * 1024;
}  // namespace

int64_t& Amounts::at(const std::string& name) {
  auto it = std::lower_bound(further.begin(), further.end(), name,
                             [](const auto& pair, const std::string& n) { return pair.first < n; });
  if (it == further.end() || it->first != name) it = further.insert(it, {name, 0});
  return it->second;
}

int64_t Amounts::get(const std::string& name) const {
  for (const auto& [key, amount] : further) {
    if (key == name) return amount;
  }
  return 0;
}

void Amounts::add(const Amounts& other) {
  cpu_milli += other.cpu_milli;
  memory += other.memory;
  storage += other.storage;
  for (const auto& [key, amount] : other.further) at(key) += amount;
}

void Amounts::subtract(const Amounts& other) {
  cpu_milli -= other.cpu_milli;
  memory -= other.memory;
  storage -= other.storage;
  for (const auto& [key, amount] : other.further) at(key) -= amount;
}

void Amounts::raise_to(const Amounts& other) {
  cpu_milli = std::max(cpu_milli, other.cpu_milli);
  memory = std::max(memory, other.memory);
  storage = std::max(storage, other.storage);
  for (const auto& [key, amount] : other.further) at(key) = std::max(get(key), amount);
}

Amounts amounts_of(const json::Value& list) {
  Amounts amounts;
  for (auto [key, value] : list.members()) {
    std::string text = value.is_string() ? value.text() : json::write(value);
    api::Quantity quantity = api::quantity_or_zero(text);
    if (key == "cpu") {
      amounts.cpu_milli = quantity.milli_value();
    } else if (key == "memory") {
      amounts.memory = quantity.value();
    } else if (key == "ephemeral-storage") {
      amounts.storage = quantity.value();
    } else if (key != "pods") {
      amounts.at(std::string(key)) = quantity.value();
    }
  }
  return amounts;
}

namespace {

Amounts container_requests(const json::Value& container, bool floor) {
  const json::Value& requests = container["resources"]["requests"];
  Amounts amounts = amounts_of(requests);
  if (floor && !requests.has("cpu")) amounts.cpu_milli = kFloorCpuMilli;
  if (floor && !requests.has("memory")) amounts.memory = kFloorMemory;
  return amounts;
}

}  // namespace

Amounts pod_requests(const json::Value& spec, bool floor) {
  Amounts total, sidecars, largest_init;
  for (const json::Value& c : spec["containers"].elements())
    total.add(container_requests(c, floor));
  for (const json::Value& c : spec["initContainers"].elements()) {
    Amounts step = container_requests(c, floor);
    if (c["restartPolicy"].as_string() == "Always") {
      sidecars.add(step);
      total.add(step);
      step = sidecars;
    } else {
      step.add(sidecars);
    }
    largest_init.raise_to(step);
  }
  total.raise_to(largest_init);
  // What the pod as a whole asks for wins over the sum of its containers.
  const json::Value& whole = spec["resources"]["requests"];
  if (whole.is_object()) {
    Amounts pod = amounts_of(whole);
    if (whole.has("cpu")) total.cpu_milli = pod.cpu_milli;
    if (whole.has("memory")) total.memory = pod.memory;
    for (const auto& [key, amount] : pod.further) total.at(key) = amount;
  }
  total.add(amounts_of(spec["overhead"]));
  return total;
}

}  // namespace knarr::server
