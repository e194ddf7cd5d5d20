// Amounts of node resources: cpu in thousandths, the rest in units.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace knarr::server {

struct Amounts {
  int64_t cpu_milli = 0;
  int64_t memory = 0;
  int64_t storage = 0;                                   // ephemeral
  std::vector<std::pair<std::string, int64_t>> further;  // sorted: hugepages, devices

  void add(const Amounts& other);
  void subtract(const Amounts& other);
  void raise_to(const Amounts& other);  // the larger of each
  int64_t& at(const std::string& name);
  int64_t get(const std::string& name) const;
};

// A ResourceList: {"cpu": "500m", ...}; "pods" is left out.
Amounts amounts_of(const json::Value& list);

// What a pod asks of its node: containers and sidecars together, or the largest init step,
// whichever is more, and the overhead. With `floor`, containers that ask for no cpu or memory count
// as 100m and 200 MB: what scoring uses, so that such pods spread too.
Amounts pod_requests(const json::Value& pod_spec, bool floor);

}  // namespace knarr::server
