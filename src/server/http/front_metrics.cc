// metrics.k8s.io: made of what nodes say when they are asked, selected as nodes and pods are.

#include "api/resource.h"
#include "server/http/front.h"
#include "server/metrics/metrics_objects.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

// The nodes or pods behind what was asked for.
Result<std::vector<ObjectRef>> asked_for(Cache& cache, const api::ResourceInfo& resource,
                                         const RequestInfo& info, const Predicate& matches) {
  GroupResource key{"", std::string(resource.plural)};
  std::vector<ObjectRef> found;
  if (!info.name.empty()) {
    ObjectRef object = cache.get({key, {resource.namespaced ? info.ns : "", info.name}});
    if (object == nullptr) return not_found("", resource.plural, info.name);
    found.push_back(std::move(object));
    return found;
  }
  cache.for_each(key, resource.namespaced ? info.ns : "", [&](const ObjectRef& object) {
    if (!matches || matches(*object)) found.push_back(object);
    return true;
  });
  return found;
}

Result<Predicate> selection(const api::ResourceInfo& resource, const net::Query& query) {
  RawListQuery raw;
  raw.label_selector = query.get("labelSelector");
  raw.field_selector = query.get("fieldSelector");
  TRY_ASSIGN(ListQuery list, parse_list_query(resource, raw));
  return list.predicate();
}

}  // namespace

void Front::serve_metrics(const CallPtr& call, Reply reply) {
  const api::ResourceInfo& resource = *call->resource;
  Result<Predicate> matches = selection(resource, call->query);
  if (!matches.ok()) return send_status(reply, matches.error());
  auto wanted = asked_for(deps_.registry.cache(), resource, call->info, *matches);
  if (!wanted.ok()) return send_status(reply, wanted.error());
  auto answer = [this, call, reply](std::vector<ObjectRef> objects) {
    const RequestInfo& info = call->info;
    const api::ResourceInfo& resource = *call->resource;
    int64_t now_us = deps_.registry.clock().now_us();
    if (info.name.empty()) {
      ListPage page;
      page.items = std::move(objects);
      return send_list(reply, resource, std::move(page), now_us);
    }
    if (!objects.empty()) return send_object(reply, 200, resource, objects[0], now_us);
    send_status(reply, resource.namespaced
                           ? not_found("metrics.k8s.io", "podmetrics", info.ns + "/" + info.name)
                           : not_found("metrics.k8s.io", "nodemetrics", info.name));
  };
  int64_t now_us = deps_.registry.clock().now_us();
  auto made = [answer, now_us](const auto& uses, auto make) {
    std::vector<ObjectRef> objects;
    for (const auto& use : uses) objects.push_back(make(use, now_us));
    answer(std::move(objects));
  };
  if (resource.namespaced) {
    return deps_.metrics->pods(
        *std::move(wanted),
        [made](const std::vector<NodeMetrics::PodUse>& uses) { made(uses, pod_metrics_object); });
  }
  deps_.metrics->nodes(*std::move(wanted), [made](const std::vector<NodeMetrics::NodeUse>& uses) {
    made(uses, node_metrics_object);
  });
}

}  // namespace knarr::server
