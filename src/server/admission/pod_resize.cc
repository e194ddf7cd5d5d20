// PodResize: a pod on a node may only grow to what the node has.

#include "api/view/pod_resources.h"
#include "base/format.h"
#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

class PodResize final : public AdmissionPlugin {
 public:
  explicit PodResize(const Cache& cache) : cache_(cache) {}
  std::string_view name() const override { return "PodResize"; }

  Result<void> validate(const AdmissionRequest& request) override {
    if (!request.is("", "pods") || request.subresource != "resize") return {};
    const json::Value& pod = *request.object;
    std::string name = pod["spec"]["nodeName"].text();
    bool changed = pod["metadata"]["generation"] != (*request.old)["metadata"]["generation"];
    if (name.empty() || !changed) return {};
    ObjectRef found = cache_.get({{"", "nodes"}, {"", name}});
    if (found == nullptr) {
      return admission_forbidden(request, fmt::format("node \"{}\" not found", name));
    }
    json::Value node;
    TRY_ASSIGN(node, json::parse(found->json));
    std::string_view os = node["metadata"]["labels"]["kubernetes.io/os"].as_string();
    if (!os.empty() && os != "linux") {
      return refuse(
          request, "UnsupportedPlatform",
          fmt::format("pod resize is only supported on linux nodes, node \"{}\" is \"{}\"", name,
                      os));
    }
    std::string missing = too_much(pod["spec"], node["status"]["allocatable"]);
    if (missing.empty()) return {};
    return refuse(request, "NodeCapacity",
                  "node didn't have enough allocatable resources: " + missing);
  }

 private:
  static Error refuse(const AdmissionRequest& request, const char* reason, std::string_view why) {
    Error error = admission_forbidden(request, why);
    auto details = std::make_shared<ErrorDetails>(*error.details);
    details->causes.push_back({reason, "", ""});
    error.details = std::move(details);
    return error;
  }

  static std::string too_much(const json::Value& spec, const json::Value& allocatable) {
    api::Quantities asked = api::pod_resources(spec).requests;
    api::Quantities there = api::quantities_of(allocatable);
    std::string out;
    for (const char* name : {"cpu", "memory"}) {
      const api::Quantity& want = asked[name];
      const api::Quantity& have = there[name];
      if (!(have < want)) continue;
      bool cpu = std::string_view(name) == "cpu";
      if (!out.empty()) out += "; ";
      out += fmt::format("{}, requested: {}, allocatable: {}", name,
                         cpu ? want.milli_value() : want.value(),
                         cpu ? have.milli_value() : have.value());
    }
    return out;
  }

  const Cache& cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_pod_resize(const AdmissionDeps& deps) {
  return std::make_unique<PodResize>(deps.cache);
}

}  // namespace knarr::server
