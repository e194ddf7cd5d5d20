// The ways in which a node tells what is used, with a kubelet's names and shapes. Pure functions of
// a sample.
#pragma once

#include <string>

#include "agent/metrics/node_sample.h"
#include "base/json.h"

namespace knarr::agent {

// /stats/summary (stats/v1alpha1). `brief`: only processors and memory.
json::Value stats_summary(const NodeSample& sample, bool brief);

std::string resource_metrics(const NodeSample& sample);  // /metrics/resource
std::string cadvisor_metrics(const NodeSample& sample);  // /metrics/cadvisor
std::string probe_metrics(const NodeSample& sample);     // /metrics/probes
std::string kubelet_metrics(const NodeSample& sample);   // /metrics

}  // namespace knarr::agent
