// DefaultTolerationSeconds: pods stay five minutes on a node that became not ready or unreachable,
// unless they say otherwise.

#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

constexpr int kSeconds = 300;

bool tolerates(const json::Value& tolerations, std::string_view key) {
  for (const json::Value& t : tolerations.elements()) {
    std::string_view k = t["key"].as_string();
    std::string_view effect = t["effect"].as_string();
    if ((k == key || k.empty()) && (effect == "NoExecute" || effect.empty())) return true;
  }
  return false;
}

class DefaultTolerationSeconds final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "DefaultTolerationSeconds"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.operation == Operation::kDelete || !request.is("", "pods") ||
        !request.subresource.empty()) {
      return {};
    }
    json::Value& spec = request.object->member("spec");
    for (std::string_view key :
         {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
      if (tolerates(spec["tolerations"], key)) continue;
      spec.member("tolerations")
          .push_back(json::Value::object({{"key", key},
                                          {"operator", "Exists"},
                                          {"effect", "NoExecute"},
                                          {"tolerationSeconds", kSeconds}}));
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_default_toleration_seconds() {
  return std::make_unique<DefaultTolerationSeconds>();
}

}  // namespace knarr::server
