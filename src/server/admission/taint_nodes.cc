// TaintNodesByCondition: a node is born not ready, so that nothing is scheduled to it before its
// conditions are known.

#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";

class TaintNodes final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "TaintNodesByCondition"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.is("", "nodes") ||
        !request.subresource.empty()) {
      return {};
    }
    json::Value& spec = request.object->member("spec");
    for (const json::Value& taint : spec["taints"].elements()) {
      if (taint["key"].as_string() == kNotReady && taint["effect"].as_string() == "NoSchedule") {
        return {};
      }
    }
    spec.member("taints").push_back(
        json::Value::object({{"key", kNotReady}, {"effect", "NoSchedule"}}));
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_taint_nodes() { return std::make_unique<TaintNodes>(); }

}  // namespace knarr::server
