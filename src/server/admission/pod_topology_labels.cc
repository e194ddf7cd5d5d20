// PodTopologyLabels: a pod that gets a node, by a Binding or from the start, gets the zone and the
// region of that node as labels.

#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

class PodTopologyLabels final : public AdmissionPlugin {
 public:
  explicit PodTopologyLabels(const Cache& cache) : cache_(cache) {}
  std::string_view name() const override { return "PodTopologyLabels"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.is("", "pods")) return {};
    json::Value& object = *request.object;
    std::string node;
    if (request.subresource == "binding") node = object["target"]["name"].text();
    if (request.subresource.empty()) node = object["spec"]["nodeName"].text();
    ObjectRef found = node.empty() ? nullptr : cache_.get({{"", "nodes"}, {"", node}});
    if (found == nullptr) return {};
    for (const char* key : {"topology.kubernetes.io/region", "topology.kubernetes.io/zone"}) {
      const std::string* label = found->label(key);
      if (label == nullptr) continue;
      json::Value& labels = object.member("metadata").member("labels");
      if (!labels.has(key)) labels.set(key, *label);
    }
    return {};
  }

 private:
  const Cache& cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_pod_topology_labels(const AdmissionDeps& deps) {
  return std::make_unique<PodTopologyLabels>(deps.cache);
}

}  // namespace knarr::server
