// Where the autoscaler hears what pods use: the metrics.k8s.io API, whoever serves it. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "api/quantity.h"
#include "api/selector.h"
#include "knarr/result.h"

namespace knarr::server {

// A PodMetrics object.
struct PodSample {
  std::string pod;
  int64_t timestamp_us = 0;
  int64_t window_us = 0;
  // By container name, then resource name.
  std::map<std::string, std::map<std::string, api::Quantity>> containers;
};

class MetricsSource {
 public:
  virtual ~MetricsSource() = default;
  // Of the pods of a namespace that the selector chooses. An error is what a client of the API
  // would hear.
  using Done = std::function<void(Result<std::vector<PodSample>>)>;
  virtual void pod_metrics(const std::string& ns, const api::LabelSelector& selector,
                           Done done) = 0;
};

}  // namespace knarr::server
