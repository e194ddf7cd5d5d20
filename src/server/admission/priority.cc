// Priority: the number behind a pod's priorityClassName, and one default class at most.

#include "base/format.h"
#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

struct Found {
  std::string name;
  int64_t value = 0;
  std::string preemption = "PreemptLowerPriority";
};

Found found_in(const json::Value& priority_class) {
  Found f;
  f.name = priority_class["metadata"]["name"].text();
  f.value = priority_class["value"].as_int();
  std::string policy = priority_class["preemptionPolicy"].text();
  if (!policy.empty()) f.preemption = policy;
  return f;
}

class Priority final : public AdmissionPlugin {
 public:
  explicit Priority(const Cache& cache) : cache_(cache) {}
  std::string_view name() const override { return "Priority"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (!request.is("", "pods") || !request.subresource.empty()) return {};
    if (request.operation == Operation::kCreate) return admit_create(request);
    if (request.operation == Operation::kUpdate) keep(request);
    return {};
  }

  Result<void> validate(const AdmissionRequest& request) override {
    if (request.operation == Operation::kDelete ||
        !request.is("scheduling.k8s.io", "priorityclasses") ||
        !(*request.object)["globalDefault"].as_bool()) {
      return {};
    }
    Found other;
    if (!find_default(other) || other.name == (*request.object)["metadata"]["name"].as_string()) {
      return {};
    }
    return admission_forbidden(
        request, fmt::format("PriorityClass {} is already marked as default. Only one default can "
                             "exist",
                             other.name));
  }

 private:
  Result<void> admit_create(AdmissionRequest& request) {
    json::Value& spec = request.object->member("spec");
    std::string wanted = spec["priorityClassName"].text();
    Found found;
    if (wanted.empty()) {
      if (find_default(found)) spec.set("priorityClassName", found.name);
    } else {
      ObjectRef object = cache_.get({{"scheduling.k8s.io", "priorityclasses"}, {"", wanted}});
      if (object == nullptr) {
        return admission_forbidden(request,
                                   fmt::format("no PriorityClass with name {} was found", wanted));
      }
      json::Value value;
      TRY_ASSIGN(value, json::parse(object->json));
      found = found_in(value);
    }
    const json::Value& given = spec["priority"];
    if (!given.is_null() && given.as_int() != found.value) {
      return admission_forbidden(
          request, fmt::format("the integer value of priority ({}) must not be provided in pod "
                               "spec; priority admission controller computed {} from the given "
                               "PriorityClass name",
                               given.as_int(), found.value));
    }
    spec.set("priority", found.value);
    const json::Value& policy = spec["preemptionPolicy"];
    if (!policy.is_null() && policy.as_string() != found.preemption) {
      return admission_forbidden(
          request, fmt::format("the string value of PreemptionPolicy ({}) must not be provided in "
                               "pod spec; priority admission controller computed {} from the given "
                               "PriorityClass name",
                               policy.as_string(), found.preemption));
    }
    spec.set("preemptionPolicy", found.preemption);
    return {};
  }

  // An update that leaves them out keeps what admission once computed.
  static void keep(AdmissionRequest& request) {
    const json::Value& old = (*request.old)["spec"];
    json::Value& spec = request.object->member("spec");
    for (const char* key : {"priority", "preemptionPolicy"}) {
      if (spec[key].is_null() && !old[key].is_null()) spec.set(key, old[key]);
    }
  }

  // The default class of the lowest value, as upstream takes it when there are several.
  bool find_default(Found& out) const {
    bool any = false;
    cache_.for_each({"scheduling.k8s.io", "priorityclasses"}, "", [&](const ObjectRef& object) {
      if (object->json.find("\"globalDefault\":true") == std::string::npos) return true;
      Result<json::Value> value = json::parse(object->json);
      if (!value.ok() || !(*value)["globalDefault"].as_bool()) return true;
      Found f = found_in(*value);
      if (!any || f.value < out.value) out = f;
      any = true;
      return true;
    });
    return any;
  }

  const Cache& cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_priority(const AdmissionDeps& deps) {
  return std::make_unique<Priority>(deps.cache);
}

}  // namespace knarr::server
