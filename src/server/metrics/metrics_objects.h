// NodeMetrics and PodMetrics objects, as metrics-server makes them. Pure.
#pragma once

#include "knarr/object.h"
#include "server/metrics/node_metrics.h"

namespace knarr::server {

ObjectRef node_metrics_object(const NodeMetrics::NodeUse& use, int64_t now_us);
ObjectRef pod_metrics_object(const NodeMetrics::PodUse& use, int64_t now_us);

}  // namespace knarr::server
